"""A product with a weight, and what feedback makes of it: the op's own derivatives, with another weight in its place.

y = x * W is linear in both. With d the error at y, whatever a layer makes of y, the derivative in x is a function of W
and d alone: a route through the product puts F where W stands. The derivative in W is a function of x and d alone: from
it F learns, or Q from P d. So whatever product can be differentiated can be routed, and no rule knows which it is.

Rules see a weight as the matrix [reads, writes] of the axis that makes the channels of y and of all others, and an
error as rows [places, reads]: of the samples, or of the samples and whatever else the weight is applied to. Where
groups of channels do not mix, each has rows of its own in that matrix, and what they write stays in the group.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fac.step.builder import Builder
from fac.step.ir import Op, Origin, Phase, Value
from fac.step.ops import OPS
from fac.step.ops.base import Without
from fac.step.types import Dim, Shape, Type, TypeRuleError, flat


@dataclass(frozen=True, slots=True)
class Contraction:
    """The product that `op` is, of what stands at `place` with the weight W at the other one."""

    op: Op
    place: int

    @property
    def x(self) -> Value:
        """What the weight is multiplied with."""
        return self.op.operands[self.place]

    @property
    def weight(self) -> Value:
        """W, as the op reads it."""
        return self.op.operands[1 - self.place]

    @property
    def groups(self) -> int:
        """How many products there are side by side."""
        found = dict(self.op.attributes).get("groups", 1)
        assert isinstance(found, int)
        return found

    @property
    def reads_axis(self) -> int:
        """Of the weight: which makes the channels of the result."""
        return self._axes[1]

    def misfit(self) -> str | None:
        """Why it is no product in which one axis of the weight makes the channels of the result, if it is none.

        Completes "the layer ...".
        """
        definition, by = OPS[self.op.kind], f"reads the weight by `{self.op.kind}`"
        if definition.channels is None:
            return f"{by}: a route through the layer has to find a product with it"
        # Twice as many rows of the weight have to make twice as many channels, whatever the op.
        axis, own = definition.channels
        wide, expected = list(self.weight.type.shape), list(self.op.result.type.shape)
        reads = wide[own]
        assert isinstance(reads, int)
        wide[own], expected[axis] = 2 * reads, 2 * reads * (self.groups if own else 1)
        doubled = self._with(Value("doubled", Type(tuple(wide))))
        try:
            made = definition.type(tuple(v.type for v in doubled.operands), dict(doubled.attributes)).shape
        except TypeRuleError:
            made = ()
        if made != tuple(expected):
            which = ("first", "second")[own]
            return f"{by}, in which the {which} axis of the weight does not make the channels of the result"
        return None

    def matrix(self, b: Builder) -> Value:
        """W as [reads, writes]."""
        return self.flat(b, self.weight)

    def flat(self, b: Builder, kept: Value) -> Value:
        """W, or what is kept as it is, as [reads, writes]."""
        return self._flat(b, b.reshape(kept, self.weight.type.shape))

    def kept(self, b: Builder, matrix: Value, shape: Shape) -> Value:
        """[reads, writes] in that shape, in which W is kept."""
        return b.reshape(self._shaped(b, matrix), shape)

    def rows(self, b: Builder, error: Value) -> Value:
        """The error at the result of the product, of its shape, as [places, reads]."""
        return self._rows(b, error)

    def sent(self, b: Builder, rows: Value, matrix: Value) -> Value:
        """What [places, r] sends past [r, writes], of the type of x: for `rows` of y and W itself the error of x."""
        return self._derivative(b, self.place, self._with(self._shaped(b, matrix)), rows)

    def taught(self, b: Builder, rows: Value) -> Value:
        """[r, writes]: the gradient of a matrix past which [places, r] is sent; that of W for `rows` of y."""
        return self._flat(b, self._derivative(b, 1 - self.place, self.op, rows))

    def answer(self, b: Builder, matrix: Value) -> Value:
        """[places, r]: x times a matrix [r, writes] in the place of the weight."""
        op = self._with(self._shaped(b, matrix))
        return self._rows(b, b.emit(op.kind, *op.operands, **dict(op.attributes)))

    def _derivative(self, b: Builder, place: int, op: Op, rows: Value) -> Value:
        vjp = OPS[op.kind].derivative(place)
        assert not isinstance(vjp, Without), f"`{op.kind}` has channels, and so a derivative in both operands"
        return vjp(b, op, self._unrows(b, rows))

    def _flat(self, b: Builder, weight: Value) -> Value:
        """A weight of any number of channels as a matrix."""
        return matrix_of(b, weight, self.reads_axis, self.groups)

    def _shaped(self, b: Builder, matrix: Value) -> Value:
        """[r, writes] as the op reads it."""
        return weight_of(b, matrix, self.weight.type.shape, self.reads_axis, self.groups)

    def _with(self, weight: Value) -> Op:
        """The op with another weight. Derivatives read what the result was made of, never the result itself."""
        return replace(self.op, operands=(self.x, weight) if self.place == 0 else (weight, self.x))

    @property
    def _axes(self) -> tuple[int, int]:
        axes = OPS[self.op.kind].channels
        assert axes is not None, "see `misfit`"
        return axes

    def _rows(self, b: Builder, y: Value) -> Value:
        """[..., r, ...], r where the op has its channels, as [places, r]."""
        axis, count = self._axes[0], len(y.type.shape)
        if axis != count - 1:
            y = b.transpose(y, (*(i for i in range(count) if i != axis), axis))
        *places, channels = y.type.shape
        return b.reshape(y, (flat(tuple(places)), channels))

    def _unrows(self, b: Builder, rows: Value) -> Value:
        """[places, r] as the op lays its result out."""
        axis, shape = self._axes[0], self.op.result.type.shape
        places = [dim for i, dim in enumerate(shape) if i != axis]
        last = len(places)
        value = b.reshape(rows, (*places, rows.type.shape[1]))
        return value if axis == last else b.transpose(value, (*range(axis), last, *range(axis, last)))


def product(x: Value, weight: Value) -> Contraction:
    """x W^T of x [places, writes] and W [reads, writes], an op of no function: for operators that stand alone."""
    y = Value("product", Type((x.type.shape[0], weight.type.shape[0])))
    op = Op("matmul", (x, weight), (("ta", False), ("tb", True)), y, Origin("", Phase.FORWARD))
    return Contraction(op, 0)


def pretended(x: Value, reads: int) -> Contraction:
    """What an operator that leads straight to x [places, writes] stands for: a product with a weight that there is not.

    It sends, teaches and answers as any other does; nothing of that reads the weight.
    """
    return product(x, Value("pretended", Type((reads, x.type.shape[1]))))


def matrix_of(b: Builder, weight: Value, axis: int, groups: int) -> Value:
    """A weight as [reads, writes]: that axis of each group of its first axis, and all others."""
    first, *rest = weight.type.shape
    if axis == 0:
        return b.reshape(weight, (first, flat(tuple(rest))))
    parts = b.reshape(weight, (groups, _part(first, groups), *rest))
    others = [i for i in range(1, len(rest) + 2) if i != axis + 1]
    turned = b.transpose(parts, (0, axis + 1, *others))
    shape = turned.type.shape
    return b.reshape(turned, (flat(shape[:2]), flat(shape[2:])))


def weight_of(b: Builder, matrix: Value, like: Shape, axis: int, groups: int) -> Value:
    """[r, writes] as a weight of that shape, but for r in the place of reads: what `matrix_of` undoes."""
    first, *rest = like
    r = matrix.type.shape[0]
    if axis == 0:
        return b.reshape(matrix, (r, *rest))
    own, others = _part(r, groups), [dim for i, dim in enumerate(rest, 1) if i != axis]
    parts = b.reshape(matrix, (groups, own, _part(first, groups), *others))
    behind = [*range(2, len(rest) + 2)]
    turned = b.transpose(parts, (0, *behind[:axis], 1, *behind[axis:]))
    return b.reshape(turned, (first, *others[: axis - 1], own, *others[axis - 1 :]))


def _part(dim: Dim, groups: int) -> int:
    assert isinstance(dim, int)
    return dim // groups
