"""Embeddings against PyTorch's own, in float64, on three backends; by themselves, padded, and shared with a head."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import fac

BACKENDS = ("reference", "torch", "onnx")
N, T, V, D = 4, 6, 7, 3
LR = 0.5
TOLERANCE = 1e-12


def spec(*layers: dict[str, Any]) -> dict[str, Any]:
    return {
        "fac": 1,
        "name": "words",
        "input": {"shape": (T,), "classes": V},
        "layers": layers,
        "loss": {"kind": "mse"},
        "feedback": {"rule": "bp"},
        "update": {"rule": "sgd", "lr": LR},
    }


def words(**fields: Any) -> dict[str, Any]:
    return {"kind": "embedding", "name": "words", "num_embeddings": V, "out": D, **fields}


def batch(out: int) -> tuple[Any, Any]:
    """Each number comes several times, in one sample and in others, and one does not come at all."""
    rng = np.random.default_rng(0)
    return rng.permutation(N * T).reshape(N, T) % (V - 1), rng.standard_normal((N, T, out))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("padding", [None, 2])
def test_it_is_that_of_pytorch(backend: str, padding: int | None) -> None:
    """Its row of what stands for nothing is drawn as others are, and never read."""
    session = fac.compile(spec(words(padding_idx=padding)), backend, precision="float64").open()
    before = session.state()["words.weight"].copy()
    x, y = batch(D)
    assert set(np.unique(x)) == set(range(V - 1))
    table = torch.from_numpy(before.copy())
    if padding is not None:
        table[padding] = 0
    table.requires_grad_()
    made = F.embedding(torch.from_numpy(x), table, padding_idx=padding)
    np.testing.assert_allclose(session.forward(x), made.detach().numpy(), rtol=0, atol=TOLERANCE)
    (gradient,) = torch.autograd.grad(F.mse_loss(made, torch.from_numpy(y)), table)
    session.step(x, y)
    found = (before - session.state()["words.weight"]) / LR
    np.testing.assert_allclose(found, gradient.numpy(), rtol=0, atol=TOLERANCE)
    assert not found[V - 1].any()
    assert padding is None or not found[padding].any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_table_that_the_head_shares_learns_from_both(backend: str) -> None:
    head = {"kind": "linear", "name": "head", "out": V, "tie": "words"}
    session = fac.compile(spec(words(), {"kind": "tanh"}, head), backend, precision="float64").open()
    before = session.state()
    assert sorted(before) == ["head.bias", "step", "words.weight"]
    x, y = batch(V)
    table = torch.from_numpy(before["words.weight"].copy()).requires_grad_()
    output = torch.tanh(F.embedding(torch.from_numpy(x), table)) @ table.T
    (gradient,) = torch.autograd.grad(F.mse_loss(output, torch.from_numpy(y)), table)
    session.step(x, y)
    found = (before["words.weight"] - session.state()["words.weight"]) / LR
    np.testing.assert_allclose(found, gradient.numpy(), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_table_learns_the_same_in_every_run(backend: str) -> None:
    """To the bit: rows that come several times are added up in one order."""
    x = np.zeros((500, T), np.int64)
    y = np.random.default_rng(0).standard_normal((500, T, D))
    found = []
    for _ in range(2):
        session = fac.compile(spec(words()), backend, precision="float32").open()
        session.step(x, y)
        found.append(session.state()["words.weight"])
    np.testing.assert_array_equal(found[0], found[1])
