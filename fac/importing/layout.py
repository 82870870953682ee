"""Where the numbers of a tensor come from: axes made of the axes of what a layer makes.

Networks of other frameworks move axes about, most of all around attention. Here a view or a transposition is no layer:
it says of a tensor how its axes are made of those of the layer below, and what undoes another one leaves nothing. Only
where a layer reads numbers in another order than they are in does a `permute` or `reshape` come of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod

from fac.backend import Held


@dataclass(frozen=True, eq=False, slots=True)
class Atom:
    """A piece of an axis that nothing has cut yet. Two of one size are two."""

    size: int
    batch: bool = False


Axis = tuple[Atom, ...]
"""Atoms, the slowest first; none of them has size 1, so that an axis of size 1 has none."""


class MixedError(Exception):
    """Axes that cannot be said by cutting and joining those that there are."""


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor: what a layer makes, or an array, seen with other axes."""

    node: str
    """The layer, or empty for an array."""
    own: tuple[Axis, ...]
    """The axes of a sample as the layer makes it, or those of the array as it is kept, or of its first rows."""
    axes: tuple[Axis, ...]
    """The axes of the tensor: the same atoms, and that of the batch if a layer makes it, or those along which an array
    is stretched."""
    array: Held | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the tensor."""
        return sizes(self.axes)

    @property
    def sample(self) -> tuple[int, ...]:
        """Of what the layer makes."""
        return sizes(self.own)

    @property
    def batch(self) -> int:
        """The axis along which the batch lies, alone or not."""
        return next(i for i, axis in enumerate(self.axes) if any(atom.batch for atom in axis))

    @property
    def alone(self) -> bool:
        """Whether the batch has an axis of its own."""
        return any(len(axis) == 1 and axis[0].batch for axis in self.axes)

    @property
    def plain(self) -> bool:
        """Whether the tensor is a batch of what the layer makes, or the array as it is kept."""
        first = self.axes if self.array else self.axes[1:]
        return first == self.own and (self.array is not None or (self.alone and self.batch == 0))

    def permuted(self, order: Sequence[int]) -> Value:
        """With its axes in another order."""
        return replace(self, axes=tuple(self.axes[i] for i in order))

    def swapped(self, a: int, b: int) -> Value:
        """With two axes in each other's place."""
        order = [*range(len(self.axes))]
        order[a], order[b] = order[b], order[a]
        return self.permuted(order)

    def stretched(self, shape: Sequence[int]) -> Value:
        """An array with the same numbers all along axes of 1, and along new ones in front."""
        before: tuple[Axis, ...] = ((),) * (len(shape) - len(self.axes))
        axes = (*before, *self.axes)
        return replace(
            self,
            axes=tuple(
                axis if sizes((axis,)) == (size,) else fresh((size,))[0]
                for axis, size in zip(axes, shape, strict=True)
            ),
        )

    def shortened(self, axis: int, size: int) -> Value:
        """An array with the first rows alone: along an axis that is one of its own."""
        new = fresh((size,))[0]
        at = self.own.index(self.axes[axis])
        return replace(
            self,
            own=(*self.own[:at], new, *self.own[at + 1 :]),
            axes=(*self.axes[:axis], new, *self.axes[axis + 1 :]),
        )

    def viewed(self, shape: Sequence[int]) -> Value:
        """With other axes, whose sizes are given.

        Raises:
            MixedError: an axis would be made of parts of two that do not lie side by side, or cuts the batch.
        """
        left, cut, made = [atom for axis in self.axes for atom in axis], dict[Atom, Axis](), list[Axis]()
        for size in shape:
            axis, need = list[Atom](), size
            while need > 1:
                if not left:
                    raise MixedError
                atom = left.pop(0)
                if need % atom.size == 0:
                    axis.append(atom)
                    need //= atom.size
                    continue
                if atom.size % need or atom.batch:
                    raise MixedError
                parts = Atom(need), Atom(atom.size // need)
                cut[atom] = parts
                axis.append(parts[0])
                left.insert(0, parts[1])
                need = 1
            made.append(tuple(axis))
        if left:
            raise MixedError
        return replace(self, own=tuple(_cut(axis, cut) for axis in self.own), axes=tuple(made))


def _cut(axis: Axis, cut: dict[Atom, Axis]) -> Axis:
    """An axis whose atoms may be in parts, and these parts again."""
    return tuple(part for atom in axis for part in (_cut(cut[atom], cut) if atom in cut else (atom,)))


def sizes(axes: Iterable[Axis]) -> tuple[int, ...]:
    """How long each axis is."""
    return tuple(prod(atom.size for atom in axis) for axis in axes)


def fresh(shape: Iterable[int]) -> tuple[Axis, ...]:
    """Axes of their own."""
    return tuple((Atom(size),) if size > 1 else () for size in shape)


def made(node: str, shape: Sequence[int], before: Sequence[Axis], behind: Sequence[Axis] = ()) -> Value:
    """What a layer makes, of which the first axes are those of a tensor that it reads, batch and all.

    Args:
        node: the layer.
        shape: of a sample.
        before: axes of the tensor.
        behind: those at the end; by default there are new ones.
    """
    kept = [part for axis in before for part in split(axis)]
    rest = tuple(behind) or fresh(shape[len(kept) :])
    return Value(node, (*kept, *rest), (*before, *rest))


def split(axis: Axis) -> tuple[Axis, ...]:
    """The axes of a sample that an axis of a tensor stands for: itself, or what is beside the batch, piece by piece."""
    if not any(atom.batch for atom in axis):
        return (axis,)
    return tuple((atom,) for atom in axis if not atom.batch)
