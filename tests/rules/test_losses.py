"""Losses and their errors at the output against torch, and what direct rules make of those errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from torch import Tensor

from fac.pipeline import compile
from fac.step.text import to_text
from fac.testing.nets import Data, linear, mlp, spec

WEIGHT = (0.5, 2.0, 0.0, 1.25)
YES = (0.5, 3.0, 1.0, 8.0)
Twin = Callable[[Tensor, Tensor], Tensor]


def smoothed(z: Tensor, y: Tensor) -> Tensor:
    return functional.cross_entropy(z, y, label_smoothing=0.1)


def weighted(z: Tensor, y: Tensor) -> Tensor:
    return functional.cross_entropy(z, y, z.new_tensor(WEIGHT))


def both(z: Tensor, y: Tensor) -> Tensor:
    return functional.cross_entropy(z, y, z.new_tensor(WEIGHT), label_smoothing=0.3)


def yes(z: Tensor, y: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(z, y, pos_weight=z.new_tensor(YES))


def yes_for_all(z: Tensor, y: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(z, y, pos_weight=z.new_tensor(2.5))


LOSSES: dict[str, tuple[Data, Twin]] = {
    "cross_entropy": ({"kind": "cross_entropy"}, functional.cross_entropy),
    "smoothed": ({"kind": "cross_entropy", "label_smoothing": 0.1}, smoothed),
    "weighted": ({"kind": "cross_entropy", "weight": WEIGHT}, weighted),
    "both": ({"kind": "cross_entropy", "weight": WEIGHT, "label_smoothing": 0.3}, both),
    "mse": ({"kind": "mse"}, functional.mse_loss),
    "huber": ({"kind": "huber"}, functional.huber_loss),
    "huber of 0.3": ({"kind": "huber", "delta": 0.3}, lambda z, y: functional.huber_loss(z, y, delta=0.3)),
    "bce": ({"kind": "bce"}, functional.binary_cross_entropy_with_logits),
    "bce, one weight": ({"kind": "bce", "pos_weight": 2.5}, yes_for_all),
    "bce, weights": ({"kind": "bce", "pos_weight": YES}, yes),
}
EACH = pytest.mark.parametrize("name", LOSSES)
BACKENDS = pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])


def targets(name: str, n: int, seed: int = 0) -> Any:
    """Labels, numbers in [0, 1] with both ends among them, or any numbers."""
    rng = np.random.default_rng(seed)
    if LOSSES[name][0]["kind"] == "cross_entropy":
        return rng.integers(0, 4, n)
    if LOSSES[name][0]["kind"] == "bce":
        return np.clip(rng.uniform(-0.5, 1.5, (n, 4)), 0, 1)
    return rng.standard_normal((n, 4))


def expected(name: str, z: Any, y: Any) -> tuple[float, Any]:
    """The loss, and its gradient at the output."""
    output = torch.tensor(z, requires_grad=True)
    loss = LOSSES[name][1](output, torch.tensor(y))
    (error,) = torch.autograd.grad(loss, output)
    return float(loss.detach()), error.numpy()


def moved(name: str, backend: str, z: Any, y: Any, precision: Any = "float64") -> tuple[float, Any]:
    """The loss, and the error at the output: what a step of rate 1 takes from a weight, for x that picks its rows."""
    n = len(z)
    data = spec((linear("out", 4, bias=False),), update={"rule": "sgd", "lr": 1.0}, shape=(n,))
    session = compile(data | {"loss": LOSSES[name][0]}, backend, precision).open(
        {"out.weight": z.T, "step": np.array(0)}
    )
    before = session.state()["out.weight"]
    loss = float(session.step(np.eye(n), y)["loss"])
    return loss, (before - session.state()["out.weight"]).T


@BACKENDS
@EACH
def test_the_loss_and_its_error_are_those_of_torch(name: str, backend: str) -> None:
    z, y = 2 * np.random.default_rng(1).standard_normal((9, 4)), targets(name, 9)
    loss, error = moved(name, backend, z, y)
    wanted, gradient = expected(name, z, y)
    assert loss == pytest.approx(wanted, rel=1e-12)
    np.testing.assert_allclose(error, gradient, rtol=0, atol=1e-14)


@BACKENDS
@EACH
def test_large_outputs_do_not_overflow(name: str, backend: str) -> None:
    """In float32, up to 1e4, where a step of rate 1 is rounded off: so the loss is compared."""
    y = targets(name, 8)
    for size in (0.0, 30.0, 1e4):
        z = size * np.sign(np.random.default_rng(2).standard_normal((8, 4)))
        loss, error = moved(name, backend, z, y, "float32")
        wanted, _ = expected(name, z, y)
        assert np.isfinite(error).all()
        assert loss == pytest.approx(wanted, rel=1e-5, abs=1e-6)


@BACKENDS
@EACH
def test_what_direct_feedback_injects_is_the_error_of_the_loss(name: str, backend: str) -> None:
    """With B given, the step of the first layer is the outer product of x and (B e) relu', e by autograd."""
    feedback = {"routes": ({"to": "fc1", "from": "loss", "matrix": {"kind": "random"}},)}
    data = spec(mlp(6, 4), feedback, {"rule": "sgd", "lr": 1.0}) | {"loss": LOSSES[name][0]}
    session = compile(data, backend, "float64").open()
    before = session.state()
    x, y = np.random.default_rng(3).standard_normal((9, 5)), targets(name, 9)
    _, error = expected(name, session.forward(x), y)
    hidden = x @ before["fc1.weight"].T + before["fc1.bias"]
    arrived = error @ before["fc1.feedback.B"].T * (hidden > 0)
    session.step(x, y)
    np.testing.assert_allclose(
        before["fc1.weight"] - session.state()["fc1.weight"], arrived.T @ x, rtol=0, atol=1e-13
    )


