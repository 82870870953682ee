"""What a batch is made of: the arrays that a compiled spec is fed with, beside its state."""

from __future__ import annotations

from dataclasses import dataclass

from fac.step.ir import Value
from fac.step.types import DType, N, Type


@dataclass(frozen=True, slots=True)
class Feed:
    """One array of a batch, of as many samples as every other."""

    name: str
    """Of the input of the functions: `x` and `y`, or what the spec calls it."""
    shape: tuple[int, ...]
    """Of one sample."""
    loss: str | None = None
    """The kind of the loss whose target it is; None of what the network reads."""
    classes: int | None = None
    """Whole numbers from 0 to classes - 1, INT; None for real numbers, FLOAT."""
    within: tuple[float, float] | None = None
    """Between which numbers it has to lie, both included."""
    mask: bool = False
    """Whether it says which places of another one count: 1 where they do, 0 where not."""
    ignored: int | None = None
    """The label of what does not count, which need not be one of the classes."""
    origin: str = "input"
    """Where the spec asks for it, for messages."""

    @property
    def type(self) -> Type:
        """Of the input of the functions."""
        return Type((N, *self.shape), DType.FLOAT if self.classes is None else DType.INT)


def fed(value: Value) -> bool:
    """Whether an input of a function is an array of a batch: it has an axis of samples, which no state has."""
    return value.type.shape[:1] == (N,)
