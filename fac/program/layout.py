"""Which axis of a value holds its channels: said by the layers that take one for them, followed through all others.

A kernel takes the first axis of [C, H, W] for channels, `linear` the last one of [T, d]. Nothing is read off the number
of axes: [C, L] and [T, d] have two each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fac.program.program import Node, Shape


@dataclass(frozen=True, slots=True)
class Layout:
    """Of the value that a layer makes."""

    channels: int | None = None
    """The axis of a sample that holds the channels; None if nobody knows, or if there is no such axis."""
    made: bool = True
    """Whether a layer made them, or else an input is taken to have them there."""
    ordered: bool = False
    """Whether the axes were laid out anew since a layer last took that one for channels, by a `permute` or a `reshape`:
    then who multiplies along another one means it, as a layer that mixes tokens."""
    also: int | None = None
    """Another axis that a layer took for channels meanwhile: then who goes on along it does so as that layer did."""


UNKNOWN = Layout()


def of_samples(shape: Shape) -> Layout:
    """Of an input: of a vector its one axis, of a map [channels, height, width] the first; of two axes nobody knows."""
    return UNKNOWN if len(shape) == 2 else Layout(0, made=False)


def layouts(nodes: Iterable[Node], inputs: Mapping[str, Layout]) -> Mapping[str, Layout]:
    """By name, of the inputs too."""
    found = dict(inputs)
    for node in nodes:
        read = [found.get(name, UNKNOWN) for name in node.inputs]
        known = next((layout for layout in read if layout.channels is not None), UNKNOWN)
        found.setdefault(node.name, _made(node, known))
    return found


def _made(node: Node, read: Layout) -> Layout:
    kept, also = _kept(node, read.channels), _kept(node, read.also)
    if node.channels is not None and kept in (None, node.channels):
        return Layout(node.channels, also=None if node.weighted else also)
    if node.weighted and node.channels == 0:
        # A kernel makes channels of its own, in front, whatever it takes for channels; those below lie where they lay.
        return Layout(0, also=kept)
    # Any other that takes another axis for channels mixes places, and the channels stay where they are.
    axes = node.axes or ()
    anew = None in axes or list(axes) != sorted(axis or 0 for axis in axes)
    # Who lays an input out anew knows better where its channels are.
    if kept is None or (anew and not read.made):
        return UNKNOWN
    return Layout(kept, read.made, read.ordered or anew, also if node.channels is None else node.channels)


def _kept(node: Node, axis: int | None) -> int | None:
    """Where an axis of what a node reads first lies in what it makes."""
    axes = node.axes or ()
    return axes.index(axis) if axis is not None and axis in axes else None


def taken(node: Node) -> int | None:
    """Which axis of what it reads first a layer takes for channels."""
    return None if node.channels is None or node.axes is None else node.axes[node.channels]


def mixes(node: Node, found: Mapping[str, Layout]) -> bool:
    """Whether it multiplies along another axis than that of the channels, so that each place has weights of its own."""
    read, axis = found.get(node.inputs[0], UNKNOWN).channels, taken(node)
    return node.weighted and None not in (read, axis) and read != axis


def loses(node: Node, found: Mapping[str, Layout]) -> bool:
    """Whether places differ to it: it lays their channels side by side in one row, as `flatten` does, or mixes them."""
    read, made = (found.get(name, UNKNOWN).channels for name in (node.inputs[0], node.name))
    return read is not None and (made is None or mixes(node, found))


def pools(node: Node, found: Mapping[str, Layout]) -> bool:
    """Whether it makes one vector of all tokens, channel by channel, as their mean is."""
    read, made = (found.get(name, UNKNOWN).channels for name in (node.inputs[0], node.name))
    shape = node.reads[0] if node.reads else ()
    return len(shape) > 1 and read == len(shape) - 1 and made == 0 and len(node.shape or ()) == 1


class Between:
    """Which of some nodes lie on the ways between two, found in two walks for all pairs."""

    def __init__(self, nodes: Sequence[Node], marked: Callable[[Node], bool]) -> None:
        """One bit for each node that is marked."""
        self.marked: list[Node] = []
        self._up, self._down = defaultdict[str, int](int), dict[str, int]()
        own: dict[str, int] = {}
        for node in nodes:
            own[node.name] = marked(node) << len(self.marked)
            self.marked += [node] if own[node.name] else []
            self._down[node.name] = own[node.name]
            for name in node.inputs:
                self._down[node.name] |= self._down.get(name, 0)
        for node in reversed(nodes):
            for name in node.inputs:
                self._up[name] |= self._up[node.name] | own[node.name]

    def of(self, low: str, high: str) -> Iterator[Node]:
        """Those on some way from a node to one above it, which counts itself."""
        bits = self._up.get(low, 0) & self._down.get(high, 0)
        return (node for place, node in enumerate(self.marked) if bits >> place & 1)
