"""What measures directions and shares must not see scales: tensors are divided by their largest magnitude first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.ops.norms import nonzero
from fac.step.types import DType


@dataclass(frozen=True, slots=True)
class Scaled:
    """Tensors, as if stacked, over their largest magnitude: an entry is 1 or -1, and the sum of squares at least 1."""

    values: tuple[Value, ...]
    unit: Value
    """The largest magnitude, 1 where all is zero."""
    seen: Value
    """FLOAT 1, and 0 where all is zero."""


def scaled(b: Builder, xs: Sequence[Value], axes: tuple[int, ...] | None = None) -> Scaled:
    """Scaled as a whole, or along `axes`, which `unit` and `seen` keep as 1."""
    magnitudes = [b.max_abs(x, axes, keep=axes is not None) for x in xs]
    largest = magnitudes[0]
    for magnitude in magnitudes[1:]:
        largest = b.maximum(largest, magnitude)
    unit = nonzero(b, largest)
    return Scaled(tuple(b.div(x, unit) for x in xs), unit, b.cast(b.less(0.0, largest), DType.FLOAT))


def defined(b: Builder, value: Value, seen: Value) -> Value:
    """`value` where `seen` is 1; where it is 0, NaN, which stands for *undefined* in all that reads probes."""
    return b.div(b.mul(value, seen), seen)
