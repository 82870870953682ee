"""A product with a weight, and what feedback makes of it: the op's own derivatives, with another weight in its place.

y = x * W is linear in both. With d the error at y, the derivative in x is a function of W and d alone: a route through
the product puts F where W stands. The derivative in W is a function of x and d alone: from it F learns, or Q from P d.
So whatever product can be differentiated can be routed, and no rule knows which it is.

Rules see a weight as the matrix [reads, writes] of its first axis and of all others, and an error as rows
[places, reads]: of the samples, or of the samples and whatever else the weight is applied to.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fac.step.builder import Builder
from fac.step.ir import Op, Origin, Phase, Value
from fac.step.ops import OPS
from fac.step.ops.base import Without
from fac.step.types import N, Shape, Type, TypeRuleError, flat


@dataclass(frozen=True, slots=True)
class Contraction:
    """The product that `op` is, of what stands at `place` with the weight W [reads, ...] at the other one."""

    op: Op
    place: int

    @property
    def x(self) -> Value:
        """What the weight is multiplied with."""
        return self.op.operands[self.place]

    @property
    def weight(self) -> Value:
        """W [reads, ...]."""
        return self.op.operands[1 - self.place]

    def misfit(self) -> str | None:
        """Why it is no product in which the first axis of the weight makes the channels of the result, if it is none.

        Completes "the layer ...".
        """
        definition, by = OPS[self.op.kind], f"reads the weight by `{self.op.kind}`"
        axis = definition.channels
        if axis is None:
            return f"{by}: a route through the layer has to find a product with it"
        # Twice as many rows of the weight have to make twice as many channels, whatever the op.
        reads, *rest = self.weight.type.shape
        assert isinstance(reads, int)
        wide = self._with(Value("wide", Type((2 * reads, *rest))))
        expected = list(self.op.result.type.shape)
        expected[axis] = 2 * reads
        try:
            made = definition.type(tuple(v.type for v in wide.operands), dict(wide.attributes)).shape
        except TypeRuleError:
            made = ()
        if made != tuple(expected):
            return f"{by}, in which the first axis of the weight does not make the channels of the result"
        return None

    def matrix(self, b: Builder) -> Value:
        """W as [reads, writes]."""
        return _matrix(b, self.weight)

    def rows(self, b: Builder, error: Value) -> Value:
        """The error of the layer [N, ...] as [places, reads]."""
        return self._rows(b, b.reshape(error, self.op.result.type.shape))

    def sent(self, b: Builder, rows: Value, matrix: Value) -> Value:
        """What [places, r] sends past [r, writes], of the type of x: for `rows` of y and W itself the error of x."""
        return self._derivative(b, self.place, self._with(self._shaped(b, matrix)), rows)

    def taught(self, b: Builder, rows: Value) -> Value:
        """[r, writes]: the gradient of a matrix past which [places, r] is sent; that of W for `rows` of y."""
        return _matrix(b, self._derivative(b, 1 - self.place, self.op, rows))

    def answer(self, b: Builder, matrix: Value) -> Value:
        """[places, r]: x times a matrix [r, writes] in the place of the weight."""
        op = self._with(self._shaped(b, matrix))
        return self._rows(b, b.emit(op.kind, *op.operands, **dict(op.attributes)))

    def _derivative(self, b: Builder, place: int, op: Op, rows: Value) -> Value:
        vjp = OPS[op.kind].derivative(place)
        assert not isinstance(vjp, Without), f"`{op.kind}` has channels, and so a derivative in both operands"
        return vjp(b, op, self._unrows(b, rows))

    def _shaped(self, b: Builder, matrix: Value) -> Value:
        """[r, writes] as a weight."""
        return b.reshape(matrix, (matrix.type.shape[0], *self.weight.type.shape[1:]))

    def _with(self, weight: Value) -> Op:
        """The op with another weight. Derivatives read what the result was made of, never the result itself."""
        return replace(self.op, operands=(self.x, weight) if self.place == 0 else (weight, self.x))

    @property
    def _axis(self) -> int:
        axis = OPS[self.op.kind].channels
        assert axis is not None, "see `misfit`"
        return axis

    def _rows(self, b: Builder, y: Value) -> Value:
        """[..., r, ...], r where the op has its channels, as [places, r]."""
        axis, count = self._axis, len(y.type.shape)
        if axis != count - 1:
            y = b.transpose(y, (*(i for i in range(count) if i != axis), axis))
        *places, channels = y.type.shape
        return b.reshape(y, (flat(tuple(places)), channels))

    def _unrows(self, b: Builder, rows: Value) -> Value:
        """[places, r] as the op lays its result out."""
        axis, shape = self._axis, self.op.result.type.shape
        places = [dim for i, dim in enumerate(shape) if i != axis]
        last = len(places)
        value = b.reshape(rows, (*places, rows.type.shape[1]))
        return value if axis == last else b.transpose(value, (*range(axis), last, *range(axis, last)))


def product(x: Value, weight: Value) -> Contraction:
    """x W^T of x [N, writes] and W [reads, writes], without an op in any function: for operators that stand alone."""
    y = Value("product", Type((N, weight.type.shape[0])))
    op = Op("matmul", (x, weight), (("ta", False), ("tb", True)), y, Origin("", Phase.FORWARD))
    return Contraction(op, 0)


def pretended(x: Value, reads: int) -> Contraction:
    """What an operator that leads straight to x [N, writes] stands for: a product with a weight that there is not.

    It sends, teaches and answers as any other does; nothing of that reads the weight.
    """
    return product(x, Value("pretended", Type((reads, x.type.shape[1]))))


def _matrix(b: Builder, weight: Value) -> Value:
    first, *rest = weight.type.shape
    shape: Shape = (first, flat(tuple(rest)))
    return b.reshape(weight, shape)
