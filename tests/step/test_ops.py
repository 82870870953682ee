"""Every op: what it takes, what type it makes, and its vector-Jacobian products against finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fac.step.builder import Builder
from fac.step.ir import Function, Value
from fac.step.ops import OPS
from fac.step.ops.base import DISCRETE, STOP, Without
from fac.step.reverse import Edits, NoDerivativeError, Reverse
from fac.step.types import Batch, DType, Type, TypeRuleError
from fac.step.verify import verify
from fac.testing.calls import CALLS, Call
from fac_reference.interpreter import run
from tests.step.op_cases import REFUSED, SAMPLES, concrete, draw, function_of, x_of

EACH = pytest.mark.parametrize("call", CALLS, ids=lambda call: call.id)
FLOATS = [
    (call, k)
    for call in CALLS
    for k, type in enumerate(call.operands)
    if type.dtype == DType.FLOAT and OPS[call.kind].derivative(k) is not STOP
]
SMOOTH = [(call, k) for call, k in FLOATS if not isinstance(OPS[call.kind].derivative(k), Without)]
UNWRITTEN = {
    ("project", 1),
    ("host", 0),
    *(("newton_schulz_rows", k) for k in (0, 1)),
    *(("normalize_input", k) for k in (1, 2, 3, 4)),
    *(("normalize_scale", k) for k in (1, 2, 3)),
    *(("attend_query", k) for k in (0, 1, 2, 3)),
    *(("attend_key", k) for k in (0, 1, 2, 3)),
    *(("attend_value", k) for k in (0, 1, 2)),
}
"""Where there is a derivative and reverse mode refuses to go, because nobody needs it or knows it: the op says why."""

STEP = 3e-6
TOLERANCE = 1e-8
"""Central differences at this step: the truncation error is below 2e-9 (in `div`), the rounding error near 1e-10.
Sums of many terms round more: it is relative to the largest derivative where that is above 1."""


def test_every_op_with_operands_of_several_kinds_has_something_to_refuse() -> None:
    """Ops of one operand may take anything; where operands must agree, REFUSED says what does not."""
    assert {call.kind for call in CALLS if len(call.operands) > 1} <= REFUSED.keys() <= set(OPS)


@EACH
def test_type(call: Call) -> None:
    assert OPS[call.kind].type(call.operands, call.attributes) == call.result


@pytest.mark.parametrize(
    ("call", "operands"),
    [
        (call, operands)
        for call in CALLS
        if call.attributes.get("axes") != ()  # over no axes anything can be reduced
        for operands in REFUSED.get(call.kind, ())
    ],
    ids=lambda value: value.id if isinstance(value, Call) else ", ".join(map(str, value)),
)
def test_refused(call: Call, operands: tuple[Type, ...]) -> None:
    builder = Builder()
    values = [Value(f"v{k}", type) for k, type in enumerate(operands)]
    with pytest.raises(TypeRuleError):
        builder.emit(call.kind, *values, **call.attributes)
    assert not builder.ops


@pytest.mark.parametrize("axes", [(2,), (-1,), (0, 0), ()])
@pytest.mark.parametrize("settings", [("sum", {"keep": True}), ("mean", {}), ("max", {"keep": False})])
def test_a_reduction_is_over_different_axes_of_its_operand(
    settings: tuple[str, dict[str, bool]], axes: tuple[int, ...]
) -> None:
    kind, rest = settings
    builder = Builder()
    x = builder.input("x", Type((2, 3)))
    with pytest.raises(TypeRuleError, match="are not different axes of" if axes else "at least one axis"):
        builder.emit(kind, x, axes=axes, **rest)


def test_a_sum_or_a_mean_over_no_axes_is_the_operand() -> None:
    builder = Builder()
    x = builder.input("x", Type(()))
    assert builder.sum(x, range(0)) is builder.mean(x, ()) is x


def test_what_a_call_needs_is_said() -> None:
    builder = Builder()
    x = builder.input("x", Type((2, 3)))
    for message, kind, operands, attributes in (
        ("there is no op `swish`", "swish", (x,), {}),
        ("`add` takes 2 operands, not 1", "add", (x,), {}),
        ("`clamp` has the attributes 'high', 'low', not 'high'", "clamp", (x,), {"high": 1.0}),
        ("`exp` has the attributes none, not 'axes'", "exp", (x,), {"axes": (0,)}),
    ):
        with pytest.raises(TypeRuleError, match=message):
            builder.emit(kind, *operands, **attributes)
    assert not builder.ops


@EACH
def test_result_has_the_type_that_the_rule_states(call: Call) -> None:
    function = function_of(call, lambda _, result: {"result": result}, "forward")
    result = run(function, {"x": x_of(), **draw(call)}, np.dtype("float64"))["result"]
    assert np.shape(result) == concrete(call.result.shape)
    kinds = {DType.FLOAT: "f", DType.INT: "iu", DType.BOOL: "b"}
    assert np.asarray(result).dtype.kind in kinds[call.result.dtype]


@EACH
def test_an_op_says_of_each_operand_what_its_derivative_is(call: Call) -> None:
    assert OPS[call.kind].arity in (None, len(call.operands))
    assert all(OPS[call.kind].derivative(k) for k in range(len(call.operands)))


@pytest.mark.parametrize(("call", "k"), SMOOTH, ids=lambda value: getattr(value, "id", value))
def test_vjp_is_the_derivative(call: Call, k: int) -> None:
    function = _differentiated(call, k)
    verify(function)
    assert dict(function.outputs)["g"].type == call.operands[k]
    inputs = {"x": x_of(), **draw(call), "w": _weights(call)}
    found = run(function, inputs, np.dtype("float64"))["g"]
    atol = TOLERANCE * max(1.0, np.abs(found).max())
    np.testing.assert_allclose(found, _central(function, inputs, f"a{k}"), rtol=0, atol=atol)


@pytest.mark.parametrize(
    ("call", "k"), [one for one in FLOATS if one not in SMOOTH], ids=lambda value: getattr(value, "id", value)
)
def test_where_an_op_has_no_vjp_its_result_moves_in_steps(call: Call, k: int) -> None:
    """So that nobody leaves out the vjp of an op that has a derivative, and calls it discrete."""
    function = _weighed(call)
    inputs = {"x": x_of(), **draw(call), "w": _weights(call)}
    moves = _central(function, inputs, f"a{k}").any()
    assert moves == ((call.kind, k) in UNWRITTEN)
    assert (OPS[call.kind].derivative(k) is DISCRETE) == (not moves)


@pytest.mark.parametrize(("call", "k"), [one for one in FLOATS if one not in SMOOTH])
def test_where_an_op_has_no_vjp_to_ask_for_one_is_an_error(call: Call, k: int) -> None:
    with pytest.raises(NoDerivativeError, match=f"`a{k}` cannot go back through `{call.kind}`"):
        _differentiated(call, k)


def _weights(call: Call) -> Any:
    w = np.random.default_rng(1).uniform(0.5, 1.5, concrete(call.result.shape))
    return float(w) if w.shape == () else w


def _weighed(call: Call) -> Function:
    """<result, w>."""
    return function_of(call, lambda builder, result: {"loss": _loss(builder, result)}, "forward")


def _loss(builder: Builder, result: Value) -> Value:
    return builder.dot(builder.cast(result, DType.FLOAT), builder.input("w", Type(result.type.shape)))


def _differentiated(call: Call, k: int) -> Function:
    """<result, w>, and its cotangent at operand number k."""

    def finish(builder: Builder, result: Value) -> dict[str, Value]:
        loss = _loss(builder, result)
        operand = next(v for v in builder.inputs if v.name == f"a{k}")
        g = Reverse(builder, loss, Edits(), frozenset()).cotangent(operand)
        assert g is not None
        return {"loss": loss, "g": g}

    return function_of(call, finish, "forward")


def _central(function: Function, inputs: dict[str, Any], name: str) -> Any:
    def loss(value: Any) -> float:
        value = float(value) if np.shape(value) == () else value
        return float(run(function, inputs | {name: value}, np.dtype("float64"))["loss"])

    start = np.asarray(inputs[name], np.float64)
    found = np.empty_like(start)
    for index in np.ndindex(start.shape):
        shift = np.zeros_like(start)
        shift[index] = STEP
        found[index] = (loss(start + shift) - loss(start - shift)) / (2 * STEP)
    return found


@pytest.mark.parametrize("call", [c for c in CALLS if c.kind == "matmul"], ids=lambda call: call.id)
def test_multiply_adds_are_rows_times_contracted_times_columns(call: Call) -> None:
    """Counted here from the operands' sizes: |A| |B| / contracted."""
    function = function_of(call, lambda _, result: {"result": result}, "forward")
    (op,) = function.ops
    a, b = (np.prod(concrete(type.shape)) for type in call.operands)
    rows, columns = concrete(call.result.shape)
    contracted = a / rows
    assert b / columns == contracted
    macs = OPS[call.kind].macs
    assert macs is not None
    assert macs(op, SAMPLES) == rows * contracted * columns


def test_types_as_text() -> None:
    assert str(Type((Batch(3), 5), DType.INT)) == "i[3N, 5]"
    assert str(Type(())) == "f[]"
