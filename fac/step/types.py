"""Types of values: a shape whose dimensions may be multiples of the batch size N, and an element type."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Batch:
    """A dimension of `times * N`, where N is the number of samples in the batch."""

    times: int = 1

    def __str__(self) -> str:
        return "N" if self.times == 1 else f"{self.times}N"


Dim = int | Batch
Shape = tuple[Dim, ...]
N = Batch()


class DType(StrEnum):
    """Element types. FLOAT is the precision chosen when a backend emits: float32 or float64."""

    FLOAT = "f"
    INT = "i"
    BOOL = "b"


@dataclass(frozen=True, slots=True)
class Type:
    """What is known of a value before it is computed."""

    shape: Shape
    dtype: DType = DType.FLOAT

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


SCALAR = Type(())


class TypeRuleError(ValueError):
    """Operands that an op does not take. A defect of the compiler or of a plug-in, never of a spec."""


def numel(shape: Shape, n: int) -> int:
    """Number of elements when the batch holds `n` samples."""
    product = 1
    for dim in shape:
        product *= dim.times * n if isinstance(dim, Batch) else dim
    return product


def flat(shape: Shape) -> Dim:
    """The one dimension that holds all of `shape`.

    Raises:
        TypeRuleError: more than one dimension depends on the batch size.
    """
    times, batches = 1, 0
    for dim in shape:
        batches += isinstance(dim, Batch)
        times *= dim.times if isinstance(dim, Batch) else dim
    if batches > 1:
        raise TypeRuleError(f"{shape} is quadratic in the batch size")
    return Batch(times) if batches else times


def broadcast(a: Shape, b: Shape) -> Shape:
    """The common shape of two operands: aligned at the right, 1 stretches (as in NumPy).

    Raises:
        TypeRuleError: two dimensions differ and neither is 1.
    """
    if a == b:
        return a
    width = max(len(a), len(b))
    out: list[Dim] = []
    for x, y in zip((1,) * (width - len(a)) + a, (1,) * (width - len(b)) + b, strict=True):
        if x != y and 1 not in (x, y):
            raise TypeRuleError(f"shapes {a} and {b} do not broadcast")
        out.append(y if x == 1 else x)
    return tuple(out)
