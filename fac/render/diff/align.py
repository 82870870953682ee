"""Which layer of one network is which of another: by name where people gave names, else by kind and position."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from fac.program.lower import kind_of
from fac.program.program import INPUT, LOSS, Node, Program, Subspace
from fac.render.diff.matching import Pairs, matching, rising
from fac.render.diff.models import described

GONE = "\0"
"""In front of the name of what the new spec does not have; no layer has such a name."""


@dataclass(frozen=True)
class Alignment:
    """Pairs of an old and a new layer, in the order of the new network, and those without a partner."""

    pairs: tuple[tuple[Node, Node], ...]
    removed: tuple[Node, ...]
    added: tuple[Node, ...]
    moved: frozenset[str]
    """New names of those that stand in another order."""
    fixed: frozenset[str] = frozenset({INPUT, LOSS})
    """What has its name in both specs, and is no layer: inputs, and the loss."""

    @cached_property
    def layers(self) -> Mapping[str, str]:
        """New names by old names."""
        return {old.name: new.name for old, new in self.pairs}

    def called(self, name: str) -> str:
        """What the new spec calls an old layer, `input` or `loss`; a name that nothing has if it is gone."""
        return name if name in self.fixed else self.layers.get(name, f"{GONE}{name}")


def align(old: Program, new: Program) -> Alignment:
    """Match two networks. The way back gives the same pairs."""
    first, second = _keys(old), _keys(new)
    # Ties are broken by order, so one order is chosen for both directions.
    if first <= second:
        pairs, moved = _aligned(old.nodes, new.nodes)
    else:
        pairs, moved = _aligned(new.nodes, old.nodes)
        pairs, moved = [(i, j) for j, i in pairs], {(i, j) for j, i in moved}
    matched, taken = {i for i, _ in pairs}, {j for _, j in pairs}
    return Alignment(
        tuple((old.nodes[i], new.nodes[j]) for i, j in sorted(pairs, key=lambda pair: pair[1])),
        tuple(node for i, node in enumerate(old.nodes) if i not in matched),
        tuple(node for j, node in enumerate(new.nodes) if j not in taken),
        frozenset(new.nodes[j].name for _, j in moved),
        frozenset({INPUT, LOSS, *(old.inputs.keys() & new.inputs.keys())}),
    )


def same_subspaces(
    old: Sequence[Subspace], new: Sequence[Subspace], alignment: Alignment
) -> list[tuple[Subspace, Subspace]]:
    """Pairs of subspaces: by name, then those that are equal in all but their names."""
    named = {subspace.name: subspace for subspace in new}
    pairs = [(subspace, named[subspace.name]) for subspace in old if subspace.name in named]
    left: dict[str, list[Subspace]] = {}
    for subspace in old:
        if subspace.name not in named:
            left.setdefault(_reading(subspace, alignment.called(subspace.of)), []).append(subspace)
    taken = {subspace.name for _, subspace in pairs}
    for subspace in new:
        partners = left.get(_reading(subspace, subspace.of))
        if subspace.name not in taken and partners:
            pairs.append((partners.pop(0), subspace))
    return pairs


def _reading(subspace: Subspace, of: str) -> str:
    return repr((of, subspace.rank, described(subspace.basis)))


def _keys(program: Program) -> list[tuple[str, str]]:
    return [(node.name, _sign(node)) for node in program.nodes]


def _sign(node: Node) -> str:
    """What two layers share that may well be one under two names."""
    return repr(described(node.layer, ("name", "from_", "trainable")))


def _kind(node: Node) -> str:
    return str(kind_of("fac.layers", node.layer).name)


def _aligned(old: Sequence[Node], new: Sequence[Node]) -> tuple[Pairs, set[tuple[int, int]]]:
    """All pairs of places, and which of them are out of order."""
    place = {node.name: j for j, node in enumerate(new)}
    anchors = [
        (i, place[node.name])
        for i, node in enumerate(old)
        if node.name in place and (node.layer.name or new[place[node.name]].layer.name)
    ]
    chain = [anchors[at] for at in rising([j for _, j in anchors])]
    anchored, taken = {i for i, _ in anchors}, {j for _, j in anchors}
    pairs = list(anchors)
    for olds, news in _between(chain, len(old), len(new)):
        pairs += _in_gap(
            old, new, [i for i in olds if i not in anchored], [j for j in news if j not in taken]
        )
    return pairs, set(anchors) - set(chain)


def _in_gap(old: Sequence[Node], new: Sequence[Node], olds: list[int], news: list[int]) -> Pairs:
    """Layers between two that are surely the same: equal ones first, then what is left between these."""
    equal = matching([_sign(old[i]) for i in olds], [_sign(new[j]) for j in news])
    pairs = [(olds[i], news[j]) for i, j in equal]
    for some, others in _between(equal, len(olds), len(news)):
        pairs += _by_kind(old, new, [olds[i] for i in some], [news[j] for j in others])
    return pairs


def _by_kind(old: Sequence[Node], new: Sequence[Node], olds: list[int], news: list[int]) -> Pairs:
    """All, if the kinds agree one by one; else those that nobody named, in their order."""
    if [_kind(old[i]) for i in olds] == [_kind(new[j]) for j in news]:
        return list(zip(olds, news, strict=True))
    places: dict[str, deque[int]] = defaultdict(deque)
    for j in news:
        if not new[j].layer.name:
            places[_kind(new[j])].append(j)
    pairs: Pairs = []
    for i in olds:
        queue = places[_kind(old[i])] if not old[i].layer.name else deque()
        while queue and pairs and queue[0] < pairs[-1][1]:
            queue.popleft()
        if queue:
            pairs.append((i, queue.popleft()))
    return pairs


def _between(pairs: Pairs, n: int, m: int) -> Iterator[tuple[range, range]]:
    """The stretches between neighbouring pairs, before the first and after the last."""
    i = j = 0
    for a, b in (*pairs, (n, m)):
        if a > i or b > j:
            yield range(i, a), range(j, b)
        i, j = a + 1, b + 1
