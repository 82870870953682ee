"""Every op: what it takes, what type it makes, and its vector-Jacobian products against finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fac.step.builder import Builder
from fac.step.ir import Function, Value
from fac.step.ops import OPS
from fac.step.reverse import Edits, Reverse
from fac.step.types import Batch, DType, Type, TypeRuleError
from fac.step.verify import verify
from fac.testing.calls import CALLS, Call
from fac_reference.interpreter import run
from tests.step.op_cases import REFUSED, SAMPLES, concrete, draw, function_of, x_of

EACH = pytest.mark.parametrize("call", CALLS, ids=lambda call: call.id)
DIFFERENTIABLE = [call for call in CALLS if any(OPS[call.kind].vjp) and call.result.dtype == DType.FLOAT]

STEP = 3e-6
TOLERANCE = 1e-8
"""Central differences at this step: the truncation error is below 2e-9 (in `div`), the rounding error near 1e-10."""


def test_every_op_with_operands_of_several_kinds_has_something_to_refuse() -> None:
    """Ops of one operand may take anything; where operands must agree, REFUSED says what does not."""
    assert {call.kind for call in CALLS if len(call.operands) > 1} <= REFUSED.keys() <= set(OPS)


@EACH
def test_type(call: Call) -> None:
    assert OPS[call.kind].type(call.operands, call.attributes) == call.result


@pytest.mark.parametrize(
    ("call", "operands"),
    [(call, operands) for call in CALLS for operands in REFUSED.get(call.kind, ())],
    ids=lambda value: value.id if isinstance(value, Call) else ", ".join(map(str, value)),
)
def test_refused(call: Call, operands: tuple[Type, ...]) -> None:
    builder = Builder()
    values = [Value(f"v{k}", type) for k, type in enumerate(operands)]
    with pytest.raises(TypeRuleError):
        builder.emit(call.kind, *values, **call.attributes)
    assert not builder.ops


@EACH
def test_result_has_the_type_that_the_rule_states(call: Call) -> None:
    function = function_of(call, lambda _, result: {"result": result}, "forward")
    result = run(function, {"x": x_of(), **draw(call)}, np.dtype("float64"))["result"]
    assert np.shape(result) == concrete(call.result.shape)
    kinds = {DType.FLOAT: "f", DType.INT: "iu", DType.BOOL: "b"}
    assert np.asarray(result).dtype.kind in kinds[call.result.dtype]


@EACH
def test_one_vjp_per_operand_or_none_at_all(call: Call) -> None:
    assert len(OPS[call.kind].vjp) in (0, len(call.operands))


@pytest.mark.parametrize("call", DIFFERENTIABLE, ids=lambda call: call.id)
def test_vjp_is_the_derivative(call: Call) -> None:
    function, flows = _with_gradients(call)
    verify(function)
    inputs = {"x": x_of(), **draw(call), "w": _weights(call)}
    found = run(function, inputs, np.dtype("float64"))
    for k in flows:
        expected = _central(function, inputs, f"a{k}")
        np.testing.assert_allclose(found[f"g{k}"], expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("call", DIFFERENTIABLE, ids=lambda call: call.id)
def test_vjp_has_the_type_of_its_operand(call: Call) -> None:
    function, flows = _with_gradients(call)
    types = {name: value.type for name, value in function.outputs}
    assert all(types[f"g{k}"] == call.operands[k] for k in flows)


def _weights(call: Call) -> Any:
    w = np.random.default_rng(1).uniform(0.5, 1.5, concrete(call.result.shape))
    return float(w) if w.shape == () else w


def _with_gradients(call: Call) -> tuple[Function, list[int]]:
    """<result, w>, and its cotangents at those operands that a derivative flows to."""
    flows = [k for k, vjp in enumerate(OPS[call.kind].vjp) if vjp is not None]

    def finish(builder: Builder, result: Value) -> dict[str, Value]:
        loss = builder.dot(result, builder.input("w", result.type))
        reverse = Reverse(builder, loss, Edits(), frozenset())
        operands = {v.name: v for v in builder.inputs}
        found = {k: reverse.cotangent(operands[f"a{k}"]) for k in flows}
        return {"loss": loss} | {f"g{k}": g for k, g in found.items() if g is not None}

    return function_of(call, finish, "forward"), flows


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


@pytest.mark.parametrize("call", [c for c in CALLS if OPS[c.kind].macs], ids=lambda call: call.id)
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
