"""Losses that a mask leaves places out of, against the same arithmetic in NumPy and against labels that are ignored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from fac.backend import Array, Session
from fac.backend.session import CHUNK
from fac.pipeline import check, compile
from fac.testing.nets import Data, linear

T, C, D = 4, 3, 5
BACKENDS = pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
LOSSES: dict[str, Any] = {
    "mse": lambda z, y: (z - y) ** 2,
    "huber": lambda z, y: functional.huber_loss(z, y, reduction="none"),
    "bce": lambda z, y: functional.binary_cross_entropy_with_logits(z, y, reduction="none"),
}


def spec(loss: Data, **inputs: Any) -> Data:
    return {
        "fac": 1,
        "name": "masked",
        "inputs": {"tokens": {"shape": (T, D)}, "told": {"shape": (T,), "mask": True}} | inputs,
        "layers": (linear("out", C, bias=False),),
        "loss": {"mask": "told"} | loss,
        "update": {"rule": "sgd", "lr": 1.0},
    }


def batch(n: int = 6) -> dict[str, Array]:
    """The first sequence has no token that counts."""
    rng = np.random.default_rng(0)
    told = (np.arange(T) < rng.integers(1, T + 1, n)[:, None]).astype(float)
    told[0] = 0
    return {
        "tokens": rng.standard_normal((n, T, D)),
        "told": told,
        "y": rng.uniform(0, 1, (n, T, C)),
    }


def opened(loss: Data, backend: str) -> Session:
    return compile(spec(loss), backend, "float64").open()


@BACKENDS
@pytest.mark.parametrize("kind", LOSSES)
def test_a_loss_over_numbers_is_the_mean_over_what_counts(kind: str, backend: str) -> None:
    session, given = opened({"kind": kind}, backend), batch()
    before = session.state()["out.weight"]
    w = torch.tensor(before, requires_grad=True)
    told = torch.tensor(given["told"])
    each = LOSSES[kind](functional.linear(torch.tensor(given["tokens"]), w), torch.tensor(given["y"]))
    loss = (each.mean(-1) * told).sum() / told.sum()
    (gradient,) = torch.autograd.grad(loss, w)
    assert session.evaluate(given)["loss"] == pytest.approx(loss.item(), rel=1e-12)
    assert float(session.step(given)["loss"]) == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(before - session.state()["out.weight"], gradient.numpy(), rtol=0, atol=1e-14)


@BACKENDS
@pytest.mark.parametrize("more", [{}, {"label_smoothing": 0.2, "weight": (0.5, 1.0, 2.0)}])
def test_a_mask_is_a_label_that_does_not_count(more: Data, backend: str) -> None:
    """Beside a label that is ignored too."""
    rng, given = np.random.default_rng(1), batch(CHUNK + 3)
    labels = rng.integers(0, C, given["told"].shape)
    given["told"][CHUNK:] = 0
    masked = opened({"kind": "cross_entropy", "ignore_index": 0, **more}, backend)
    ignoring = compile(
        spec({"kind": "cross_entropy", "ignore_index": 0, **more})
        | {"loss": {"kind": "cross_entropy", "ignore_index": -7, **more}},
        backend,
        "float64",
    ).open(masked.state())
    same = given | {"y": np.where((given["told"] == 1) & (labels != 0), labels, -7)}
    found, wanted = masked.evaluate(given | {"y": labels}), ignoring.evaluate(same)
    assert found == pytest.approx(wanted, rel=1e-12)
    masked.step(given | {"y": labels})
    ignoring.step(same)
    np.testing.assert_allclose(
        masked.state()["out.weight"], ignoring.state()["out.weight"], rtol=0, atol=1e-13
    )


@BACKENDS
def test_where_nothing_counts_nothing_moves(backend: str) -> None:
    session, given = opened({"kind": "mse"}, backend), batch()
    given["told"][:] = 0
    before = session.state()["out.weight"]
    assert session.step(given)["loss"] == 0
    assert np.array_equal(session.state()["out.weight"], before)


@pytest.mark.parametrize(
    ("loss", "inputs", "code", "message"),
    [
        ({"mask": "tld"}, {}, "FAC201", "no input is called `tld`"),
        ({"mask": "tokens"}, {}, "FAC243", "`tokens` is no mask"),
        ({"mask": "out"}, {}, "FAC243", "`out` is a layer, and a mask is an input"),
        ({}, {"told": {"shape": (T + 1,), "mask": True}}, "FAC207", "the mask `told` has shape [5]"),
    ],
)
def test_a_mask_that_does_not_fit_is_told(loss: Data, inputs: Data, code: str, message: str) -> None:
    found = [d for d in check(spec({"kind": "mse"} | loss, **inputs)) if d.rule.code == code]
    assert [(d.path, message in d.message) for d in found] == [(("loss", "mask"), True)]


def test_a_mask_that_a_loss_reads_is_read() -> None:
    assert check(spec({"kind": "mse"})) == ()
