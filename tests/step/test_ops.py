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
from fac_reference.interpreter import run
from tests.step.op_cases import CASES, SAMPLES, Case, concrete, draw, function_of, x_of

CALLS = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
DIFFERENTIABLE = [case for case in CASES if any(OPS[case.kind].vjp) and case.result.dtype == DType.FLOAT]

STEP = 3e-6
TOLERANCE = 1e-8
"""Central differences at this step: the truncation error is below 2e-9 (in `div`), the rounding error near 1e-10."""


def test_every_op_has_a_case() -> None:
    assert {case.kind for case in CASES} == set(OPS)


def test_every_op_with_operands_of_several_kinds_has_something_to_refuse() -> None:
    """Ops of one operand take anything; where operands must agree, a case says what does not."""
    several = {case.kind for case in CASES if len(case.operands) > 1}
    assert several == {case.kind for case in CASES if case.refused and len(case.operands) > 1}


@CALLS
def test_type(case: Case) -> None:
    assert OPS[case.kind].type(case.operands, case.attributes) == case.result


@pytest.mark.parametrize(
    ("case", "operands"),
    [(case, operands) for case in CASES for operands in case.refused],
    ids=lambda value: value.id if isinstance(value, Case) else ", ".join(map(str, value)),
)
def test_refused(case: Case, operands: tuple[Type, ...]) -> None:
    builder = Builder()
    values = [Value(f"v{k}", type) for k, type in enumerate(operands)]
    with pytest.raises(TypeRuleError):
        builder.emit(case.kind, *values, **case.attributes)
    assert not builder.ops


@CALLS
def test_result_has_the_type_that_the_rule_states(case: Case) -> None:
    function = function_of(case, lambda _, result: {"result": result}, "forward")
    result = run(function, {"x": x_of(), **draw(case)}, np.dtype("float64"))["result"]
    assert np.shape(result) == concrete(case.result.shape)
    kinds = {DType.FLOAT: "f", DType.INT: "iu", DType.BOOL: "b"}
    assert np.asarray(result).dtype.kind in kinds[case.result.dtype]


@CALLS
def test_one_vjp_per_operand_or_none_at_all(case: Case) -> None:
    assert len(OPS[case.kind].vjp) in (0, len(case.operands))


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=lambda case: case.id)
def test_vjp_is_the_derivative(case: Case) -> None:
    function, flows = _with_gradients(case)
    verify(function)
    inputs = {"x": x_of(), **draw(case), "w": _weights(case)}
    found = run(function, inputs, np.dtype("float64"))
    for k in flows:
        expected = _central(function, inputs, f"a{k}")
        np.testing.assert_allclose(found[f"g{k}"], expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=lambda case: case.id)
def test_vjp_has_the_type_of_its_operand(case: Case) -> None:
    function, flows = _with_gradients(case)
    types = {name: value.type for name, value in function.outputs}
    assert all(types[f"g{k}"] == case.operands[k] for k in flows)


def _weights(case: Case) -> Any:
    w = np.random.default_rng(1).uniform(0.5, 1.5, concrete(case.result.shape))
    return float(w) if w.shape == () else w


def _with_gradients(case: Case) -> tuple[Function, list[int]]:
    """<result, w>, and its cotangents at those operands that a derivative flows to."""
    flows = [k for k, vjp in enumerate(OPS[case.kind].vjp) if vjp is not None]

    def finish(builder: Builder, result: Value) -> dict[str, Value]:
        loss = builder.dot(result, builder.input("w", result.type))
        reverse = Reverse(builder, loss, Edits(), frozenset())
        operands = {v.name: v for v in builder.inputs}
        found = {k: reverse.cotangent(operands[f"a{k}"]) for k in flows}
        return {"loss": loss} | {f"g{k}": g for k, g in found.items() if g is not None}

    return function_of(case, finish, "forward"), flows


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


@pytest.mark.parametrize("case", [c for c in CASES if OPS[c.kind].macs], ids=lambda case: case.id)
def test_multiply_adds_are_rows_times_contracted_times_columns(case: Case) -> None:
    """Counted here from the operands' sizes: |A| |B| / contracted."""
    function = function_of(case, lambda _, result: {"result": result}, "forward")
    (op,) = function.ops
    a, b = (np.prod(concrete(type.shape)) for type in case.operands)
    rows, columns = concrete(case.result.shape)
    contracted = a / rows
    assert b / columns == contracted
    macs = OPS[case.kind].macs
    assert macs is not None
    assert macs(op, SAMPLES) == rows * contracted * columns


def test_types_as_text() -> None:
    assert str(Type((Batch(3), 5), DType.INT)) == "i[3N, 5]"
    assert str(Type(())) == "f[]"
