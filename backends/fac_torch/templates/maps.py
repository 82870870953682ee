"""Pools of maps, and tensors side by side or with more or fewer rows at their ends."""

from __future__ import annotations

from fac_torch.templates.base import Line, Memory, Template, kernel


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

    return Template(text)


WINDOW = ("kernel", "stride", "padding")
MAPS: dict[str, Template] = {
    "concat": Template(concat, Memory.OUT),
    "pad": kernel("pad", "before", "after"),
    "crop": kernel("crop", "before", "after"),
    "max_pool2d": Template(max_pool2d),
    "max_pool2d_index": kernel("max_pool2d_index", *WINDOW, memory=Memory.FRESH),
    "pick": kernel("pick"),
    "avg_pool2d": kernel("avg_pool2d", *WINDOW, memory=Memory.FRESH),
    "avg_pool2d_input": returned("avg_pool2d_input", *WINDOW),
    "adaptive_avg_pool2d": kernel("adaptive_avg_pool2d", "size", memory=Memory.FRESH),
    "adaptive_avg_pool2d_input": returned("adaptive_avg_pool2d_input"),
    "upsample2d": kernel("upsample2d", "factor", "mode", memory=Memory.FRESH),
    "upsample2d_input": returned("upsample2d_input", "factor", "mode"),
    "unpick": Template(lambda line: f"kernels.unpick({line.given}, {line.shape})", Memory.OUT),
}
