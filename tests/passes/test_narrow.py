"""Mixed precision: what numbers are rounded to, which ops keep them so, and a step against one written by hand."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

import fac
from fac.pipeline import compiled, lowered
from fac.step.ir import Function, Phase, Value
from fac.step.ops import OPS
from fac.step.types import DType
from fac.step.verify import verify
from fac.testing.calls import CALLS, Call
from fac_reference.interpreter import run
from fac_reference.rounding import bfloat16
from tests.step.op_cases import draw, function_of, x_of

BF16: Any = ml_dtypes.bfloat16


def rounded(x: NDArray[Any]) -> NDArray[Any]:
    """By another library."""
    with np.errstate(over="ignore"):
        return x.astype(np.float32).astype(BF16).astype(x.dtype)


def test_every_number_goes_to_the_nearest() -> None:
    with np.errstate(invalid="ignore"):  # patterns that are no numbers
        every = np.arange(1 << 16, dtype=np.uint16).view(BF16).astype(np.float64)
    every = np.unique(every[np.isfinite(every)])
    middles, rng = (every[1:] + every[:-1]) / 2, np.random.default_rng(0)
    near = np.concatenate([every, middles, np.nextafter(middles, np.inf), rng.normal(size=1000)])
    x = near.astype(np.float32)
    assert np.array_equal(bfloat16(x), rounded(x))
    assert np.array_equal(bfloat16(every), every)
    ends = np.array([np.inf, -np.inf, np.nan, 3.4e38, -0.0], np.float32)
    assert np.array_equal(bfloat16(ends), rounded(ends), equal_nan=True)
    assert np.signbit(bfloat16(ends)[-1])


def computed(call: Call, given: dict[str, Any]) -> NDArray[Any]:
    """By the oracle, in float64."""
    function = function_of(call, lambda b, v: {"result": v}, "forward")
    found: NDArray[Any] = run(function, {"x": x_of(), **given}, np.dtype("float64"))["result"]
    return found


SELECTING = [call for call in CALLS if OPS[call.kind].selects and call.kind != "round_to"]
LINEAR = [call for call in CALLS if OPS[call.kind].narrows]


@pytest.mark.parametrize("call", SELECTING, ids=lambda call: call.id)
def test_ops_that_select_leave_rounded_numbers_rounded(call: Any) -> None:
    given = {
        name: rounded(np.asarray(a)) if np.asarray(a).dtype.kind == "f" else a
        for name, a in draw(call).items()
    }
    found = np.asarray(computed(call, given))
    assert np.array_equal(found, rounded(found))


@pytest.mark.parametrize("call", LINEAR, ids=lambda call: call.id)
def test_products_that_narrow_are_linear_in_both_operands(call: Any) -> None:
    given = draw(call)
    for name, array in given.items():
        other = np.random.default_rng(1).normal(size=array.shape)
        both = computed(call, given | {name: 1.5 * array + other})
        apart = 1.5 * computed(call, given) + computed(call, given | {name: other})
        np.testing.assert_allclose(both, apart, rtol=0, atol=1e-12 * np.abs(apart).max())


NET: dict[str, Any] = {
    "fac": 1,
    "name": "narrow",
    "input": {"shape": [8]},
    "layers": [
        {"kind": "linear", "name": "fc1", "out": 6},
        {"kind": "relu"},
        {"kind": "linear", "name": "fc2", "out": 5},
        {"kind": "tanh"},
        {"kind": "linear", "name": "out", "out": 3},
    ],
    "loss": {"kind": "cross_entropy"},
    "update": {"rule": "sgd", "lr": 0.25},
    "train": {"mixed_precision": "bfloat16"},
}


def batch(n: int = 7) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(3)
    return rng.normal(size=(n, 8)), rng.integers(0, 3, n)


@pytest.mark.parametrize("rule", ["bp", "fa"])
@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
def test_a_step_is_that_of_the_equations(backend: str, rule: str) -> None:
    """y = r(r(x) r(W)^T + r(b)), d_h = r(r(d) r(B)), dW = r(r(d)^T r(h)); all else in float64."""
    session = fac.compile(NET | {"feedback": {"rule": rule}}, backend, "float64").open()
    s = {name: array.copy() for name, array in session.state().items()}
    x, y = batch()
    r = rounded

    def layer(h: NDArray[Any], name: str) -> NDArray[Any]:
        return r(r(h) @ r(s[f"{name}.weight"]).T + r(s[f"{name}.bias"]))

    h1 = np.maximum(layer(x, "fc1"), 0)
    h2 = np.tanh(layer(h1, "fc2"))
    z = layer(h2, "out")
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    loss = -np.log(p[np.arange(len(y)), y]).mean()
    d3 = (p - np.eye(3)[y]) / len(y)
    back = {n: r(s[f"{n}.feedback.B" if rule == "fa" else f"{n}.weight"]) for n in ("out", "fc2")}
    d2 = r(r(d3) @ back["out"]) * (1 - h2**2)
    d1 = r(r(d2) @ back["fc2"]) * (h1 > 0)
    found = session.step(x, y)
    assert float(found["loss"]) == pytest.approx(loss, abs=1e-12)
    after = session.state()
    for name, d, h in (("out", d3, h2), ("fc2", d2, h1), ("fc1", d1, x)):
        expected = s[f"{name}.weight"] - 0.25 * r(r(d).T @ r(h))
        assert np.abs(after[f"{name}.weight"] - expected).max() < 1e-12
        assert np.abs(after[f"{name}.bias"] - (s[f"{name}.bias"] - 0.25 * d.sum(0))).max() < 1e-12


def test_evaluation_and_probes_stay_precise() -> None:
    narrow = compiled(lowered(NET | {"feedback": {"rule": "ldfa", "rank": 2}}))
    for function in (narrow.evaluate, narrow.forward, narrow.probe):
        assert all(op.kind != "round_to" for op in function.ops)
    verify(narrow.step)


def test_products_by_which_feedback_learns_are_not_rounded() -> None:
    ldfa = {"rule": "ldfa", "rank": 2, "learn": "oja_kp"}
    step = compiled(lowered(NET | {"feedback": ldfa})).step
    read = {value: op for op in step.ops for value in op.operands if op.kind == "round_to"}
    products = [op for op in step.ops if OPS[op.kind].narrows]
    learning = [op for op in products if op.origin.phase is Phase.LEARN]
    assert learning
    assert not any(op.result in read for op in learning)
    for op in products:
        if op not in learning:
            assert all(_is_rounded(value, step) for value in op.operands), op.result.name


def _is_rounded(value: Value, step: Function) -> bool:
    """Whether it is made by rounding, or chosen from what is."""
    op = {op.result: op for op in step.ops}.get(value)
    if op is None:
        return False
    floats = [v for v in op.operands if v.type.dtype is DType.FLOAT]
    return op.kind == "round_to" or (OPS[op.kind].selects and all(_is_rounded(v, step) for v in floats))


def test_a_bias_of_maps_is_added_before_its_layer_is_rounded() -> None:
    layers = [
        {"kind": "conv2d", "name": "c1", "out": 3, "kernel": 3},
        {"kind": "relu"},
        {"kind": "flatten"},
        {"kind": "linear", "name": "out", "out": 3},
    ]
    net = NET | {"input": {"shape": [2, 5, 5]}, "layers": layers, "feedback": {"rule": "bp"}}
    step = compiled(lowered(net)).step
    made = {op.result.name: op for op in step.ops}
    assert made["c1"].kind == "round_to"
    assert made[made["c1"].operands[0].name].kind == "add"


@pytest.mark.parametrize("name", ["x.bfloat16", "fc1.exact", "fc1.bfloat16"])
def test_layers_may_be_called_as_what_is_rounded(name: str) -> None:
    layers = [layer | ({"name": name} if layer.get("name") == "fc2" else {}) for layer in NET["layers"]]
    verify(compiled(lowered(NET | {"layers": layers, "feedback": {"rule": "bp"}})).step)


def test_nothing_is_rounded_twice() -> None:
    step = compiled(lowered(NET | {"feedback": {"rule": "bp"}})).step
    made = {op.result: op for op in step.ops}
    for op in step.ops:
        if op.kind == "round_to" and op.operands[0] in made:
            assert made[op.operands[0]].kind not in ("round_to", "relu", "relu_input")
