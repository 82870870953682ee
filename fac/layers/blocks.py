"""Layers that hold layers: short-hands for several of them, as a rule is one for several routes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fac.layers.joins import Add, joined
from fac.program.kinds import BlockKind, Inside, ShapeError
from fac.program.program import Node, Shape
from fac.spec.base import OneOf
from fac.spec.layers import Layer

Layers = tuple[Annotated[Layer, OneOf("fac.layers")], ...]
Body = Annotated[Layers, Field(min_length=1)]


class Block(Layer):
    """What blocks have in common: they hold layers, and have no parameters of their own."""

    trainable: bool = Field(
        True, description="False keeps the parameters of every layer in the block at their initial values."
    )


BODY = dict.fromkeys(("layers", "block"), "body")
"""Other words for it, see `Model.other_keys`."""


class Sequence(Block):
    """Layers under one name, each of which reads the one before."""

    kind: Literal["sequence"] = "sequence"
    other_keys: ClassVar = BODY
    body: Body = Field(description="The layers; `input` is what the block reads.")


class Residual(Block):
    """body(x) + shortcut(x), x what the block reads. Its name is that of the sum."""

    kind: Literal["residual"] = "residual"
    other_kinds: ClassVar = {"identity": "leave it out: a `residual` without a `shortcut` adds what it reads"}
    other_keys: ClassVar = BODY
    body: Body = Field(
        description="Layers, each of which reads the one before; `input` is what the block reads."
    )
    shortcut: Layers = Field((), description="Layers beside them. Default: none, so that x itself is added.")


class Parallel(Block):
    """The sum of branches that all read what the block reads: `NAME.0.fc1`, `NAME.1.fc1`, ..."""

    kind: Literal["parallel"] = "parallel"
    other_keys: ClassVar = dict.fromkeys(
        ("body", "layers", "bodies"), "write `branches`, a list of lists of layers"
    )
    branches: Annotated[tuple[Body, ...], Field(min_length=2)] = Field(
        description="Lists of layers, each of which reads the one before."
    )


def sequence(layer: Sequence, inside: Inside) -> Iterator[Node]:
    """The body."""
    yield from inside.chain(layer.body, inside.input, "body")


def residual(layer: Residual, inside: Inside) -> Iterator[Node]:
    """Body and shortcut, then their sum."""
    body = yield from inside.chain(layer.body, inside.input, "body")
    beside = yield from inside.chain(layer.shortcut, inside.input, "shortcut")
    short = f"its shortcut, `{beside}`," if layer.shortcut else f"what it reads, `{beside}`,"
    ends = {f"the body of `{inside.name}`, `{body}`,": body, short: beside}
    help = "" if layer.shortcut else _projection(inside.shape(beside), inside.shape(body))
    yield _sum(inside, ends, "body", help)


def parallel(layer: Parallel, inside: Inside) -> Iterator[Node]:
    """The branches, then their sum."""
    ends: dict[str, str] = {}
    for index, branch in enumerate(layer.branches):
        end = yield from inside.chain(branch, inside.input, "branches", index, scope=str(index))
        ends[f"branch {index} of `{inside.name}`, `{end}`,"] = end
    shapes = [shape for end in ends.values() if (shape := inside.shape(end)) is not None]
    yield _sum(inside, ends, "branches", joined(shapes, "write the branches out and join them"))


def _projection(given: Shape | None, made: Shape | None) -> str:
    """The shortcut of one layer that makes one shape of another, if that is known and there is one."""
    if given is None or made is None or len(given) != len(made):
        return ""
    if len(made) == 1:
        return f"add `shortcut: [{{kind: linear, out: {made[0]}}}]`"
    stride = [ceil(size / less) for size, less in zip(given[1:], made[1:], strict=True)]
    sizes = tuple((size - 1) // step + 1 for size, step in zip(given[1:], stride, strict=True))
    if len(made) != 3 or sizes != made[1:]:
        return ""
    moves = "" if stride == [1, 1] else f"stride: {stride[0] if stride[0] == stride[1] else stride}, "
    return f"add `shortcut: [{{kind: conv2d, kernel: 1, {moves}out: {made[0]}}}]`"


def _sum(inside: Inside, ends: Mapping[str, str], field: str, help: str = "") -> Node:
    """The sum of branches, given by their words; `field` is where the block writes the first."""
    (first, shape), *others = ((words, inside.shape(end)) for words, end in ends.items())
    misfit = next(
        (
            ShapeError(
                f"{first} makes {list(shape)}, and {words} {list(other)}: only equal shapes can be added",
                help or "make the shapes equal",
                field,
            )
            for words, other in others
            if shape is not None and other is not None and other != shape
        ),
        None,
    )
    return inside.leaf(Add(), tuple(ends.values()), own=True, misfit=misfit)


SEQUENCE = BlockKind("sequence", Sequence, sequence)
RESIDUAL = BlockKind("residual", Residual, residual, own=lambda _: 1)
PARALLEL = BlockKind("parallel", Parallel, parallel, own=lambda _: 1)
