"""The same layers several times: each with parameters of its own, or with those of the first, as in recurrence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fac.layers.blocks import BODY, Block, Body
from fac.layers.joins import Stack
from fac.layers.tokens import Select
from fac.program.kinds import BlockKind, Inside, ShapeError
from fac.program.program import Node

GATHER = "Whether it makes what all of them make, one behind the other: [times, ...]. Default: what the last one makes."


class Repeat(Block):
    """The same layers several times, one behind the other: `NAME.0.fc1`, `NAME.1.fc1`, ...

    Each has parameters of its own, or with `tie` all have those of the first: recurrence, unrolled. In the body `fc1`
    is the layer of the same copy, and `0.fc1` that of the first.
    """

    kind: Literal["repeat"] = "repeat"
    other_keys: ClassVar = BODY | {"n": "times", "num": "times", "count": "times", "depth": "times"}
    times: Annotated[int, Field(ge=1, le=10_000)] = Field(description="How many times.")
    body: Body = Field(
        description="Layers, each of which reads the one before; `input` is what the copy reads."
    )
    tie: bool = Field(
        False,
        description="Whether all copies share the parameters of the first, which learn from all of them.",
    )
    steps: str | None = Field(
        None,
        description="A layer above that makes a sequence [times, ...]: in the body `token` is the element of it that "
        "the copy reads, the first in the first one.",
    )
    gather: bool = Field(False, description=GATHER)


def repeat(layer: Repeat, inside: Inside) -> Iterator[Node]:
    """Copies."""
    sequence = None if layer.steps is None else _sequence(layer, layer.steps, inside)
    last, made = inside.input, list[str]()
    for index in range(layer.times):
        scope = str(index)
        if sequence is not None:
            yield inside.leaf(Select(name="token", index=index), (sequence,), scope=scope)
        first = "0" if layer.tie and index else None
        last = yield from inside.chain(layer.body, last, "body", scope=scope, tie=first)
        made.append(last)
    if layer.gather:
        yield inside.leaf(Stack(), made, own=True)


def _sequence(layer: Repeat, word: str, inside: Inside) -> str:
    """The layer that makes the sequence.

    Raises:
        ShapeError: there is none of that name above, or it has another number of elements.
    """
    name = inside.above(word)
    if name is None:
        raise ShapeError(
            f"no layer above `{inside.name}` is called `{word}`", "name one that makes a sequence", "steps"
        )
    shape = inside.shape(name)
    if shape is not None and (len(shape) < 2 or shape[0] != layer.times):
        found = f"`{inside.name}` repeats {layer.times} times, and `{name}` makes {list(shape)}"
        if len(shape) < 2:
            raise ShapeError(found, f"name a layer that makes a sequence [{layer.times}, ...]", "steps")
        raise ShapeError(found, f"write `times: {shape[0]}`, once for each element", "times")
    return name


REPEAT = BlockKind(
    "repeat",
    Repeat,
    repeat,
    times="times",
    own=lambda layer: 1 if layer.steps else 0,
)
