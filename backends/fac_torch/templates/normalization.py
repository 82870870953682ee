"""Normalisation by moments. The kernels choose those of torch that fit the axes."""

from __future__ import annotations

from fac_torch.templates.base import Memory, Order, Template, kernel


def normalization(name: str, *attributes: str) -> Template:
    """A kernel that reads maps and makes one, beside numbers of channels or samples."""
    return kernel(name, "axes", *attributes, memory=Memory.FRESH, order=Order.ALIKE)


NORMALIZATION: dict[str, Template] = {
    "variance": Template(
        lambda line: f"torch.var({line.given}, dim={line['axes']}, correction=0)", Memory.OUT
    ),
    "moments": kernel("moments", "axes", memory=Memory.FRESH),
    "normalize": normalization("normalize", "eps"),
    "normalize_moments": normalization("normalize_moments", "eps"),
    "batch_norm_moments": kernel("batch_norm_moments", "eps", order=Order.ALIKE),
    "layer_norm_moments": kernel("layer_norm_moments", "eps", order=Order.ALIKE),
    "normalize_input": normalization("normalize_input", "eps"),
    "normalize_scale": normalization("normalize_scale", "eps", "shape"),
    "normalize_back": normalization("normalize_back", "eps", "shape"),
}
