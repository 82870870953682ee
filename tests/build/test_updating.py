"""Which rule moves which parameter: groups, feedback settings, clipping. Numbers against plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fac.backend import Array, Precision
from fac.pipeline import compile
from fac.testing.nets import Data, batch, linear, mlp, spec

NET = mlp(4, 3)
X, Y = batch()
LR = 0.1


def moved(update: Data, feedback: Any = None, steps: int = 1) -> tuple[dict[str, Array], dict[str, Array]]:
    """State before and after."""
    session = compile(spec(NET, feedback, {"rule": "sgd", "lr": LR, **update}), backend="reference").open()
    before = session.state()
    for _ in range(steps):
        session.step(X, Y)
    return before, session.state()


def gradients(feedback: Any = None) -> dict[str, Array]:
    """What plain SGD moves by, over the learning rate."""
    before, after = moved({}, feedback)
    return {name: (before[name] - after[name]) / LR for name in before if name != "step"}


def close(actual: Array, expected: Array) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-14)


KP = {"rule": "fa", "learn": {"rule": "kolen_pollack"}}


def test_group_scales_the_rate() -> None:
    before, after = moved({"groups": ({"match": "*.bias", "lr_scale": 0.25},)})
    g = gradients()
    close(after["fc1.bias"], before["fc1.bias"] - 0.25 * LR * g["fc1.bias"])
    close(after["fc1.weight"], before["fc1.weight"] - LR * g["fc1.weight"])


def test_rate_of_zero_keeps_a_parameter() -> None:
    before, after = moved({"groups": ({"match": "fc1.*", "lr_scale": 0.0},)})
    np.testing.assert_array_equal(after["fc1.weight"], before["fc1.weight"])
    assert (after["out.weight"] != before["out.weight"]).any()


def test_last_group_that_matches_counts() -> None:
    groups = ({"match": "*", "lr_scale": 0.5}, {"match": "fc1.*", "lr_scale": 3.0})
    before, after = moved({"groups": groups})
    g = gradients()
    close(after["fc1.weight"], before["fc1.weight"] - 3.0 * LR * g["fc1.weight"])
    close(after["out.weight"], before["out.weight"] - 0.5 * LR * g["out.weight"])


def test_weight_decay_of_a_group_replaces_the_rules_own() -> None:
    before, after = moved({"weight_decay": 0.5, "groups": ({"match": "*.bias", "weight_decay": 0.0},)})
    g = gradients()
    close(after["fc1.weight"], before["fc1.weight"] * (1 - LR * 0.5) - LR * g["fc1.weight"])
    close(after["fc1.bias"], before["fc1.bias"] - LR * g["fc1.bias"])


def test_group_with_a_rule_of_its_own() -> None:
    """Its rate is its own, too; the session's `lr` scales it by the ratio to the main rate."""
    before, after = moved({"groups": ({"match": "out.*", "use": {"rule": "adam", "lr": 0.02}},)})
    g = gradients()
    close(after["fc1.weight"], before["fc1.weight"] - LR * g["fc1.weight"])
    close(
        after["out.weight"],
        before["out.weight"] - 0.02 * g["out.weight"] / (np.abs(g["out.weight"]) + 1e-8),
    )
    assert {"out.weight.mean", "out.bias.square"} < after.keys()
    assert "fc1.weight.mean" not in after


def test_feedback_setting_concerns_feedback_alone() -> None:
    before, after = moved({"feedback": {"lr_scale": 2.0, "weight_decay": 0.1}}, KP)
    g = gradients(KP)
    close(
        after["out.feedback.B"],
        before["out.feedback.B"] * (1 - 2 * LR * 0.1) - 2 * LR * g["out.feedback.B"],
    )
    close(after["out.weight"], before["out.weight"] - LR * g["out.weight"])


def test_group_goes_before_the_feedback_setting() -> None:
    update = {"feedback": {"lr_scale": 2.0}, "groups": ({"match": "*.feedback.B", "lr_scale": 5.0},)}
    before, after = moved(update, KP)
    close(after["out.feedback.B"], before["out.feedback.B"] - 5 * LR * gradients(KP)["out.feedback.B"])


