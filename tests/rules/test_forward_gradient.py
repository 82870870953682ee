"""Learned direct feedback: slopes of the loss in forward mode, and the cosine by which B learns from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fac.build.functions import routed
from fac.build.routing import Routing
from fac.build.trace import Trace
from fac.build.transport import transport
from fac.feedback.forward_gradient import FORWARD_GRADIENT
from fac.pipeline import check, lowered
from fac.program.program import Ends
from fac.step.builder import Builder
from fac.step.ir import Phase, Value
from fac.step.random import Stream
from fac.step.reverse import Edits, Reverse
from fac.step.types import Batch, DType, N, Type
from fac.step.verify import verify
from fac.testing.declarations import check_declarations
from fac_reference.interpreter import run
from tests.rules.nets import SKIP, Array, Spec, batch, dense, moved, opened, spec

NET = dense(9, 8, 4, act="tanh")
LEARNED: Spec = {"rule": "dfa", "learn": {"rule": "forward_gradient"}}
PAIR: Spec = {"kind": "low_rank", "rank": 2, "write": {"rule": "forward_gradient"}}
F64 = np.dtype("float64")


def signs(name: str, rows: int, width: int, step: int = 0) -> Array:
    """Those of a stream at one step."""
    b = Builder()
    b.input("x", Type((N,)))
    number = b.scalar("step", DType.INT)
    found = Stream(0, name, lambda: number).sign(b, (N, width))
    given = {"x": np.zeros(rows), "step": step}
    return np.asarray(run(b.finish("signs", {"v": found}), given, F64)["v"])


def test_signs_are_fair_and_others_at_each_step() -> None:
    found = signs("fc1.feedback", 400, 100)
    assert set(np.unique(found)) == {-1.0, 1.0}
    assert abs(found.mean()) < 0.02
    assert np.abs(found.T @ found / 400 - np.eye(100)).max() < 0.25
    assert abs((found * signs("fc1.feedback", 400, 100, 1)).mean()) < 0.02
    assert abs((found * signs("fc2.feedback", 400, 100)).mean()) < 0.02


# -- the slope ----------------------------------------------------------------------------------------------------

TOKENS: tuple[Spec, ...] = (
    {"kind": "linear", "name": "fc1", "out": 5},
    {"kind": "tanh", "name": "act1"},
    {"kind": "linear", "name": "fc2", "out": 4},
    {"kind": "tanh", "name": "act2"},
    {"kind": "mean", "name": "mean", "axes": (0,)},
    {"kind": "linear", "name": "fc3", "out": 4},
)
CONV: tuple[Spec, ...] = (
    {"kind": "conv2d", "name": "c1", "out": 3, "kernel": 3},
    {"kind": "relu"},
    {"kind": "max_pool2d", "kernel": 2},
    {"kind": "conv2d", "name": "c2", "out": 2, "kernel": 2},
    {"kind": "tanh"},
    {"kind": "flatten"},
    {"kind": "linear", "name": "out", "out": 4},
)
NETS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "chain": (NET, (7,)),
    "skip": (SKIP, (7,)),
    "maps": (CONV, (2, 8, 8)),
    "tokens": (TOKENS, (3, 6)),
}


@pytest.mark.parametrize("net", NETS)
def test_the_slope_is_the_product_with_the_true_error_of_each_sample(net: str) -> None:
    """Along random rows: <g_n, v_n>, g the error of backpropagation at the site."""
    layers, shape = NETS[net]
    program = lowered(spec(layers, LEARNED) | {"input": {"shape": shape}})
    trace = Trace(program, training=True)
    loss = trace.loss()
    routing, b = Routing(trace, loss), trace.b
    true = Reverse(b, loss, Edits(), frozenset(trace.state.values()), prefix="true.")
    outputs: dict[str, Value] = {}
    shapes: dict[str, Ends] = {}
    for route in program.routes:
        assert route.site is not None
        assert route.ends is not None
        signals, error = routing.signals(route), true.cotangent(trace.values[route.site])
        assert signals is not None
        assert error is not None
        rows = b.input(f"{route.node}.rows", Type((Batch(route.ends.places), route.ends.writes)))
        outputs |= {f"{route.node}.slope": signals.slope(b, rows), f"{route.node}.error": error}
        shapes[route.node] = route.ends
    function = b.finish("slopes", outputs)
    verify(function)
    rng = np.random.default_rng(0)
    given: dict[str, Any] = {
        v.name: rng.standard_normal([d.times * 6 if isinstance(d, Batch) else d for d in v.type.shape])
        for v in function.inputs
        if v.type.dtype == DType.FLOAT
    }
    given["y"] = rng.integers(0, 4, 6)
    found = run(function, given, F64)
    for node, ends in shapes.items():
        error, rows = found[f"{node}.error"], given[f"{node}.rows"]
        if ends.copies > 1:  # to all tokens the same: an equal part of it each
            error = error.reshape(6, ends.copies, -1).mean(1)
        expected = (error.reshape(6, -1) * rows.reshape(6, -1)).sum(1)
        slope = found[f"{node}.slope"].reshape(6, ends.places)
        np.testing.assert_allclose(slope, np.repeat(expected[:, None], ends.places, 1), rtol=0, atol=1e-14)
        assert np.abs(expected).max() > 1e-3


def test_where_samples_mix_the_slopes_add_up_to_that_of_the_loss() -> None:
    layers = (NET[0], {"kind": "batch_norm", "name": "bn"}, *NET[1:])
    program = lowered(spec(layers, {"routes": ({"to": "fc1", "at": "fc1", "matrix": {"kind": "random"}},)}))
    trace = Trace(program, training=True)
    loss = trace.loss()
    routing, b = Routing(trace, loss), trace.b
    error = Reverse(b, loss, Edits(), frozenset(trace.state.values())).cotangent(trace.values["fc1"])
    signals = routing.signals(program.routes[0])
    assert signals is not None
    assert error is not None
    rows = b.input("rows", Type((N, 9)))
    total = b.sub(b.sum(signals.slope(b, rows), (0, 1)), b.dot(error, rows))
    function = b.finish("sum", {"difference": total, "error": error})
    rng = np.random.default_rng(0)
    given: dict[str, Any] = {
        v.name: rng.standard_normal([6 if isinstance(d, Batch) else d for d in v.type.shape])
        for v in function.inputs
        if v.type.dtype == DType.FLOAT
    }
    found = run(function, given | {"y": rng.integers(0, 4, 6)}, F64)
    assert abs(found["difference"]) < 1e-14
    assert np.abs(found["error"]).max() > 1e-3


# -- what is learned ----------------------------------------------------------------------------------------------


def losses(state: dict[str, Array], hidden: Array, y: Array) -> Array:
    """-log softmax of each sample, over their number, from what `act1` makes."""
    z = (
        np.tanh(hidden @ state["fc2.weight"].T + state["fc2.bias"]) @ state["fc3.weight"].T
        + state["fc3.bias"]
    )
    z = z - z.max(1, keepdims=True)
    return np.asarray(np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y]) / len(y)


def central(function: Any, start: Array, step: float) -> Array:
    found = np.empty_like(start)
    for index in np.ndindex(start.shape):
        shift = np.zeros_like(start)
        shift[index] = step
        found[index] = (function(start + shift) - function(start - shift)) / (2 * step)
    return found


@pytest.mark.parametrize("pair", [False, True], ids=["B", "Q"])
def test_the_step_descends_minus_the_cosine_at_the_same_size(pair: bool) -> None:
    """Slopes by differences of the loss of each sample, and the gradient by differences of the cosine."""
    feedback = {"routes": ({"to": "fc1", "matrix": PAIR},)} if pair else LEARNED
    session, (x, y) = opened(spec(NET, feedback)), batch()
    state = session.state()
    hidden = np.tanh(x @ state["fc1.weight"].T + state["fc1.bias"])
    v = signs("fc1.feedback", len(x), 9)
    h = 1e-5
    slope = (losses(state, hidden + h * v, y) - losses(state, hidden - h * v, y)) / (2 * h)
    estimate = slope[:, None] * v
    z = (
        np.tanh(hidden @ state["fc2.weight"].T + state["fc2.bias"]) @ state["fc3.weight"].T
        + state["fc3.bias"]
    )
    p = np.exp(z - z.max(1, keepdims=True))
    error = (p / p.sum(1, keepdims=True) - np.eye(4)[y]) / len(y)
    read = error @ state["fc1.feedback.P"].T if pair else error

    def loss(matrix: Array) -> float:
        sent = read @ matrix.T
        return -float((sent * estimate).sum() / np.linalg.norm(sent) / np.linalg.norm(estimate))

    name = "fc1.feedback.Q" if pair else "fc1.feedback.B"
    before = state[name]
    size = np.linalg.norm(before)
    turned = before - 0.03 * size**2 * central(loss, before, 1e-5)
    session.step(x, y)
    found = session.state()[name]
    np.testing.assert_allclose(found, turned * size / np.linalg.norm(turned), rtol=0, atol=1e-8)
    assert np.abs(found - before).max() > 1e-4


def test_it_turns_to_the_way_back_of_a_linear_network() -> None:
    """There the true error is W^T e: B of a direct route comes to W^T, up to a factor; without learning it stays."""
    layers = dense(20, 4, act=None)
    update = {"rule": "sgd", "lr": 1e-7}

    def cosine(feedback: Spec) -> float:
        session = opened(spec(layers, feedback, update))
        for step in range(600):
            session.step(*batch(64, seed=step))
        state = session.state()
        b, w = state["fc1.feedback.B"], state["fc2.weight"].T
        b, w = (
            b - b.mean(1, keepdims=True),
            w - w.mean(1, keepdims=True),
        )  # errors of a softmax add up to zero
        return float((b * w).sum() / np.linalg.norm(b) / np.linalg.norm(w))

    assert cosine(LEARNED) > 0.97
    assert abs(cosine({"rule": "dfa"})) < 0.4


@pytest.mark.parametrize("net", NETS)
def test_every_feedback_matrix_learns(net: str) -> None:
    layers, shape = NETS[net]
    session = opened(spec(layers, LEARNED) | {"input": {"shape": shape}})
    before = session.state()
    rng = np.random.default_rng(0)
    session.step(rng.standard_normal((6, *shape)), rng.integers(0, 4, 6))
    matrices = {name for name in before if ".feedback." in name}
    assert matrices
    assert matrices <= moved(before, session.state())


def test_no_weight_is_read_the_other_way_round() -> None:
    """Each product with a weight is one of the forward pass, of other numbers; so it is no transport."""
    for layers, shape in NETS.values():
        program = lowered(spec(layers, LEARNED) | {"input": {"shape": shape}})
        assert transport(program).layers(program) == []
        ops = routed(program)[0].trace.b.ops
        weights = set(routed(program)[0].trace.state)
        forward = {
            (op.kind, op.operands[1].name, str(op.attributes))
            for op in ops
            if op.origin.phase is Phase.FORWARD and op.kind in ("matmul", "conv2d")
        }
        again = {
            (op.kind, op.operands[1].name, str(op.attributes))
            for op in ops
            if op.origin.phase is Phase.TANGENT and weights.intersection(v.name for v in op.operands)
        }
        assert again
        assert again <= forward


def test_fixed_routes_build_no_sweep() -> None:
    ops = routed(lowered(spec(NET, {"rule": "dfa"})))[0].trace.b.ops
    assert not any(op.origin.phase is Phase.TANGENT for op in ops)


def test_a_layer_wise_route_has_no_site_and_a_subspace_sends_nothing() -> None:
    way = {"rule": "forward_gradient"}
    pair = {"kind": "low_rank", "rank": 2, "write": way}
    for feedback, message in (
        ({"rule": "fa", "learn": way}, "a `through` route has none"),
        ({"routes": ({"through": "fc3", "matrix": pair},)}, "a `through` route has none"),
        (
            {"routes": ({"to": "fc1", "matrix": {"kind": "low_rank", "rank": 2, "read": way}},)},
            "cannot teach P",
        ),
        (
            {
                "subspaces": ({"name": "s", "rank": 2, "basis": way},),
                "routes": ({"to": "fc1", "from": "s", "matrix": {"kind": "random"}},),
            },
            "cannot teach the subspace",
        ),
    ):
        assert any(message in finding.message for finding in check(spec(NET, feedback)))


def test_zeros_have_no_size_to_keep() -> None:
    found = check(spec(NET, LEARNED | {"init": "zeros"}))
    assert "FAC319" in {finding.rule.code for finding in found}


def test_what_it_says_of_itself() -> None:
    check_declarations(FORWARD_GRADIENT)
