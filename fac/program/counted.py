"""Which places of a value count, as masks say: what they leave out is read by nobody on any way to a loss.

Places are what stands along the first axes of a sample, such as tokens. Followed from the losses down, layer by layer:
who says nothing goes from each place to the same one if the axes stay, and reads all places if they do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fac.program.program import Node, Shape


@dataclass(frozen=True, slots=True)
class Sight:
    """Which places of one of its inputs a layer reads, if not all that count of what it makes."""

    masked: bool = False
    """Those where its mask is 1, which it reads last."""
    at: int | None = None
    """This place alone. With `masked` it is one of the mask, which says it of the whole input."""
    besides: bool = False
    """Whether `masked` ones are read besides, by others, and each place goes on to the same one too."""
    whole: bool = False
    """All, for each place that it makes: as an attention without a mask does, or a norm along the places."""
    shift: int = 0
    """How many places its output has before the first of the input."""
    place: int | None = None
    """The whole input is this one place of what it makes."""


@dataclass(frozen=True, slots=True)
class Counted:
    """The places where a mask is 1."""

    mask: str
    """An input of the network."""
    at: int | None = None
    """One place of the mask, which says it of the whole sample; None if each says it of its own."""
    skip: int = 0
    """How many places of the mask come before the first of the value."""


Known = frozenset[Counted] | None
"""Those of any of these count, of none: nobody reads more than single places; None if all may."""


def counted(
    nodes: Sequence[Node],
    masks: Mapping[str, Shape],
    heads: Mapping[str, Known],
    losing: Callable[[Node], bool],
) -> Mapping[str, Counted]:
    """For the values of which a single mask says it, by the names of nodes.

    Args:
        nodes: each behind those that it reads.
        masks: their shapes, by name.
        heads: what losses read of their outputs.
        losing: whether places differ to a layer, so that what it makes of one depends on others.
    """
    if not masks:
        return {}
    known = dict(heads)
    for node in reversed(nodes):
        if node.name not in known or node.stops:
            continue
        for place, name in enumerate(node.inputs):
            seen = _seen(node, place, known[node.name], masks, losing)
            known[name] = _joined(known[name], seen) if name in known else seen
    found: dict[str, Counted] = {}
    for node in nodes:
        of = known.get(node.name)
        if of is not None and len(of) == 1:
            (found[node.name],) = of
        elif of is not None and not of and (one := _below(node, found, masks, losing)) is not None:
            found[node.name] = one
    return found


def _seen(
    node: Node, place: int, made: Known, masks: Mapping[str, Shape], losing: Callable[[Node], bool]
) -> Known:
    """What counts of an input of a node if this counts of its output."""
    sight = node.sights[place] if place < len(node.sights) else None
    if sight is None:
        return _passed(node, place, made, masks, losing)
    if sight.whole:
        return made if made and all(c.at is not None for c in made) else None
    if sight.masked:
        own = frozenset({Counted(node.inputs[-1], sight.at)})
        return _joined(own, _passed(node, place, made, masks, losing)) if sight.besides else own
    if sight.place is not None:
        if any(c.at is None and len(masks[c.mask]) > 1 for c in made or ()):
            return None
        return made and frozenset(
            replace(c, at=c.skip + sight.place, skip=0) if c.at is None else c for c in made
        )
    if sight.at is None:
        return made and frozenset(replace(c, skip=c.skip + sight.shift) if c.at is None else c for c in made)
    # Of the other places it says nothing.
    steps = node.reads[place][:1]
    return frozenset(
        Counted(c.mask) if c.at == sight.at and masks[c.mask] == steps else c
        for c in made or ()
        if c.at is not None
    )


def _passed(
    node: Node, place: int, made: Known, masks: Mapping[str, Shape], losing: Callable[[Node], bool]
) -> Known:
    """The same where each place goes to the same one; what counts of a whole sample does so of all that makes it."""
    if made is None or all(c.at is not None or _kept(node, place, len(masks[c.mask]), losing) for c in made):
        return made
    return None


def _kept(node: Node, place: int, axes: int, losing: Callable[[Node], bool]) -> bool:
    """Whether so many axes of an input are the first ones of the output, in front of others."""
    read, shape = node.reads[place] if node.reads else (), node.shape or ()
    if len(read) <= axes or len(shape) <= axes or read[:axes] != shape[:axes] or losing(node):
        return False
    return place > 0 or (node.axes or ())[:axes] == tuple(range(axes))


def _joined(one: Known, other: Known) -> Known:
    return None if one is None or other is None else one | other


def _below(
    node: Node, found: Mapping[str, Counted], masks: Mapping[str, Shape], losing: Callable[[Node], bool]
) -> Counted | None:
    """What counts of the tokens that a node makes its own of, where all above select single ones."""
    for place, name in enumerate(node.inputs):
        one = found.get(name)
        if one is not None and one.at is None and _kept(node, place, len(masks[one.mask]), losing):
            return one
    return None