def test_kolen_pollack_takes_the_step_of_the_weight() -> None:
    """So that with decay the difference between the two dies away (Kolen and Pollack 1994)."""
    before, after = moved({"weight_decay": 0.5}, KP, steps=3)
    apart = before["out.weight"] - before["out.feedback.B"]
    close(after["out.weight"] - after["out.feedback.B"], (1 - LR * 0.5) ** 3 * apart)
    assert (before["out.feedback.B"] != after["out.feedback.B"]).any()


def test_fixed_feedback_stays() -> None:
    before, after = moved({"weight_decay": 0.5}, {"rule": "fa"}, steps=2)
    np.testing.assert_array_equal(after["out.feedback.B"], before["out.feedback.B"])


@pytest.mark.parametrize("at", [0.01, 100.0])
def test_clip_by_value(at: float) -> None:
    before, after = moved({"clip": {"by": "value", "at": at}})
    for name, g in gradients().items():
        close(after[name], before[name] - LR * np.clip(g, -at, at))


@pytest.mark.parametrize("at", [0.1, 100.0])
def test_clip_by_norm(at: float) -> None:
    """One factor for all; the norm is that of the network's parameters, and pseudo-gradients shrink with them."""
    before, after = moved({"clip": {"by": "norm", "at": at}}, KP)
    g = gradients(KP)
    norm = np.sqrt(sum(float((v**2).sum()) for name, v in g.items() if "feedback" not in name))
    factor = min(1.0, at / (norm + 1e-6))
    assert (factor < 1) == (at < 1)
    for name, value in g.items():
        close(after[name], before[name] - LR * factor * value)


@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
@pytest.mark.parametrize(
    ("precision", "feature", "init"),
    [("float32", 1e12, "kaiming_uniform"), ("float32", 1e30, "zeros"), ("float64", 1e200, "zeros")],
)
def test_one_huge_feature_leaves_a_step_of_the_norm_that_was_asked_for(
    backend: str, precision: Precision, feature: float, init: str
) -> None:
    """The squares of its gradients are beyond the precision; so would the loss be, were the weights not zero."""
    x, y = batch(classes=None)
    x[:, 0] *= feature
    before, after = clipped_step(backend, precision, x, y, init)
    moved = {name: after[name].astype(np.float64) - before[name] for name in before if name != "step"}
    assert np.linalg.norm(np.concatenate([m.ravel() for m in moved.values()])) == pytest.approx(0.5, rel=1e-6)
    expected = (y - x @ before["out.weight"].T).T @ (x[:, 0] / feature)
    direction = moved["out.weight"][:, 0]
    np.testing.assert_allclose(direction, 0.5 * expected / np.linalg.norm(expected), rtol=1e-5)


@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
@pytest.mark.parametrize(("precision", "size"), [("float32", 1e-30), ("float64", 1e-200), ("float64", 0.0)])
def test_tiny_gradients_are_not_clipped(backend: str, precision: Precision, size: float) -> None:
    x, y = batch(classes=None)
    before, after = clipped_step(backend, precision, x, size * y)
    expected = before["out.weight"] + 2 / y.size * (size * y).T @ x
    np.testing.assert_allclose(after["out.weight"], expected, rtol=1e-5, atol=0)


def clipped_step(
    backend: str, precision: Precision, x: Array, y: Array, init: str = "zeros"
) -> tuple[dict[str, Array], dict[str, Array]]:
    """State before and after a step of rate 1, of one layer, clipped to a norm of 0.5."""
    data = spec((linear("out", 3, init=init),), None, CLIPPED, loss="mse")
    session = compile(data, backend=backend, precision=precision).open(device="cpu")
    before = session.state()
    session.step(x, y)
    return before, session.state()


CLIPPED: Data = {"rule": "sgd", "lr": 1.0, "clip": {"by": "norm", "at": 0.5}}


def test_all_updates_read_the_values_from_before_the_step() -> None:
    """Every parameter at once moves as it does when all others are held."""
    _, together = moved({}, KP)
    for name in ("fc1.weight", "out.weight", "out.feedback.B", "out.bias"):
        groups = ({"match": "*", "lr_scale": 0.0}, {"match": name, "lr_scale": 1.0})
        _, alone = moved({"groups": groups}, KP)
        close(alone[name], together[name])
