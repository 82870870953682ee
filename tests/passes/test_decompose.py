"""Coarse ops against what they are made of, on the reference, and what becomes of the function around them."""

from __future__ import annotations

import numpy as np
import pytest

from fac.passes import optimise
from fac.passes.decompose import decompose
from fac.pipeline import compiled, lowered
from fac.step.ops import OPS
from fac.step.verify import verify
from fac.testing.calls import CALLS, Call
from fac.testing.nets import mlp, spec
from fac_reference.interpreter import run
from tests.step.op_cases import draw, function_of, x_of

FINER = [call for call in CALLS if OPS[call.kind].finer is not None]
FINEST = {kind for kind, definition in OPS.items() if definition.finer is None}
TOLERANCE = 1e-14
"""Relative, in float64: the same sums in another order."""


@pytest.mark.parametrize("call", FINER, ids=lambda call: call.id)
def test_finer_ops_compute_the_same(call: Call) -> None:
    function = function_of(call, lambda b, v: {"result": v}, "forward")
    finer = decompose(function, FINEST)
    verify(finer)
    assert {op.kind for op in finer.ops} <= FINEST
    inputs = {"x": x_of(), **draw(call)}
    expected, found = (run(f, inputs, np.dtype("float64"))["result"] for f in (function, finer))
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_each_coarse_op_has_a_case() -> None:
    assert {call.kind for call in FINER} == set(OPS) - FINEST


@pytest.mark.parametrize("size", [700.0, -700.0, 1e4])
def test_log_softmax_does_not_overflow(size: float) -> None:
    call = next(call for call in FINER if call.kind == "log_softmax")
    finer = decompose(function_of(call, lambda b, v: {"result": v}, "forward"), FINEST)
    z = np.zeros((4, 3))
    z[:, 0] = size
    found = run(finer, {"x": x_of(), "a0": z}, np.dtype("float64"))["result"]
    np.testing.assert_allclose(
        found[0], [0, -size, -size] if size > 0 else [size - np.log(2), *[-np.log(2)] * 2]
    )


def test_a_function_without_coarse_ops_is_returned_as_it_is() -> None:
    function = function_of(CALLS[0], lambda b, v: {"result": v}, "forward")
    assert decompose(function, FINEST) is function


def test_a_whole_step_keeps_names_origins_and_marks() -> None:
    step = compiled(lowered(spec(mlp(8, 6, 3), {"rule": "ldfa", "rank": 2}))).step
    finer = decompose(step, FINEST)
    verify(finer)
    assert [region.outputs for region in finer.regions] == [region.outputs for region in step.regions]
    assert [name for name, _ in finer.outputs] == [name for name, _ in step.outputs]
    names = {op.result.name: op.origin for op in finer.ops}
    assert all(names[op.result.name] == op.origin for op in step.ops)
    verify(optimise(finer))


def test_the_softmax_of_loss_and_error_is_shared() -> None:
    """Made of finer ops and optimised, a step computes it once."""
    step = optimise(decompose(compiled(lowered(spec(mlp(8, 3)))).step, FINEST | {"log_softmax"}))
    assert [op.kind for op in step.ops].count("log_softmax") == 1
