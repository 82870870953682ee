"""Each diagnostic against numbers computed by hand, on a network that it is there for and one that it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fac.audit import DIAGNOSTICS, Measured, dominance, measured, reference, scale
from fac.backend import Session
from fac.pipeline import compile, load, resolved
from tests.rules.nets import Array, Spec, batch, dense, gradients, opened, put, spec

ROOT = Path(__file__).parents[2]
DFA: Spec = {"rule": "dfa", "init": {"kind": "normal", "std": 0.3}}
NET = dense(9, 8, 6, 4, act="tanh")


def looked(
    network: Spec, factors: dict[str, float] | None = None
) -> tuple[Measured, Session, tuple[Array, Array]]:
    session = opened(network)
    state = session.state()
    put(session, {name: state[name] * factor for name, factor in (factors or {}).items()})
    x, y = batch()
    found = measured(session, resolved(load(network)), {"x": x, "y": y})
    assert found is not None
    return found, session, (x, y)


def said(found: Measured) -> dict[str, list[str]]:
    return {module.NAME: list(module.said(found)) for module in DIAGNOSTICS}


def test_a_sound_network_gives_no_word() -> None:
    found, session, (x, y) = looked(spec(NET, DFA))
    assert said(found) == {"scale": [], "reference": [], "dominance": []}
    assert list(found.scale) == ["fc2", "fc3"], "neither the first, which reads data, nor the last"
    assert list(found.true) == ["fc1", "fc2", "fc3", "fc4"]
    values = session.values(x)
    for layer, below, act in (("fc2", "act1", "act2"), ("fc3", "act2", "act3")):
        expected = np.sqrt(np.mean(values[act] ** 2) / np.mean(values[below] ** 2))
        assert found.scale[layer] == pytest.approx(expected, rel=1e-12)
    routed, exact = (gradients(s, x, y) for s in (session, put(opened(spec(NET)), _parameters(session))))
    weights = [f"fc{i}.weight" for i in (1, 2, 3, 4)]
    for name in weights:
        layer = name.partition(".")[0]
        assert found.routed[layer] == pytest.approx(np.linalg.norm(routed[name]), rel=1e-9)
        assert found.true[layer] == pytest.approx(np.linalg.norm(exact[name]), rel=1e-9)
    g, t = (np.concatenate([side[name].ravel() for name in weights]) for side in (routed, exact))
    assert found.stacked == pytest.approx(g @ t / np.linalg.norm(g) / np.linalg.norm(t), rel=1e-9)


def _parameters(session: Session) -> dict[str, Array]:
    return {name: array for name, array in session.state().items() if name.endswith(("weight", "bias"))}


def test_activations_that_grow_are_named() -> None:
    relu = dense(9, 8, 6, 4)
    found, *_ = looked(spec(relu, DFA), {"fc2.weight": 300.0, "fc2.bias": 0.0})
    name, ratio = scale.largest(found) or ("", 0.0)
    assert name == "fc2"
    assert ratio > scale.THRESHOLD
    (text,) = scale.said(found)
    assert text == f"activations grow {ratio:,.0f}-fold in `fc2`, more than 50"


def test_a_true_gradient_that_vanishes_has_no_cosine() -> None:
    found, *_ = looked(spec(NET, DFA), {"fc3.weight": 1e-9})
    assert reference.lowest(found) == ("fc1", found.true["fc1"])
    assert 0 < found.true["fc1"] <= reference.FLOOR < found.true["fc4"]
    assert np.isnan(found.cosine["fc1"])
    assert np.isfinite(found.cosine["fc4"])
    (text,) = reference.said(found)
    assert text.startswith("the true gradient of `fc1` and of 1 more has a norm of ")


def test_a_layer_that_makes_the_cosine_of_all_is_named() -> None:
    found, *_ = looked(spec(NET, {**DFA, "scale": 1e-4}))
    name, share = dominance.largest(found) or ("", 0.0)
    weights = {layer: found.routed[layer] * found.true[layer] for layer in found.true}
    assert name == "fc4"
    assert share == pytest.approx(weights["fc4"] / sum(weights.values()), rel=1e-12)
    assert share > 0.9
    stacked = found.stacked * np.prod(
        [np.linalg.norm(list(side.values())) for side in (found.routed, found.true)]
    )
    assert found.cosine["fc4"] * weights["fc4"] / stacked == pytest.approx(1.0, abs=0.01), (
        "of it the cosine comes"
    )
    (text,) = dominance.said(found)
    assert text.startswith("`fc4` makes ")
    assert "`fc1` " in text


def test_shares_survive_squares_that_are_zero() -> None:
    tiny = dict.fromkeys(("a", "b"), 1e-200)
    assert dominance.largest(Measured({}, tiny, tiny, tiny, 1.0)) == ("a", 0.5)


@pytest.mark.parametrize("feedback", [{"rule": "shallow"}, {"rule": "frozen"}])
def test_baselines_are_looked_at_without_a_false_word(feedback: dict[str, Any]) -> None:
    found, *_ = looked(spec(NET, feedback))
    assert said(found)["reference"] == []
    assert said(found)["dominance"] == []


def test_a_network_that_is_solved_has_no_gradients() -> None:
    network = {key: value for key, value in spec(NET).items() if key not in ("update", "feedback")}
    solved = resolved(load({**network, "loss": {"kind": "mse"}, "solve": {"rule": "zorb"}}))
    assert measured(None, solved, {}) is None  # type: ignore[arg-type]


def test_the_shares_are_those_of_the_inner_product_of_stacks_that_point_alike() -> None:
    """And not weights of a mean: both cosines are 1, and that of the stacks is not."""
    one, other = {"a": 1.0, "b": 1e-4}, {"a": 1e-4, "b": 1.0}
    assert dominance.shares(Measured({}, one, other, {"a": 1.0, "b": 1.0}, 2e-4)) == {"a": 0.5, "b": 0.5}
    stacked = np.dot([1.0, 1e-4], [1e-4, 1.0]) / np.linalg.norm([1.0, 1e-4]) ** 2
    assert stacked == pytest.approx(2e-4, rel=1e-6)


def test_backends_look_at_a_gru_whose_later_copies_are_frozen() -> None:
    """What is looked at beside the step is made of ops that the backend has, as the step is."""
    frozen = load(ROOT / "examples/papers/reference/gru.fac.yaml", ["feedback={rule: frozen}"])
    program, draw = resolved(frozen), np.random.default_rng(0)
    given = {"x": draw.normal(size=(6, 8, 8)), "y": draw.integers(0, 10, 6)}
    one, other = (measured(compile(frozen, b, "float64").open(), program, given) for b in ("torch", "onnx"))
    assert one is not None
    assert other is not None
    assert one.routed == pytest.approx(other.routed, rel=1e-9)
    assert one.true == pytest.approx(other.true, rel=1e-9)
