"""How targets go back through layers, in closed form. There and back again: `fac.testing.inverse_laws`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fac.build.trace import Trace
from fac.pipeline import lowered
from fac.plugins import kinds
from fac.program.kinds import Back
from fac.program.program import Program
from fac.solve.inverses import inverse
from fac.step.types import SCALAR, Type
from fac_reference.interpreter import run
from tests.solve.nets import EPS, Array, spec

RNG = np.random.default_rng(0)


def network(layer: dict[str, Any], shape: tuple[int, ...]) -> Program:
    """One layer that is asked about, below what makes a whole network of it."""
    head = ({"kind": "flatten"}, {"kind": "linear", "name": "logits", "out": 2})
    return lowered(spec((layer | {"name": "layer"}, *head), shape))


def both(layer: dict[str, Any], x: Array, state: dict[str, Array] | None = None) -> tuple[Any, Any]:
    """fwd, and back with what it read at x."""
    program = network(layer, x.shape[1:])
    node = program.by_name["layer"]
    found = inverse(node)
    assert found is not None
    state = state or {}
    pseudo = {}
    if node.weight is not None:
        w = state["weight"]
        pseudo = {"pseudo": np.linalg.pinv(w.reshape(len(w), -1)).T.reshape(w.shape)}

    def forward(value: Array) -> Array:
        trace = Trace(program, training=False)
        function = trace.b.finish("forward", {"output": trace.values["layer"]})
        return evaluated(function, {"x": value})

    def back(targets: Array) -> Array:
        trace = Trace(program, training=False)
        b = trace.b
        given = {"targets": targets, "low": np.array(targets.min()), "high": np.array(targets.max())} | pseudo
        t = b.input("targets", trace.values["layer"].type)
        low, high = b.input("low", SCALAR), b.input("high", SCALAR)
        inv = b.input("pseudo", Type(node.weight.shape)) if node.weight is not None else None
        seen = Back(trace.values["input"], trace.read(node.state), inv, low, high)
        function = b.finish("back", {"output": found.back(b, t, seen)})
        return evaluated(function, given | {"x": x})

    def evaluated(function: Any, given: dict[str, Any]) -> Array:
        named = {f"layer.{part}": array for part, array in state.items()}
        zeros = {
            v.name: np.zeros(tuple(v.type.shape)) for v in function.inputs if v.name.startswith("logits")
        }
        return np.asarray(run(function, zeros | named | given, np.dtype("float64"))["output"])

    return forward, back


def test_every_kind_with_an_inverse_is_here() -> None:
    known = {"linear", "conv2d", "sigmoid", "tanh", "relu", "softmax", "flatten"}
    assert {kind.name for kind in kinds("fac.layers") if getattr(kind, "inverse", None)} == known


@pytest.mark.parametrize(("kind", "width", "least"), [("sigmoid", 1.0, 0.0), ("tanh", 2.0, -1.0)])
def test_what_is_squeezed_is_an_affine_map_away(kind: str, width: float, least: float) -> None:
    targets = 7 * RNG.standard_normal((5, 6)) - 2
    forward, back = both({"kind": kind}, targets)
    low, high = targets.min(), targets.max()
    share = (forward(back(targets)) - least - EPS) / (width - 2 * EPS)
    np.testing.assert_allclose(
        share * (high - low) + low, targets, rtol=0, atol=1e-12 * np.abs(targets).max()
    )


def test_relu_makes_what_is_nearest() -> None:
    targets = RNG.standard_normal((5, 6))
    forward, back = both({"kind": "relu"}, targets)
    np.testing.assert_array_equal(forward(back(targets)), np.maximum(targets, 0))


def test_softmax_of_labels_is_as_far_away_as_what_is_out_of_reach() -> None:
    x, labels = RNG.standard_normal((5, 6)), np.eye(6)[[0, 1, 2, 3, 4]]
    forward, back = both({"kind": "softmax"}, x)
    assert 0 < np.abs(forward(back(labels)) - labels).max() < 6 * EPS


def test_where_windows_overlap_the_mean_of_what_they_ask_counts() -> None:
    """Window by window: patches by the pseudoinverse, added up and divided by how many there are."""
    x = RNG.standard_normal((3, 2, 5, 6))
    state = {"weight": RNG.standard_normal((4, 2, 2, 3)), "bias": RNG.standard_normal(4)}
    _, back = both({"kind": "conv2d", "out": 4, "kernel": (2, 3)}, x, state)
    targets = RNG.standard_normal((3, 4, 4, 4))
    wanted, over = np.zeros_like(x), np.zeros((5, 6))
    matrix = np.linalg.pinv(state["weight"].reshape(4, -1))
    for i, j in np.ndindex(4, 4):
        patch = ((targets[:, :, i, j] - state["bias"]) @ matrix.T).reshape(3, 2, 2, 3)
        wanted[:, :, i : i + 2, j : j + 3] += patch
        over[i : i + 2, j : j + 3] += 1
    np.testing.assert_allclose(back(targets), wanted / over, rtol=0, atol=1e-12)
