"""Convolutions, and what the finer form of them is made of."""

from __future__ import annotations

from fac_torch.templates.base import Line, Memory, Order, Template, kernel

WINDOW = ("stride", "padding", "dilation", "groups")


def conv2d(line: Line) -> str:
    """With a bias, if there is one; torch knows only the same padding on both sides."""
    x, w, *bias = line.arguments
    given = f"{x}, {w}, {bias[0] if bias else None}"
    stride, padding, dilation, groups = (line[name] for name in WINDOW)
    assert isinstance(padding, tuple)
    top, bottom, left, right = padding
    if (top, left) == (bottom, right):
        return f"torch.conv2d({given}, {stride}, {(top, left)}, {dilation}, {groups})"
    return f"kernels.conv2d({given}, {stride}, {padding}, {dilation}, {groups})"


def fold(line: Line) -> str:
    """To a map of a shape in which N is known at run time."""
    settings = ", ".join(repr(line[name]) for name in ("kernel", *WINDOW))
    return f"kernels.fold({line.given}, {line.shape}, {settings})"


CONVOLUTION: dict[str, Template] = {
    "conv2d": Template(conv2d, order=Order.LAST),
    "conv2d_input": kernel("conv2d_input", "size", *WINDOW, memory=Memory.FRESH, order=Order.LAST),
    "conv2d_weight": kernel("conv2d_weight", "kernel", *WINDOW, memory=Memory.FRESH, order=Order.LAST),
    "unfold": kernel("unfold", "kernel", *WINDOW, memory=Memory.FRESH),
    "fold": Template(fold),
}
