"""Elementwise arithmetic with NumPy broadcasting."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fac.step.ir import Op, Value
from fac.step.ops.base import DISCRETE, STOP, Attributes, OpDef, Vjp, floating, same, unbroadcast
from fac.step.types import DType, Type, TypeRuleError, broadcast

if TYPE_CHECKING:
    from fac.step.builder import Builder


def binary(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """Equal element types, shapes broadcast.

    Raises:
        TypeRuleError: they differ, or do not broadcast.
    """
    a, b = operands
    if a.dtype != b.dtype:
        raise TypeRuleError(f"{a} and {b} differ in element type")
    return Type(broadcast(a.shape, b.shape), a.dtype)


def numeric(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """As `binary`, of numbers.

    Raises:
        TypeRuleError: BOOL; see also `binary`.
    """
    if operands[0].dtype == DType.BOOL:
        raise TypeRuleError(f"numbers are needed, not {operands[0]}")
    return binary(operands, attributes)


def real(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """As `binary`, of FLOAT.

    Raises:
        TypeRuleError: another element type; see also `binary`.
    """
    if operands[0].dtype != DType.FLOAT:
        raise TypeRuleError(f"FLOAT is needed, not {operands[0]}")
    return binary(operands, attributes)


def compare(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """As `binary`, but the result is BOOL."""
    return Type(binary(operands, attributes).shape, DType.BOOL)


def constant(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """A scalar of the stated element type."""
    return Type((), DType(str(attributes["dtype"])))


def table(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """A vector of its values, at least one.

    Raises:
        TypeRuleError: there is none.
    """
    return Type((len(_values(attributes["values"])),))


def finer_table(b: Builder, op: Op) -> Value:
    """The sum of its values, each at its place."""
    values = _values(op["values"])
    places, total = b.iota((len(values),)), b.constant(0.0)
    for place, value in enumerate(values):
        total = b.add(total, b.mul(b.cast(b.equal(places, b.constant(place)), DType.FLOAT), value))
    return total


def _values(values: object) -> tuple[float, ...]:
    if not isinstance(values, tuple) or not values or not all(isinstance(v, float) for v in values):
        raise TypeRuleError(f"a table takes a tuple of floats, not {values}")
    return values


def cast(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The same shape, another element type.

    Raises:
        TypeRuleError: the same element type, which is no cast and would have a derivative.
    """
    dtype = DType(str(attributes["dtype"]))
    if dtype == operands[0].dtype:
        raise TypeRuleError(f"{operands[0]} is of that element type: there is nothing to cast")
    return Type(operands[0].shape, dtype)


