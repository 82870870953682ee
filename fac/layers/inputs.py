"""What layers say of what they are given: how many, of which rank; and the settings of windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from fac.program.kinds import ShapeError
from fac.program.program import Shape
from fac.spec.layers import Layer
from fac.spec.train import Positive

SHOWN, MOST = 8, 4096
"""How many divisors a help lists, and up to which number they are looked for."""
Natural = Annotated[int, Field(ge=0)]
Size = Positive | tuple[Positive, Positive]
"""Rows and columns; one number stands for both."""
Room = Natural | tuple[Natural, Natural]
"""As `Size`, or nothing."""


def both(setting: int | tuple[int, int]) -> tuple[int, int]:
    """(rows, columns)."""
    return (setting, setting) if isinstance(setting, int) else setting


def by(setting: Sequence[int]) -> str:
    """`3 x 2`."""
    return " x ".join(map(str, setting))


def only(name: str, inputs: Sequence[Shape]) -> Shape:
    """The shape of the one input.

    Raises:
        ShapeError: there are several.
    """
    if len(inputs) != 1:
        raise ShapeError(
            f"`{name}` reads one layer, not {len(inputs)}", "join them with an `add` layer first", "from"
        )
    return inputs[0]


def channels(name: str, inputs: Sequence[Shape]) -> tuple[int, tuple[int, int]]:
    """(C, (H, W)) of the one input, which is a map.

    Raises:
        ShapeError: it is none, or there are several.
    """
    shape = only(name, inputs)
    if len(shape) != 3:
        example = [1, *shape] if len(shape) == 2 else "[channels, height, width]"
        raise ShapeError(
            f"`{name}` reads a map [channels, height, width], not {list(shape)}",
            f"put a `reshape` layer before it, with `shape: {example}`",
        )
    c, *size = shape
    return c, (size[0], size[1])


def tokens(name: str, inputs: Sequence[Shape]) -> tuple[int, int]:
    """(T, d) of the one input, which is tokens.

    Raises:
        ShapeError: it is none, or there are several.
    """
    shape = only(name, inputs)
    if len(shape) != 2:
        raise ShapeError(
            f"`{name}` reads tokens [number, channels], not {list(shape)}",
            "put a `patch_embed` layer before it, which makes tokens of a map" if len(shape) == 3 else "",
        )
    return shape[0], shape[1]


def divided(name: str, channels: int, parts: int, field: str, what: str = "heads") -> int:
    """How many channels each of so many equal parts has.

    Raises:
        ShapeError: they do not divide them.
    """
    if channels % parts:
        raise ShapeError(
            f"`{name}` has {parts} {what}, which do not divide {channels} channels",
            f"choose a divisor of the number of channels: {divisors(channels)}",
            field,
        )
    return channels // parts


def divisors(count: int) -> str:
    """Those of a number, the first ones if it has many: `1, 2, 3, 6`."""
    found = [n for n in range(1, min(count, MOST) + 1) if count % n == 0]
    rest = [str(count)] if count > MOST else []
    return ", ".join([*map(str, found[:SHOWN]), *(["..."] if len(found) > SHOWN or rest else []), *rest])


def counted(axis: int, rank: int) -> int | None:
    """The number, from 0, of an axis of a sample that may be counted from its end; None if there is none."""
    return axis % rank if -rank <= axis < rank else None


def branches(layer: Layer, inputs: Sequence[Shape]) -> list[str]:
    """Each input by its name and its shape, for messages: "`a` [8]". What a block joins has no names."""
    named = [f"`{name}` " for name in layer.reads] or [""] * len(inputs)
    return [f"{name}{list(shape)}" for name, shape in zip(named, inputs, strict=True)]
