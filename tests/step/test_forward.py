"""Forward mode: Jacobian-vector products of every op and of random graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fac.step.builder import Builder
from fac.step.forward import Forward, makers
from fac.step.ir import Function, Value
from fac.step.ops import OPS
from fac.step.ops.base import DISCRETE, STOP, OpDef, Without
from fac.step.reverse import Edits, NoDerivativeError, Reverse
from fac.step.types import DType, N, Type
from fac.step.verify import verify
from fac.testing.calls import CALLS, Call
from fac_reference.interpreter import run
from tests.step.op_cases import concrete, draw, function_of, x_of
from tests.step.test_random_graphs import SEEDS, Graph, inputs_of

STEP = 3e-6
TOLERANCE = 1e-8
"""As in test_ops, relative to the largest change where that is above 1."""
UNWRITTEN = {("project", 1), ("host", 0), ("newton_schulz_rows", 0), ("newton_schulz_rows", 1)}
"""Where there is a derivative, the op has no vjp and is made of no finer ops."""
FLOATS = [
    (call, k)
    for call in CALLS
    for k, type in enumerate(call.operands)
    if type.dtype == DType.FLOAT and OPS[call.kind].derivative(k) not in (STOP, DISCRETE)
]
SMOOTH = [(call, k) for call, k in FLOATS if (call.kind, k) not in UNWRITTEN]
IDS: Any = lambda value: getattr(value, "id", value)  # noqa: E731
F64 = np.dtype("float64")


def moved(call: Call, *moving: int) -> Function:
    """The result of a call, its `tangent` where some operands move along `t0`, `t1`, ..., and <u, tangent>."""

    def finish(b: Builder, result: Value) -> dict[str, Value]:
        by_name = {v.name: v for v in b.inputs}
        directions = {by_name[f"a{k}"]: b.input(f"t{k}", call.operands[k]) for k in moving}
        tangent = Forward(b, directions, makers(b.ops)).tangent(result)
        assert tangent is not None
        return {"result": result, "tangent": tangent}

    return function_of(call, finish, "forward")


def pulled(call: Call, k: int) -> Function:
    """The vector-Jacobian product of `u` at an operand."""

    def finish(b: Builder, result: Value) -> dict[str, Value]:
        loss = b.dot(result, b.input("u", result.type))
        operand = next(v for v in b.inputs if v.name == f"a{k}")
        g = Reverse(b, loss, Edits(), frozenset()).cotangent(operand)
        assert g is not None
        return {"g": g}

    return function_of(call, finish, "backward")


def plain(array: Any) -> Any:
    """Scalars are plain."""
    return float(array) if np.shape(array) == () else array


def directions(call: Call, *moving: int) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    return {f"t{k}": plain(rng.uniform(-1, 1, concrete(call.operands[k].shape))) for k in moving}


def central(function: Function, inputs: dict[str, Any], moving: tuple[int, ...]) -> Any:
    """How much the result changes along the directions, per step."""

    def result(step: float) -> Any:
        shifted = {f"a{k}": inputs[f"a{k}"] + step * inputs[f"t{k}"] for k in moving}
        return run(function, inputs | shifted, F64)["result"]

    return (result(STEP) - result(-STEP)) / (2 * STEP)


@pytest.mark.parametrize(("call", "k"), SMOOTH, ids=IDS)
def test_a_tangent_is_the_derivative_along_a_direction(call: Call, k: int) -> None:
    function = moved(call, k)
    verify(function)
    assert dict(function.outputs)["tangent"].type == call.result
    inputs = {"x": x_of(), **draw(call), **directions(call, k)}
    expected = central(function, inputs, (k,))
    found = run(function, inputs, F64)["tangent"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize(
    ("call", "k"),
    [(c, k) for c, k in SMOOTH if not isinstance(OPS[c.kind].derivative(k), Without)],
    ids=IDS,
)
def test_forward_and_reverse_mode_are_transposes(call: Call, k: int) -> None:
    """<u, J t> = <J^T u, t>."""
    u = plain(np.random.default_rng(3).uniform(-1, 1, concrete(call.result.shape)))
    given = {"x": x_of(), **draw(call)}
    t = directions(call, k)
    forward = run(moved(call, k), given | t, F64)["tangent"]
    back = run(pulled(call, k), given | {"u": u}, F64)["g"]
    scale = np.sum(np.abs(back * t[f"t{k}"])) + 1
    assert abs(np.sum(u * forward) - np.sum(back * t[f"t{k}"])) < 1e-13 * scale


def test_operands_that_move_together_add_their_changes() -> None:
    for call in CALLS:
        moving = tuple(k for k in range(len(call.operands)) if (call, k) in SMOOTH)
        if len(moving) > 1:
            function = moved(call, *moving)
            inputs = {"x": x_of(), **draw(call), **directions(call, *moving)}
            expected = central(function, inputs, moving)
            atol = TOLERANCE * max(1.0, np.abs(expected).max())
            found = run(function, inputs, F64)["tangent"]
            np.testing.assert_allclose(found, expected, rtol=0, atol=atol, err_msg=call.id)


def test_every_op_has_a_forward_derivative_or_says_why_not() -> None:
    """In every operand in which its result does not move in steps; here each that reverse mode knows, and more."""
    assert {kind for kind, _ in UNWRITTEN} == {"project", "host", "newton_schulz_rows"}
    seen = {(call.kind, k) for call, k in FLOATS}
    stated = {
        (kind, k)
        for kind, op in OPS.items()
        for k in range(len(op.vjp) if isinstance(op.vjp, tuple) else 1)
        if op.derivative(k) not in (STOP, DISCRETE)
    }
    assert stated <= seen
    for call, k in FLOATS:
        if (call.kind, k) in UNWRITTEN:
            with pytest.raises(NoDerivativeError, match=f"a change of `a{k}` cannot go on through"):
                moved(call, k)


@pytest.mark.parametrize("kind", ["sign", "less", "cast"])
def test_what_moves_in_steps_is_refused_and_a_stop_is_a_constant(kind: str) -> None:
    b = Builder()
    x = b.input("x", Type((N, 3)))
    made = {"sign": lambda: b.emit("sign", x), "less": lambda: b.less(x, 0.0)}.get(
        kind, lambda: b.cast(x, DType.INT)
    )()
    stopped = b.mul(b.stop_gradient(b.cast(made, DType.FLOAT)), x)
    hidden = b.stop_gradient(b.cast(made, DType.FLOAT))
    sweep = Forward(b, {x: b.broadcast_to(b.constant(1.0), x.type.shape)}, makers(b.ops))
    with pytest.raises(NoDerivativeError, match="its result moves in steps"):
        sweep.tangent(made)
    assert sweep.tangent(stopped) is not None
    assert sweep.tangent(hidden) is None


def test_nothing_is_built_that_no_one_asked_for_and_nothing_of_the_way_back_is_kept() -> None:
    b = Builder()
    x, w = b.input("x", Type((N, 3))), b.input("w", Type((4, 3)))
    y = b.emit("relu", b.matmul(x, w, tb=True))
    b.matmul(y, w)
    forward = tuple(b.ops)
    sweep = Forward(b, {x: b.input("t", x.type)}, makers(b.ops))
    assert sweep.tangent(w) is None
    assert len(b.ops) == len(forward)
    assert sweep.tangent(y) is not None
    product, slope = b.ops[len(forward) :]
    assert (product.kind, product.operands[1], dict(product.attributes)) == (
        "matmul",
        w,
        dict(forward[0].attributes),
    )
    assert slope.kind == "relu_input"


def test_depth_is_no_limit() -> None:
    b = Builder()
    x = value = b.input("x", Type((N, 3)))
    for _ in range(5000):
        value = b.emit("tanh", value)
    assert Forward(b, {x: b.input("t", x.type)}, makers(b.ops)).tangent(value) is not None


def test_an_op_without_a_way_to_go_on_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by its vjp, nor by what that is made of, nor by finer ops."""
    definition = OPS["silu"]
    unwritten = Without("nobody has written it")
    monkeypatch.setitem(OPS, "silu", OpDef("silu", definition.type, (unwritten,)))
    b = Builder()
    x = b.input("x", Type((N, 3)))
    y = b.emit("silu", x)
    with pytest.raises(NoDerivativeError, match="nobody has written it"):
        Forward(b, {x: x}, makers(b.ops)).tangent(y)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_change_of_a_random_graph_is_its_derivative(seed: int) -> None:
    """All leaves move at once: by reverse mode, which test_random_graphs compares with finite differences."""
    graph = Graph(seed)
    b = graph.b
    reverse = Reverse(b, graph.loss, Edits(), frozenset())
    gradients = {leaf.name: g for leaf in graph.leaves if (g := reverse.cotangent(leaf)) is not None}
    along = {leaf: b.input(f"along.{leaf.name}", leaf.type) for leaf in graph.leaves}
    tangent = Forward(b, along, makers(b.ops)).tangent(graph.loss)
    assert tangent is not None
    function = b.finish("both", {"result": graph.loss, "tangent": tangent, **gradients})
    verify(function)
    inputs = inputs_of(graph)
    for leaf, direction in along.items():
        inputs[direction.name] = plain(graph.rng.uniform(-1, 1, concrete(leaf.type.shape)))
    found = run(function, inputs, F64)
    terms = [found[name] * inputs[f"along.{name}"] for name in gradients]
    scale = 1 + sum(np.abs(term).sum() for term in terms)
    assert abs(found["tangent"] - sum(np.sum(term) for term in terms)) <= 1e-12 * scale