@BACKENDS
@pytest.mark.parametrize("name", ["weighted", "both", "smoothed", "bce, weights"])
def test_a_mean_over_parts_of_the_data_is_that_over_all(name: str, backend: str) -> None:
    """Sorted by class, so that each part of 2048 weighs another sum: PyTorch's mean divides by all of it."""
    data = spec(mlp(6, 4)) | {"loss": LOSSES[name][0]}
    session = compile(data, backend, "float64").open()
    y = targets(name, 5000)
    y = np.sort(y) if y.ndim == 1 else y
    x = np.random.default_rng(4).standard_normal((5000, 5))
    wanted, _ = expected(name, session.forward(x), y)
    found = session.evaluate(x, y)
    assert found["loss"] == pytest.approx(wanted, rel=1e-12)
    assert ("accuracy" in found) == (y.ndim == 1)


@BACKENDS
def test_a_batch_of_which_nothing_counts_moves_nothing(backend: str) -> None:
    loss, error = moved("both", backend, np.ones((3, 4)), np.full(3, 2))
    assert loss > 0, "the share that smoothing takes to the other classes counts"
    loss, error = moved("weighted", backend, np.ones((3, 4)), np.full(3, 2))
    assert loss == 0
    assert not error.any()


@pytest.mark.parametrize(
    ("plain", "given"),
    [
        ({"kind": "cross_entropy"}, {"label_smoothing": 0.0, "weight": None}),
        ({"kind": "bce"}, {"pos_weight": 1.0}),
    ],
)
def test_settings_that_change_nothing_are_not_written(plain: Data, given: Data) -> None:
    """Nothing that was compiled before reads otherwise, and each option is seen in the step."""
    texts = [
        to_text(compile(spec(mlp(6, 4)) | {"loss": loss}, "reference").compiled.step)
        for loss in (
            plain,
            plain | given,
            LOSSES["both"][0] if "weight" in given else LOSSES["bce, weights"][0],
        )
    ]
    assert texts[0] == texts[1] != texts[2]
