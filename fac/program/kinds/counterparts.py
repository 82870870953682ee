"""What other frameworks call a layer, so that `fac import` finds it in their networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fac.plugins import Refusal
from fac.spec.layers import Layer

Reads = Literal["numbers", "any", "last", "sample"]
"""Of which tensors an operation means the layer.

* `numbers`: any; it treats all numbers alike.
* `any`: with the batch along an axis of its own.
* `last`: it acts along the last axis, or the last few, and the batch is no part of these.
* `sample`: with the batch first.
"""


class NoCounterpartError(Refusal):
    """An operation that no layer is, with these arguments: what would be needed."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An operation in a graph, as far as a layer can ask."""

    args: Mapping[str, Any]
    """Its arguments by name, but for tensors; defaults are among them."""
    shapes: Mapping[str, tuple[int, ...]]
    """Of the arguments that are tensors and that are given."""
    axis: Callable[[int], int]
    """From an axis of the first tensor, of a batch, to that of a sample."""

    def only(self, name: str, *wanted: Any, need: str) -> None:
        """Refuse an argument with another value than these.

        Raises:
            NoCounterpartError: naming what would be needed.
        """
        if self.args.get(name) not in wanted:
            raise NoCounterpartError(need)


@dataclass(frozen=True, slots=True)
class Counterpart:
    """An operation of another framework that is a layer."""

    op: str
    """`aten.linear` of PyTorch, see `fac.backend.Call`."""
    layer: Callable[[Seen], Layer]
    """The layer that an operation is, without a name. Raises NoCounterpartError."""
    reads: Reads = "numbers"
    arrays: tuple[str, ...] = ()
    """Arguments that are arrays of the layer, which calls them alike."""
    input: str = "input"
    """The argument that it reads."""
    random: bool = False
    """Whether it is there in training alone."""


def same(values: Any) -> Any:
    """`[3, 3]`, or `[3]`, as the one number that it stands for; what else there is as a tuple."""
    if not isinstance(values, list | tuple):
        return values
    return values[0] if len(set(values)) == 1 else tuple(values)
