"""Pools of maps, and tensors side by side or with more or fewer rows at their ends."""

from __future__ import annotations

from fac_torch.templates.base import Line, Memory, Order, Template, kernel

WINDOW = ("kernel", "stride", "padding")


def concat(line: Line) -> str:
    """`torch.cat`."""
    return f"torch.cat(({line.given}), {line['axis']})"


def max_pool2d(line: Line) -> str:
    """`torch.max_pool2d`."""
    return f"torch.max_pool2d({line.given}, {line['kernel']}, {line['stride']}, {line['padding']})"


def returned(name: str, *attributes: str) -> Template:
    """A kernel on the way back, which has to know the shape of the map that it goes back to."""

    def text(line: Line) -> str:
        values = [line.given, line.shape, *(repr(line[a]) for a in attributes)]
        return f"kernels.{name}({', '.join(values)})"

    return Template(text, order=Order.ALIKE)


MAPS: dict[str, Template] = {
    "concat": Template(concat, Memory.OUT, Order.ALIKE, by_strides=True),
    "pad": kernel("pad", "before", "after", order=Order.ALIKE),
    "crop": kernel("crop", "before", "after", order=Order.ALIKE),
    "max_pool2d": Template(max_pool2d, order=Order.LAST),
    "max_pool2d_index": kernel("max_pool2d_index", *WINDOW, memory=Memory.FRESH, order=Order.LAST),
    "max_pool2d_with_index": kernel("max_pool2d_with_index", *WINDOW, order=Order.LAST),
    "max_pool2d_back": kernel("max_pool2d_back", *WINDOW, order=Order.LAST),
    "pick": kernel("pick"),
    "avg_pool2d": kernel("avg_pool2d", *WINDOW, memory=Memory.FRESH, order=Order.ALIKE),
    "avg_pool2d_input": returned("avg_pool2d_input", *WINDOW),
    "adaptive_avg_pool2d": kernel("adaptive_avg_pool2d", "size", memory=Memory.FRESH, order=Order.ALIKE),
    "adaptive_avg_pool2d_input": returned("adaptive_avg_pool2d_input"),
    "upsample2d": kernel("upsample2d", "factor", "mode", memory=Memory.FRESH, order=Order.ALIKE),
    "upsample2d_input": returned("upsample2d_input", "factor", "mode"),
    "unpick": Template(lambda line: f"kernels.unpick({line.given}, {line.shape})", Memory.OUT),
}
