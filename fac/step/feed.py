"""What a batch is made of: the arrays that a compiled spec is fed with, beside its state."""

from __future__ import annotations

from collections.abc import Collection, Sequence
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
    def of(self) -> str:
        """Which array a sample is of, for messages, where the spec calls it by a name of its own."""
        return "" if self.name in ("x", "y") else f" of `{self.name}`"

    @property
    def type(self) -> Type:
        """Of the input of the functions."""
        return Type((N, *self.shape), DType.FLOAT if self.classes is None else DType.INT)


def fed(value: Value) -> bool:
    """Whether an input of a function is an array of a batch: it has an axis of samples, which no state has."""
    return value.type.shape[:1] == (N,)


def matched(names: Collection[str], feeds: Sequence[Feed]) -> dict[str, str]:
    """For each feed that has an array the name of that: its own, or `x` for the only input, `y` for the only target.

    Masks do not count as inputs there, as they do not where a layer reads the only one.
    """
    found = {feed.name: feed.name for feed in feeds if feed.name in names}
    for short, target in (("x", False), ("y", True)):
        alike = [feed.name for feed in feeds if (feed.loss is not None) == target and not feed.mask]
        if len(alike) == 1 and short in names:
            found.setdefault(alike[0], short)
    return found
