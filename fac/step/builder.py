"""The builder: every piece of maths in fac, of layers, rules, updates and probes, is written with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

from fac.step.ir import Attribute, Function, Op, Origin, Phase, Region, Value
from fac.step.ops import OPS
from fac.step.types import SCALAR, Dim, DType, N, Shape, Type, TypeRuleError, flat

Operand = Value | float
"""A number stands for a constant of the FLOAT type."""


class Builder:
    """Collects ops in order. Names are made unique here, so that text and emitted code can use them."""

    def __init__(self) -> None:
        self.inputs: list[Value] = []
        self.ops: list[Op] = []
        self.made: dict[Value, Op] = {}
        """The op that made each value; inputs have none."""
        self.regions: list[Region] = []
        self._origin = Origin("", Phase.FORWARD)
        self._taken: dict[str, int] = {}
        self._provisional: set[Value] = set()
        """Values that have only the name that `emit` gave them."""

    # -- structure -------------------------------------------------------------------------------------------

    def reserve(self, names: Iterable[str]) -> None:
        """Names that values made here must not get."""
        self._taken.update(dict.fromkeys(names, 1))

    def input(self, name: str, type: Type) -> Value:
        """A value given from outside. Its name is public and must be new."""
        assert name not in self._taken, f"two inputs are called {name}"
        self._taken[name] = 1
        value = Value(name, type)
        self.inputs.append(value)
        return value

    @property
    def node(self) -> str:
        """The node whose ops are being made; empty if they belong to none."""
        return self._origin.node

    @contextmanager
    def at(self, node: str, phase: Phase) -> Iterator[None]:
        """Ops made inside belong to this node and phase."""
        before, self._origin = self._origin, Origin(node, phase)
        try:
            yield
        finally:
            self._origin = before

    def mark(
        self,
        kind: str,
        inputs: Mapping[str, Value],
        outputs: Mapping[str, Value],
        attributes: Mapping[str, Attribute],
    ) -> None:
        """Record that `outputs` come from `inputs` by a named kernel (see `Region`)."""
        self.regions.append(Region(kind, dict(inputs), dict(outputs), dict(attributes)))

    def emit(self, kind: str, *operands: Value, **attributes: Attribute) -> Value:
        """Append one op. Its result type comes from the op's shape rule.

        Raises:
            TypeRuleError: there is no such op, or it takes other operands or attributes.
        """
        definition = OPS.get(kind)
        if definition is None:
            raise TypeRuleError(f"there is no op `{kind}`")
        if (arity := definition.arity) is not None and arity != len(operands):
            raise TypeRuleError(f"`{kind}` takes {arity} operands, not {len(operands)}")
        if attributes.keys() != definition.attributes:
            named = [
                ", ".join(map(repr, sorted(names))) or "none" for names in (definition.attributes, attributes)
            ]
            raise TypeRuleError(f"`{kind}` has the attributes {named[0]}, not {named[1]}")
        type = definition.type(tuple(v.type for v in operands), attributes)
        origin = self._origin
        value = Value(self._unique(f"{origin.node}.{kind}" if origin.node else kind), type)
        named_values = attributes.items() if len(attributes) < 2 else sorted(attributes.items())
        op = Op(kind, operands, tuple(named_values), value, origin)
        self.ops.append(op)
        self.made[value] = op
        self._provisional.add(value)
        return value

    def named(self, value: Value, name: str) -> Value:
        """The same value, under a better name if it has none yet: the first name that somebody gives it stays."""
        if value in self._provisional:
            self._provisional.remove(value)
            # A name is for readers only and identity is the object's, so that this changes no meaning.
            object.__setattr__(value, "name", self._unique(name))
        return value

    def label(self, value: Value, name: str) -> Value:
        """As `named`, under the node whose ops are being made: `label(s, "projected")` gives `fc2.projected`."""
        return self.named(value, f"{self._origin.node}.{name}")

    def finish(self, name: str, outputs: Mapping[str, Value]) -> Function:
        """The function made so far."""
        return Function(
            name, tuple(self.inputs), tuple(self.ops), tuple(outputs.items()), tuple(self.regions)
        )

    def _unique(self, name: str) -> str:
        count = self._taken.get(name, 0)
        if not count:
            self._taken[name] = 1
            return name
        while f"{name}.{count}" in self._taken:
            count += 1
        self._taken[name] = count + 1
        unique = f"{name}.{count}"
        self._taken.setdefault(unique, 1)
        return unique

    def _value(self, operand: Operand) -> Value:
        return operand if isinstance(operand, Value) else self.constant(float(operand))

    # -- constants and conversions ---------------------------------------------------------------------------

    def constant(self, value: float) -> Value:
        """A scalar: FLOAT for a float, INT for an int."""
        dtype = DType.INT if isinstance(value, int) else DType.FLOAT
        return self.emit("constant", value=value, dtype=str(dtype))

    def table(self, values: Iterable[float]) -> Value:
        """A FLOAT vector of these numbers."""
        return self.emit("table", values=tuple(map(float, values)))

    def array(self, values: object) -> Value:
        """A FLOAT array of these numbers: nested lists or an array of NumPy's, which become part of the step.

        For some hundred numbers; what is larger is a tensor of its own, whose initial law says it, or data.

        Raises:
            TypeRuleError: rows are of unequal lengths, or there is no number.
        """
        shape, numbers = _unrolled(values)
        return self.reshape(self.table(numbers), shape)

    def cast(self, x: Value, dtype: DType) -> Value:
        """`x` in another element type; itself if it has that type."""
        return x if x.type.dtype == dtype else self.emit("cast", x, dtype=str(dtype))

    # -- elementwise -----------------------------------------------------------------------------------------

    def add(self, a: Operand, b: Operand) -> Value:
        """a + b, broadcast."""
        return self.emit("add", self._value(a), self._value(b))

    def sub(self, a: Operand, b: Operand) -> Value:
        """a - b, broadcast."""
        return self.emit("sub", self._value(a), self._value(b))

    def mul(self, a: Operand, b: Operand) -> Value:
        """a * b, broadcast."""
        return self.emit("mul", self._value(a), self._value(b))

    def div(self, a: Operand, b: Operand) -> Value:
        """a / b, broadcast."""
        return self.emit("div", self._value(a), self._value(b))

    def pow(self, a: Operand, b: Operand) -> Value:
        """a ** b, broadcast."""
        return self.emit("pow", self._value(a), self._value(b))

    def maximum(self, a: Operand, b: Operand) -> Value:
        """The larger of a and b, broadcast."""
        return self.emit("maximum", self._value(a), self._value(b))

    def minimum(self, a: Operand, b: Operand) -> Value:
        """The smaller of a and b, broadcast."""
        return self.emit("minimum", self._value(a), self._value(b))

    def where(self, condition: Value, a: Operand, b: Operand) -> Value:
        """`a` where the BOOL condition holds, else `b`, broadcast. What is not taken may be no number.

        What is not taken gets an error of 0. An op before it whose slope is infinite there makes 0 * inf of that:
        choose what it reads, too. The condition has no derivative: a comparison of what learns is one of
        `stop_gradient(x)`.
        """
        return self.emit("where", condition, self._value(a), self._value(b))

    def abs(self, x: Value) -> Value:
        """|x|."""
        return self.emit("abs", x)

    def sign(self, x: Value) -> Value:
        """-1, 0 or 1. It has no derivative."""
        return self.emit("sign", x)

    def round(self, x: Value) -> Value:
        """The nearest whole number as a FLOAT, of two that are as near to the even one. It has no derivative."""
        return self.emit("round", x)

    def equal(self, a: Value, b: Value) -> Value:
        """BOOL: a == b, broadcast."""
        return self.emit("equal", a, b)

    def less(self, a: Operand, b: Operand) -> Value:
        """BOOL: a < b, broadcast."""
        return self.emit("less", self._value(a), self._value(b))

    def neg(self, x: Value) -> Value:
        """-x."""
        return self.emit("neg", x)

    def sqrt(self, x: Value) -> Value:
        """The square root."""
        return self.emit("sqrt", x)

    def clamp(self, x: Value, low: float, high: float) -> Value:
        """X limited to [low, high]."""
        return self.emit("clamp", x, low=low, high=high)

    def stop_gradient(self, x: Value) -> Value:
        """X, as a constant: no error goes back through here. For masks and other ways out of the derivative."""
        return self.emit("stop_gradient", x)

    # -- reductions and shapes -------------------------------------------------------------------------------

    def sum(self, x: Value, axes: Sequence[int], keep: bool = False) -> Value:
        """Sum over `axes`; they stay as 1 if `keep`. Over none, x itself."""
        return self.emit("sum", x, axes=tuple(axes), keep=keep) if axes else x

    def mean(self, x: Value, axes: Sequence[int]) -> Value:
        """Mean over `axes`. Over none, x itself."""
        return self.emit("mean", x, axes=tuple(axes)) if axes else x

    def variance(self, x: Value, axes: Sequence[int]) -> Value:
        """Mean of (x - mean)^2 over `axes`: the biased one."""
        return self.emit("variance", x, axes=tuple(axes))

    def dot(self, a: Value, b: Value) -> Value:
        """<a, b> = sum of all a*b: a scalar."""
        return self.emit("dot", a, b)

    def max_abs(self, x: Value, axes: Sequence[int] | None = None, keep: bool = False) -> Value:
        """The largest absolute value over `axes`, or of all; they stay as 1 if `keep`."""
        return self.emit(
            "max_abs", x, axes=tuple(range(len(x.type.shape)) if axes is None else axes), keep=keep
        )

    def norm(self, *xs: Value, nonzero: bool = False) -> Value:
        """The Euclidean norm of all numbers of all `xs`, whatever the size of their squares; 1, not 0, if `nonzero`."""
        return self.emit("norm", *(self.reshape(x, x.type.shape or (1,)) for x in xs), nonzero=nonzero)

    def concat(self, *xs: Value, axis: int) -> Value:
        """One behind the other along an axis, which is not the batch."""
        return self.emit("concat", *xs, axis=axis)

    def pad(self, x: Value, before: Sequence[int], after: Sequence[int]) -> Value:
        """`before[i]` zeros before and `after[i]` behind x along axis i."""
        return self.emit("pad", x, before=tuple(before), after=tuple(after))

    def crop(self, x: Value, before: Sequence[int], after: Sequence[int]) -> Value:
        """X without its first `before[i]` and last `after[i]` rows along axis i."""
        return self.emit("crop", x, before=tuple(before), after=tuple(after))

    def gather(self, table: Value, index: Value) -> Value:
        """[..., d]: of a table [V, d] the rows of INT numbers [...] below V."""
        return self.emit("gather", table, index)

    def argmax(self, x: Value) -> Value:
        """INT: index of the largest entry along the last axis."""
        return self.emit("argmax", x)

    def reshape(self, x: Value, shape: Shape) -> Value:
        """The same elements in another shape."""
        return x if x.type.shape == shape else self.emit("reshape", x, shape=shape)

    def transpose(self, x: Value, axes: Sequence[int]) -> Value:
        """The axes in another order: axis i of the result is axis `axes[i]` of x. In their own order, x itself."""
        return (
            x
            if tuple(axes) == tuple(range(len(x.type.shape)))
            else self.emit("transpose", x, axes=tuple(axes))
        )

    def rows(self, x: Value) -> Value:
        """[N, ...] as [N, numbers per sample]."""
        return self.reshape(x, (N, prod(dim for dim in x.type.shape[1:] if isinstance(dim, int))))

    def broadcast_to(self, x: Value, shape: Shape) -> Value:
        """X stretched to `shape`."""
        return x if x.type.shape == shape else self.emit("broadcast_to", x, shape=shape)

    def count(self, shape: Shape) -> Value:
        """The number of elements of `shape` as a FLOAT scalar; N is known only at run time."""
        dim = flat(shape)
        if isinstance(dim, int):
            return self.constant(float(dim))
        return self.mul(self.emit("batch_size"), float(dim.times))

    def matmul(self, a: Value, b: Value, *, ta: bool = False, tb: bool = False) -> Value:
        """op(a) @ op(b) of two matrices, each read transposed if asked."""
        return self.emit("matmul", a, b, ta=ta, tb=tb)

    def bmm(self, a: Value, b: Value, *, ta: bool = False, tb: bool = False) -> Value:
        """op(a) @ op(b) of [..., rows, columns], matrix by matrix, each read transposed if asked."""
        return self.emit("bmm", a, b, ta=ta, tb=tb)

    def host(self, rows: Value, call: str, width: int) -> Value:
        """[n, width]: what a function on the host makes of rows [n, reads], see `fac.step.hosted.on_host`.

        It has no derivative, counts no multiply-adds, and reads no weight.
        """
        return self.emit("host", rows, call=call, width=width)

    def eye(self, size: Dim) -> Value:
        """Ones on the diagonal of [size, size], zeros elsewhere."""
        places = self.iota((size,))
        return self.cast(self.equal(self.reshape(places, (size, 1)), places), DType.FLOAT)

    # -- integers (hash random numbers) ----------------------------------------------------------------------

    def iota(self, shape: Shape) -> Value:
        """INT 0, 1, 2, ... in row-major order."""
        return self.emit("iota", shape=shape)

    def bits(self, kind: str, a: Value, b: int) -> Value:
        """INT `a kind b`, kind one of bit_xor, bit_and, shift_right."""
        return self.emit(kind, a, self.constant(b))

    def scalar(self, name: str, dtype: DType = DType.FLOAT) -> Value:
        """A scalar input."""
        return self.input(name, Type((), dtype) if dtype != DType.FLOAT else SCALAR)


def _unrolled(values: object) -> tuple[tuple[int, ...], list[float]]:
    """Shape, and numbers in row-major order."""
    plain: Any = values.tolist() if hasattr(values, "tolist") else values
    if not isinstance(plain, list | tuple):
        return (), [float(plain)]
    rows = [_unrolled(row) for row in plain]
    shapes = {shape for shape, _ in rows}
    if len(shapes) != 1:
        raise TypeRuleError("an array has rows of one length, and at least one number")
    return (len(rows), *shapes.pop()), [number for _, numbers in rows for number in numbers]
