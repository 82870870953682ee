"""What a spec may stand for. What goes beyond is refused before it is written out, as a finding at its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from fac.diagnostics import Path, Rule, SpecError, dotted
from fac.program.kinds import BlockKind
from fac.spec.layers import Layer

TOO_LARGE = Rule("FAC111", "too-large")
MAX_LAYERS = 20_000
"""For how many layers the blocks of a spec may stand, and for how many blocks. So many are checked in seconds."""
MAX_ROUTES = 20_000
"""For how many routes the globs and short-hands of a spec may stand; in a large network three for each layer."""
MAX_MATCHES = 3_000_000
"""How many times a layer may be asked whether a glob, or a short-hand, means it. Takes a second."""


class Size(NamedTuple):
    """What layers of the spec stand for."""

    layers: int = 0
    blocks: int = 0

    def plus(self, other: Size, times: int = 1) -> Size:
        """Both, the other one several times."""
        return Size(self.layers + times * other.layers, self.blocks + times * other.blocks)

    @property
    def most(self) -> int:
        """The larger of the two, which are bounded alike."""
        return max(self)


def too_large(path: Path, message: str, help: str) -> SpecError:
    """The error that carries the finding."""
    return SpecError(f"`{dotted(path)}`: {message}: {help}", (TOO_LARGE.at(path, message, help=help),))


def few_layers(layers: Sequence[Layer], kind_of: Callable[[Layer], Any]) -> None:
    """Refuse blocks that stand for too many layers, by what their kinds say of themselves.

    Raises:
        SpecError: they do. The place is that of the innermost block that does alone, or else of the first one that
            does with those before it.
    """
    total = Size()
    for index, layer in enumerate(layers):
        kind = kind_of(layer)
        if isinstance(kind, BlockKind):
            path: Path = ("layers", index)
            before, total = total, total.plus(size_of(layer, kind, kind_of, path))
            _refuse(total, before, layer, kind, path)


def size_of(layer: Layer, kind: BlockKind, kind_of: Callable[[Layer], Any], path: Path) -> Size:
    """What a block at a path stands for, itself not counted.

    Raises:
        SpecError: one inside stands for too many layers.
    """
    copy = Size(kind.own(layer))
    for place, held in _held(layer):
        inner, before = kind_of(held), copy
        if isinstance(inner, BlockKind):
            here = (*path, *place)
            copy = copy.plus(size_of(held, inner, kind_of, here)).plus(Size(0, 1))
            _refuse(copy, before, held, inner, here)
        else:
            copy = copy.plus(Size(1))
    return Size().plus(copy, _times(layer, kind))


def _times(layer: Layer, kind: BlockKind) -> int:
    return getattr(layer, kind.times) if kind.times else 1


def _refuse(total: Size, before: Size, layer: Layer, kind: BlockKind, path: Path) -> None:
    """Refuse a block with which there are too many layers."""
    if total.most <= MAX_LAYERS:
        return
    what = "layers" if total.layers >= total.blocks else "blocks"
    message = (
        f"with this `{kind.name}` the blocks stand for {total.most:,} {what}, and {MAX_LAYERS:,} are the most"
    )
    times = _times(layer, kind)
    copy = max((after - less) // times for after, less in zip(total, before, strict=True))
    fits = (MAX_LAYERS - before.most) // max(copy, 1)
    help = f"write `{kind.times}: {fits}` or less" if kind.times and fits else "repeat less often"
    raise too_large((*path, kind.times or "kind"), message, help)


def _held(layer: Layer) -> Iterator[tuple[Path, Layer]]:
    """The layers that a block holds, each with its place in it."""
    for name, field in type(layer).model_fields.items():
        stack: list[tuple[Path, object]] = [((field.alias or name,), getattr(layer, name))]
        while stack:
            path, value = stack.pop()
            if isinstance(value, Layer):
                yield path, value
            elif isinstance(value, tuple):
                stack += [((*path, i), item) for i, item in reversed(tuple(enumerate(value)))]
