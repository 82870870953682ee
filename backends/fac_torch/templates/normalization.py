"""Normalisation by moments. The kernels choose those of torch that fit the axes."""

from __future__ import annotations

from fac_torch.templates.base import Memory, Template, kernel

NORMALIZATION: dict[str, Template] = {
    "variance": Template(
        lambda line: f"torch.var({line.given}, dim={line['axes']}, correction=0)", Memory.OUT
    ),
    "normalize": kernel("normalize", "axes", "eps", memory=Memory.FRESH),
    "normalize_input": kernel("normalize_input", "axes", "eps", memory=Memory.FRESH),
    "normalize_scale": kernel("normalize_scale", "axes", "eps", "shape", memory=Memory.FRESH),
}