def negative(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The same type, of numbers.

    Raises:
        TypeRuleError: BOOL.
    """
    return numeric((operands[0], operands[0]), attributes)


def power_base(b: Builder, op: Op, g: Value) -> Value:
    """g * y * x^(y - 1); where y = 0 it is 0, also at x = 0, where that product is 0 * inf."""
    x, y = op.operands
    none = b.cast(b.equal(y, b.constant(0.0)), DType.FLOAT)
    return unbroadcast(b, b.mul(g, b.mul(y, b.pow(x, b.add(b.sub(y, 1.0), none)))), x)


def power_exponent(b: Builder, op: Op, g: Value) -> Value:
    """g * x^y * log x; where x = 0 it is 0 for y >= 0, where that product is 0 * inf. NaN where x < 0."""
    x, y = op.operands
    zero = b.cast(b.equal(x, b.constant(0.0)), DType.FLOAT)
    return unbroadcast(b, b.mul(g, b.mul(op.result, b.emit("log", b.add(x, zero)))), y)


def extremum(index: int) -> Vjp:
    """g where the operand is the one that is taken; half of it where the two are equal (as torch and jax have it)."""

    def vjp(b: Builder, op: Op, g: Value) -> Value:
        own, other = op.operands[index], op.operands[1 - index]
        low, high = (other, own) if op.kind == "maximum" else (own, other)
        taken = b.cast(b.less(low, high), DType.FLOAT)
        tied = b.cast(b.equal(low, high), DType.FLOAT)
        return unbroadcast(b, b.mul(g, b.add(taken, b.mul(tied, 0.5))), own)

    return vjp


def clamp_input(b: Builder, op: Op, g: Value) -> Value:
    """g where low <= x <= high, both ends included (as torch has it), else 0."""
    (x,), low, high = op.operands, op["low"], op["high"]
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    out = b.add(b.cast(b.less(x, low), DType.FLOAT), b.cast(b.less(high, x), DType.FLOAT))
    return b.mul(g, b.sub(1.0, out))


def where(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """BOOL and two of equal element types, FLOAT or INT; all three broadcast.

    Raises:
        TypeRuleError: other element types; or they do not broadcast.
    """
    condition, *chosen = operands
    if condition.dtype != DType.BOOL:
        raise TypeRuleError(f"where chooses by BOOL, not {condition}")
    found = numeric((chosen[0], chosen[1]), attributes)
    return Type(broadcast(condition.shape, found.shape), found.dtype)


def chosen(index: int) -> Vjp:
    """g where the operand is taken, else 0: what is not taken may be of any size, infinite or no number."""

    def vjp(b: Builder, op: Op, g: Value) -> Value:
        condition, own = op.operands[0], op.operands[index]
        return unbroadcast(b, b.where(condition, g, 0.0) if index == 1 else b.where(condition, 0.0, g), own)

    return vjp


def erf_input(b: Builder, op: Op, g: Value) -> Value:
    """g * 2 / sqrt(pi) * exp(-x^2)."""
    (x,) = op.operands
    return b.mul(g, b.mul(b.emit("exp", b.neg(b.mul(x, x))), 2 / math.sqrt(math.pi)))


ELEMENTWISE = (
    OpDef("constant", constant, attributes=frozenset({"value", "dtype"})),
    # a vector of numbers that are known beforehand, such as one for each class
    OpDef("table", table, attributes=frozenset({"values"}), finer=finer_table),
    OpDef("cast", cast, (DISCRETE,), frozenset({"dtype"})),
    OpDef(
        "add",
        numeric,
        (
            lambda b, op, g: unbroadcast(b, g, op.operands[0]),
            lambda b, op, g: unbroadcast(b, g, op.operands[1]),
        ),
    ),
    OpDef(
        "sub",
        numeric,
        (
            lambda b, op, g: unbroadcast(b, g, op.operands[0]),
            lambda b, op, g: unbroadcast(b, b.neg(g), op.operands[1]),
        ),
    ),
    OpDef(
        "mul",
        numeric,
        (
            lambda b, op, g: unbroadcast(b, b.mul(g, op.operands[1]), op.operands[0]),
            lambda b, op, g: unbroadcast(b, b.mul(g, op.operands[0]), op.operands[1]),
        ),
    ),
    OpDef(
        "div",
        real,
        (
            lambda b, op, g: unbroadcast(b, b.div(g, op.operands[1]), op.operands[0]),
            lambda b, op, g: unbroadcast(
                b, b.neg(b.div(b.mul(g, op.result), op.operands[1])), op.operands[1]
            ),
        ),
    ),
    OpDef("pow", real, (power_base, power_exponent)),
    OpDef("maximum", numeric, (extremum(0), extremum(1)), selects=True),
    OpDef("minimum", numeric, (extremum(0), extremum(1)), selects=True),
    # The second operand where the first is true, the third elsewhere.
    OpDef("where", where, (DISCRETE, chosen(1), chosen(2))),
    OpDef("equal", compare, (DISCRETE, DISCRETE)),
    OpDef("less", compare, (DISCRETE, DISCRETE)),
    OpDef("neg", negative, (lambda b, op, g: b.neg(g),), selects=True),
    # -1, 0 or 1.
    OpDef("sign", floating, (DISCRETE,)),
    # Its slope at 0 is 0 (as torch and jax have it).
    OpDef(
        "abs",
        floating,
        (lambda b, op, g: b.mul(g, b.emit("sign", op.operands[0])),),
        selects=True,
        finer=lambda b, op: b.maximum(op.operands[0], b.neg(op.operands[0])),
    ),
    # To the nearest whole number, of two that are as near to the even one.
    OpDef("round", floating, (DISCRETE,)),
    OpDef("sqrt", floating, (lambda b, op, g: b.div(b.mul(g, 0.5), op.result),)),
    OpDef("clamp", floating, (clamp_input,), frozenset({"low", "high"})),
    OpDef("exp", floating, (lambda b, op, g: b.mul(g, op.result),)),
    OpDef("log", floating, (lambda b, op, g: b.div(g, op.operands[0]),)),
    OpDef("erf", floating, (erf_input,)),
    OpDef("sin", floating, (lambda b, op, g: b.mul(g, b.emit("cos", op.operands[0])),)),
    OpDef("cos", floating, (lambda b, op, g: b.neg(b.mul(g, b.emit("sin", op.operands[0]))),)),
    # The operand itself. It is there for reverse mode alone: a backend gets a reshape that passes then drop.
    OpDef(
        "stop_gradient",
        same,
        (STOP,),
        finer=lambda b, op: b.emit("reshape", op.operands[0], shape=op.result.type.shape),
    ),
)
