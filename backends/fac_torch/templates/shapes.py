"""Reductions over axes, and the same numbers in another shape or order."""

from __future__ import annotations

from fac.step.ops.maps import whole
from fac_torch.templates.base import Line, Memory, Template


def reduction(name: str) -> Template:
    """A reduction over axes."""

    def text(line: Line) -> str:
        keep = ", keepdim=True" if line.statement.attributes.get("keep") else ""
        return f"{name}({line.arguments[0]}, dim={line['axes']}{keep})"

    return Template(text, Memory.OUT, by_strides=True)


def shaped(method: str) -> Template:
    """A view of a tensor; a plain number fills a new tensor."""

    def text(line: Line) -> str:
        if line.host[0]:
            return f"{line.like}.new_full({line.shape}, {line.arguments[0]})"
        return f"{line.arguments[0]}.{method}({line.shape})"

    return Template(text, Memory.VIEW)


def part(line: Line) -> str:
    """A view of some rows along one axis or several."""
    before, after = whole(line.statement.attributes, "before"), whole(line.statement.attributes, "after")
    cuts = [f"{first or ''}:{-last or ''}" for first, last in zip(before, after, strict=True)]
    while len(cuts) > 1 and cuts[-1] == ":":
        cuts.pop()
    return f"{line.arguments[0]}[{', '.join(cuts)}]"


def row(line: Line) -> str:
    """A view of one row along an axis, which the result has not."""
    axis = line["axis"]
    assert isinstance(axis, int)
    return f"{line.arguments[0]}[{':, ' * axis}{line['index']}]"


def iota(line: Line) -> str:
    """0, 1, 2, ... in row-major order."""
    if len(line.result.type.shape) == 1:
        return f"torch.arange({line.shape[1:-2]}, device={line.like}.device)"
    return f"torch.arange(math.prod({line.shape}), device={line.like}.device).view({line.shape})"


SHAPES: dict[str, Template] = {
    "sum": reduction("torch.sum"),
    "mean": reduction("torch.mean"),
    "max": reduction("torch.amax"),
    "max_abs": reduction("kernels.max_abs"),
    "norm": Template(
        lambda line: (
            f"kernels.norm({', '.join([*line.arguments, *['nonzero=True'] * bool(line['nonzero'])])})"
        )
    ),
    "reshape": shaped("reshape"),
    "broadcast_to": shaped("expand"),
    "as_map": Template(lambda line: f"kernels.as_map({line.arguments[0]}, {line.shape})", Memory.OUT),
    "part": Template(part, Memory.PART),
    "row": Template(row, Memory.PART),
    "permute": Template(lambda line: f"{line.arguments[0]}.permute({line['axes']})", Memory.VIEW),
    # A copy, not a view: fused updates and `out=` kernels take what they are given for laid out row by row.
    "transpose": Template(
        lambda line: f"torch.permute_copy({line.arguments[0]}, {line['axes']})", Memory.OUT
    ),
    "iota": Template(iota),
    "table": Template(lambda line: f"kernels.table({line['values']}, {line.like})"),
    "argmax": Template(lambda line: f"torch.argmax({line.arguments[0]}, dim=-1)"),
    "uniform_bits": Template(
        lambda line: (
            f"kernels.uniform_bits({line.shape}, {line.given}, {line['first']}, {line['second']}, "
            f"{line.like}.device)"
        )
    ),
}
