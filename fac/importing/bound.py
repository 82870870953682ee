"""Arrays of a module as layers have them, and what a spec has to say of the difference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fac.backend import Array, Held
from fac.importing.layout import Value, sizes
from fac.program.kinds import NoCounterpartError
from fac.program.program import Shape


@dataclass(frozen=True, slots=True)
class Bound:
    """An array of the module that is one of a layer."""

    held: Held
    shape: Shape
    """As the layer has it."""
    turned: bool = False
    """Whether it is a matrix, and the module has its axes in the other order."""

    @property
    def keys(self) -> tuple[str, ...]:
        """All that the module calls it."""
        return (self.held.key, *self.held.also)

    def taken(self, array: Array) -> Array:
        """What the module has, as the layer has it."""
        return array.reshape(self.shape[::-1]).T if self.turned else array.reshape(self.shape)

    def given(self, array: Array) -> Array:
        """What the layer has, as the module has it."""
        return (array.T if self.turned else array).reshape(self.held.shape)

    def fitted(self, shape: Shape) -> Bound:
        """In the shape that a layer asks for, if axes of 1 make the difference.

        Raises:
            NoCounterpartError: it is another one.
        """
        if shape == self.shape:
            return self
        if self.turned or _wide(shape) != _wide(self.shape):
            raise NoCounterpartError(f"`{self.held.key}` of shape {[*shape]}, not {[*self.shape]}")
        return replace(self, shape=shape)

    def said(self, name: str) -> dict[str, Any] | None:
        """The entry of `state_dict` in a spec; None if the module has it as the layer does.

        Args:
            name: what the layer calls it.
        """
        found: dict[str, Any] = {"array": name}
        if self.keys != (name,):
            found["key"] = self.keys[0] if len(self.keys) == 1 else list(self.keys)
        if self.turned:
            found["transpose"] = True
        if self.held.shape != (self.shape[::-1] if self.turned else self.shape):
            found["shape"] = list(self.held.shape)
        return found if len(found) > 1 else None


def bound(value: Value) -> Bound:
    """The array that a tensor is, seen with other axes, or stretched along new ones.

    Raises:
        NoCounterpartError: it is none, a part of one, or one with axes in another order than those of a matrix turned.
    """
    held = value.array
    if held is None:
        raise NoCounterpartError("an array of the module, and nothing that is computed")
    own = [axis for axis in value.own if axis]
    if _wide(sizes(own)) != _wide(held.shape):
        raise NoCounterpartError(f"all of `{held.key}`, and no part of it")
    atoms = [atom for axis in own for atom in axis]
    seen = [tuple(atom for atom in axis if atom in atoms) for axis in value.axes]
    shape, order = sizes(seen), [atom for axis in seen for atom in axis]
    if order == atoms:
        return Bound(held, shape)
    if len(own) == 2 and order == [*own[1], *own[0]] and len(shape) == 2:
        return Bound(held, shape, turned=True)
    raise NoCounterpartError(f"`{held.key}` as it is kept, and not with its axes in another order")


def _wide(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)
