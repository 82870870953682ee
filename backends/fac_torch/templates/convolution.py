"""Convolutions, and what the finer form of them is made of."""

from __future__ import annotations

from fac_torch.templates.base import Line, Memory, Template, kernel

WINDOW = ("stride", "padding", "dilation", "groups")


def fold(line: Line) -> str:
    """To a map of a shape in which N is known at run time."""
    settings = ", ".join(repr(line[name]) for name in ("kernel", *WINDOW))
    return f"kernels.fold({line.given}, {line.shape}, {settings})"


CONVOLUTION: dict[str, Template] = {
    "conv2d": kernel("conv2d", *WINDOW, memory=Memory.FRESH),
    "conv2d_input": kernel("conv2d_input", "size", *WINDOW, memory=Memory.FRESH),
    "conv2d_weight": kernel("conv2d_weight", "kernel", *WINDOW, memory=Memory.FRESH),
    "unfold": kernel("unfold", "kernel", *WINDOW, memory=Memory.FRESH),
    "fold": Template(fold),
}
