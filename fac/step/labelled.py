"""Rows that hold one number each, at their label: what class labels are as an error. Products with them are gathers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fac.step.builder import Builder, Operand
from fac.step.ir import Value
from fac.step.ops.losses import one_hot
from fac.step.types import Shape, Type


@dataclass(frozen=True, slots=True)
class Labelled:
    """[rows, classes], zero but for `number` at `label`."""

    label: Value
    """INT [rows], each a class."""
    number: Value
    """FLOAT [rows, 1], or a scalar for all; 0 in rows that do not count."""
    classes: int

    @property
    def shape(self) -> Shape:
        """Of the rows, written out."""
        return (*self.label.type.shape, self.classes)

    def times(self, b: Builder, factor: Operand) -> Labelled:
        """All numbers times a factor."""
        return replace(self, number=b.mul(self.number, factor))

    def whole(self, b: Builder) -> Value:
        """Written out, with all zeros."""
        like = Value("rows", Type(self.shape))
        return b.mul(one_hot(b, like, self.label), self.number)

    def product(self, b: Builder, matrix: Value) -> Value:
        """[rows, r]: these rows times [classes, r], without a product: the row of each label."""
        return b.mul(b.emit("gather", matrix, self.label), self.number)

    def taught(self, b: Builder, x: Value) -> Value:
        """[classes, k]: these rows, transposed, times [rows, k]: of each class the sum of what has its label."""
        return b.emit("scatter", b.mul(x, self.number), self.label, rows=self.classes)
