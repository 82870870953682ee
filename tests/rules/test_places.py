"""Losses over places: tokens [T, C] and maps [C, H, W] with a label at each place, some of which do not count.

Against torch, whose classes lie along axis 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import CrossEntropyLoss, functional

from fac.backend import Session
from fac.backend.session import CHUNK
from fac.cli.export import compared
from fac.diagnostics import FacError
from fac.pipeline import compile
from fac.testing.nets import Data, conv2d, linear, spec
from fac.training.dataset import Split

T, C = 3, 4
WEIGHT = (0.5, 2.0, 0.25, 1.25)
BACKENDS = pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
SETTINGS: dict[str, Data] = {
    "plain": {},
    "smoothed": {"label_smoothing": 0.2},
    "weighted": {"weight": WEIGHT, "label_smoothing": 0.1},
    "without padding": {"ignore_index": -100},
    "without a class": {"ignore_index": 2, "weight": WEIGHT},
    "without a class, smoothed": {"ignore_index": 0, "label_smoothing": 0.1},
}
NETS: dict[str, tuple[Data, tuple[int, ...]]] = {
    "tokens": (linear("out", C, bias=False), (T, 5)),
    "maps": (conv2d("out", C, 1, bias=False), (5, 2, 3)),
}
EACH = pytest.mark.parametrize("net", NETS)


def places(net: str) -> tuple[int, ...]:
    return (T,) if net == "tokens" else (2, 3)


def opened(net: str, settings: Data, backend: str = "reference") -> Session:
    layer, shape = NETS[net]
    loss = {"kind": "cross_entropy", **settings}
    data = spec((layer,), update={"rule": "sgd", "lr": 1.0}, shape=shape) | {"loss": loss}
    return compile(data, backend, "float64").open()


def batch(net: str, settings: Data, n: int = 6) -> tuple[Any, Any]:
    """Labels of all classes; where one that is none is ignored, some are that one."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, C, (n, *places(net)))
    if settings.get("ignore_index", 0) < 0:
        y[rng.random(y.shape) < 0.4] = settings["ignore_index"]
    return rng.standard_normal((n, *NETS[net][1])), y


def of_torch(net: str, settings: Data, weight: Any, x: Any, y: Any) -> tuple[Tensor, Tensor, Tensor]:
    """The loss, the output with its classes behind the samples, and the weight, which has a gradient."""
    w = torch.tensor(weight, requires_grad=True)
    given = torch.tensor(x)
    z = functional.conv2d(given, w) if net == "maps" else functional.linear(given, w).movedim(-1, 1)
    known: Any = {k: torch.tensor(v).double() if k == "weight" else v for k, v in settings.items()}
    return CrossEntropyLoss(**known)(z, torch.tensor(y)), z, w


@BACKENDS
@EACH
@pytest.mark.parametrize("name", SETTINGS)
def test_the_loss_its_error_and_the_accuracy_are_those_of_torch(name: str, net: str, backend: str) -> None:
    settings = SETTINGS[name]
    session = opened(net, settings, backend)
    x, y = batch(net, settings)
    before = session.state()["out.weight"]
    loss, z, w = of_torch(net, settings, before, x, y)
    (gradient,) = torch.autograd.grad(loss, w)
    found = session.evaluate(x, y)
    kept = y != settings.get("ignore_index", C)
    assert found["loss"] == pytest.approx(loss.item(), rel=1e-12)
    assert found["accuracy"] == pytest.approx(
        ((z.argmax(1).numpy() == y) & kept).sum() / kept.sum(), rel=1e-12
    )
    assert float(session.step(x, y)["loss"]) == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(before - session.state()["out.weight"], gradient.numpy(), rtol=0, atol=1e-13)


@BACKENDS
def test_an_evaluation_is_the_mean_over_all_that_counts_however_it_is_cut(backend: str) -> None:
    """Sorted, so that the parts weigh unequally; the last one holds nothing that counts."""
    settings = SETTINGS["without padding"]
    session = opened("tokens", settings, backend)
    x, y = batch("tokens", settings, CHUNK + 5)
    y[CHUNK:] = settings["ignore_index"]
    loss, z, _ = of_torch("tokens", settings, session.state()["out.weight"], x, y)
    found, kept = session.evaluate(x, y), y >= 0
    assert found["loss"] == pytest.approx(loss.item(), rel=1e-12)
    assert found["accuracy"] == pytest.approx((z.argmax(1).numpy() == y)[kept].mean(), rel=1e-12)


@BACKENDS
@EACH
def test_a_batch_of_which_nothing_counts_has_a_loss_of_zero_and_moves_nothing(net: str, backend: str) -> None:
    """Where torch divides by zero."""
    session = opened(net, {"ignore_index": -1, "label_smoothing": 0.1}, backend)
    before = session.state()["out.weight"]
    x = batch(net, {})[0]
    y = np.full((len(x), *places(net)), -1)
    assert session.evaluate(x, y) == {"loss": 0.0, "accuracy": 0.0}
    assert session.step(x, y)["loss"] == 0
    assert np.array_equal(session.state()["out.weight"], before)


@BACKENDS
@pytest.mark.parametrize("kind", ["mse", "bce", "huber"])
def test_losses_over_numbers_are_means_over_tokens(kind: str, backend: str) -> None:
    losses: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "mse": functional.mse_loss,
        "huber": functional.huber_loss,
        "bce": functional.binary_cross_entropy_with_logits,
    }
    layer, shape = NETS["tokens"]
    data = spec((layer,), update={"rule": "sgd", "lr": 1.0}, shape=shape, loss=kind)
    session = compile(data, backend, "float64").open()
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((6, *shape)), rng.uniform(0, 1, (6, T, C))
    before = session.state()["out.weight"]
    w = torch.tensor(before, requires_grad=True)
    loss = losses[kind](functional.linear(torch.tensor(x), w), torch.tensor(y))
    (gradient,) = torch.autograd.grad(loss, w)
    assert float(session.step(x, y)["loss"]) == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(before - session.state()["out.weight"], gradient.numpy(), rtol=0, atol=1e-14)


@EACH
def test_labels_that_do_not_fit_are_told_with_their_place(net: str) -> None:
    session = opened(net, {"ignore_index": -100})
    x, y = batch(net, {})
    y[4].flat[1] = C
    at = list(map(int, np.argwhere(y == C)[0][1:]))
    with pytest.raises(
        FacError, match=rf"label {C} of sample 4 at \[{', '.join(map(str, at))}\] is not in 0..3, nor -100"
    ):
        session.step(x, y)
    with pytest.raises(FacError, match="whole-number labels"):
        session.step(x, y[:, 0])
    with pytest.raises(FacError, match="whole-number labels"):
        session.step(x, y.astype(float))


@EACH
def test_what_an_export_counts_is_what_an_evaluation_counts(net: str) -> None:
    """Over all places that count, along the axis of the classes."""
    session = opened(net, SETTINGS["without padding"])
    x, y = batch(net, SETTINGS["without padding"])
    found = compared(lambda given: session.forward(given), session, Split(x, y))
    assert found.accuracy == found.expected == session.evaluate(x, y)["accuracy"]
    assert found.agree == found.labels == (y >= 0).sum()
