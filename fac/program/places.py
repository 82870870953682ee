"""Which places of one value are those of another: along each axis a number, the same where the places are the same.

Followed from the inputs up: an axis that stays keeps its places, what is added up unites them, and a weight, a
`reshape` or another length makes new ones. A stack of what was made of each element of a sequence has the places of
that. Keys and values are looked at, and do not unite with queries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fac.program.nodes import Node, Shape


Copies = Mapping[str, tuple[str, int]]
"""For the scope of each copy in a block the block, and the place of what this one makes."""


class Places:
    """Of all values of a network."""

    def __init__(
        self, nodes: Iterable[Node], inputs: Mapping[str, Shape], scopes: Mapping[str, str], copies: Copies
    ) -> None:
        """Follow them from these inputs, which are no masks; `scopes` are those around each block, and each copy."""
        self._scopes, self._copies = scopes, copies
        self._parents: list[int] = []
        self._sizes: list[int] = []
        self._axes = {name: tuple(map(self._new, shape)) for name, shape in inputs.items()}
        self._elements: dict[str, Mapping[int, int]] = {}
        """For a value the last element of each sequence that it is made of."""
        self._taken: dict[tuple[str, int], set[tuple[int, int]]] = {}
        """For a place of what a block gathers the elements of sequences that its copy takes."""
        for node in nodes:
            if node.shape is not None and node.name not in self._axes:
                self._axes[node.name] = self._made(node, node.shape)
                self._elements[node.name] = self._of(node)

    def same(self, one: str, other: str, count: int, skip: int = 0) -> bool:
        """Whether the first axes of a value, so many, are those of another behind its first ones."""
        first, second = self._axes.get(one, ())[:count], self._axes.get(other, ())[skip : skip + count]
        return len(first) == count and list(map(self._root, first)) == list(map(self._root, second))

    def _new(self, size: int) -> int:
        self._parents.append(len(self._parents))
        self._sizes.append(size)
        return self._parents[-1]

    def _root(self, axis: int) -> int:
        while self._parents[axis] != axis:
            self._parents[axis] = axis = self._parents[self._parents[axis]]
        return axis

    def _made(self, node: Node, shape: Shape) -> tuple[int, ...]:
        read, axes = self._axes.get(node.inputs[0], ()), node.axes or ()
        if len(axes) != len(shape):
            axes = (None,) * len(shape)
        made: list[int] = []
        for axis, (size, of) in enumerate(zip(shape, axes, strict=True)):
            anew = of is None or of >= len(read) or (node.weighted and axis == node.channels)
            kept = None if anew or of is None or self._sizes[read[of]] != size else read[of]
            made.append(self._new(size) if kept is None else kept)
        if stacks(node):
            for sequence in self._stacked(node):
                self._parents[self._root(made[0])] = self._root(sequence)
            return tuple(made)
        for place, name in enumerate(node.inputs[1:], 1):
            other = self._axes.get(name, ())
            if sighted(node, place) or len(other) != len(made):
                continue
            for one, two in zip(made, other, strict=True):
                if self._sizes[one] == self._sizes[two]:
                    self._parents[self._root(two)] = self._root(one)
        return tuple(made)

    def _of(self, node: Node) -> Mapping[int, int]:
        found: dict[int, int] = {}
        for place, name in enumerate(node.inputs):
            for sequence, element in self._elements.get(name, {}).items():
                found[sequence] = max(element, found.get(sequence, element))
            sight = node.sights[place] if place < len(node.sights) else None
            if sight is not None and sight.at is not None and not sight.masked and name in self._axes:
                found[self._axes[name][0]] = sight.at
                scope = node.scope
                while scope:
                    if scope in self._copies:
                        self._taken.setdefault(self._copies[scope], set()).add(
                            (self._axes[name][0], sight.at)
                        )
                    scope = self._scopes.get(scope, "")
        return {} if stacks(node) else found

    def _stacked(self, node: Node) -> Iterable[int]:
        """The sequences of all elements of which, in their order, a stack is made."""
        found: set[int] | None = None
        for place, name in enumerate(node.inputs):
            # What a copy takes, it is of: its state may be made of any others.
            elements = {*self._elements.get(name, {}).items(), *self._taken.get((node.name, place), ())}
            own = {self._root(sequence) for sequence, at in elements if at == place}
            found = own if found is None else found & own
        return [sequence for sequence in found or () if self._sizes[sequence] == len(node.inputs)]


def stacks(node: Node) -> bool:
    """Whether each of its inputs is one place of what it makes."""
    return bool(node.sights) and all(sight is not None and sight.place is not None for sight in node.sights)


def sighted(node: Node, place: int) -> bool:
    """Whether it says which places of that input it reads: if not, each goes to the same one."""
    return place < len(node.sights) and node.sights[place] is not None


def led(nodes: Sequence[Node], root: str) -> frozenset[str]:
    """From which values some way leads to one without being looked at, as keys and values are."""
    found = {root}
    for node in reversed(nodes):
        if node.name not in found or node.stops:
            continue
        for place, name in enumerate(node.inputs):
            sight = node.sights[place] if place < len(node.sights) else None
            every = sight is not None and (sight.whole or (sight.masked and sight.at is None))
            if not (place and every):
                found.add(name)
    return frozenset(found)


def copies_of(nodes: Iterable[Node], outputs: Mapping[str, str], scopes: Mapping[str, str]) -> Copies:
    """In blocks that gather what their copies make.

    Args:
        nodes: in order.
        outputs: of blocks, by their names.
        scopes: around each block, and each copy.
    """
    scope_of = {node.name: node.scope for node in nodes}
    found: dict[str, tuple[str, int]] = {}
    for node in nodes:
        if stacks(node) and outputs.get(node.name) == node.name:
            for place, name in enumerate(node.inputs):
                scope = scope_of.get(name, "")
                while scope and scopes.get(scope) != node.name:
                    scope = scopes.get(scope, "")
                if scope:
                    found[scope] = node.name, place
    return found
