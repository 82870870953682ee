"""The kernels of optimisers: that each is used, and that its numbers are those of the ops that it stands for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import fac
from fac.testing.nets import batch, conv2d, linear, mlp, spec
from fac_torch import kernels, update_kernels

torch.set_num_threads(1)
CASES: dict[str, dict[str, Any]] = {
    "sgd": {"rule": "sgd", "lr": 0.05, "weight_decay": 0.1},
    "momentum": {"rule": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True},
    "adam": {"rule": "adam", "lr": 0.01, "weight_decay": 0.1},
    "amsgrad": {"rule": "adam", "lr": 0.01, "amsgrad": True, "beta2": 0.5, "weight_decay": 0.1},
    "adamw, amsgrad": {"rule": "adamw", "lr": 0.01, "amsgrad": True, "beta2": 0.5},
    "rmsprop": {"rule": "rmsprop", "lr": 0.01, "weight_decay": 0.1},
    "rmsprop, momentum": {"rule": "rmsprop", "lr": 0.01, "eps": 0.1, "momentum": 0.9},
    "rmsprop, centered": {"rule": "rmsprop", "lr": 0.01, "eps": 0.1, "centered": True},
    "rmsprop, both": {"rule": "rmsprop", "lr": 0.01, "eps": 0.1, "centered": True, "momentum": 0.9},
}
NETWORKS: dict[str, Any] = {
    "rows": (mlp(9, 8, 3), (5,)),
    "kernels": ((conv2d("c", 6, 3), {"kind": "relu"}, {"kind": "flatten"}, linear("out", 3)), (2, 5, 5)),
}


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("update", CASES)
def test_kernels_take_the_steps_of_the_reference(
    update: str, network: str, fused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In tiles of a row or two; also with a torch that has no fused kernels."""
    monkeypatch.setattr(kernels, "TILE_BYTES", {"cpu": 100})
    if not fused:
        for name in ("FUSED_SGD", "FUSED_ADAM", "FUSED_ADAMW"):
            monkeypatch.setattr(update_kernels, name, None)
    layers, shape = NETWORKS[network]
    of = spec(layers, update=CASES[update], shape=shape)
    made = fac.compile(of, backend="torch", precision="float64")
    name = CASES[update]["rule"].replace("adamw", "adam")
    source = made.source  # type: ignore[attr-defined]
    assert f"kernels.{name}(" in source
    assert f"kernels.{name}_outer(" in source
    ours, other = made.open(device="cpu"), fac.compile(of, backend="reference", precision="float64").open()
    for seed in range(6):
        x, y = batch(7, shape, seed=seed)
        ours.step(x, y, lr=0.02 / (1 + seed))
        other.step(x, y, lr=0.02 / (1 + seed))
    expected = other.state()
    for key, value in ours.state().items():
        np.testing.assert_allclose(value, expected[key], atol=1e-11, err_msg=key)
