"""Pools of maps, and tensors side by side or with more or fewer rows at their ends."""

from __future__ import annotations

from fac_torch.templates.base import Line, Memory, Template, kernel


def concat(line: Line) -> str:
    """`torch.cat`."""
    return f"torch.cat(({line.given}), {line['axis']})"


def max_pool2d(line: Line) -> str:
    """`torch.max_pool2d`."""
    return f"torch.max_pool2d({line.given}, {line['kernel']}, {line['stride']}, {line['padding']})"


MAPS: dict[str, Template] = {
    "concat": Template(concat, Memory.OUT),
    "pad": kernel("pad", "before", "after"),
    "crop": kernel("crop", "before", "after"),
    "max_pool2d": Template(max_pool2d),
    "max_pool2d_index": kernel("max_pool2d_index", "kernel", "stride", "padding", memory=Memory.FRESH),
    "pick": kernel("pick"),
    "unpick": Template(lambda line: f"kernels.unpick({line.given}, {line.shape})", Memory.OUT),
}
