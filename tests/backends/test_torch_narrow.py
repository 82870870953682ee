"""Mixed precision by torch: tensors of bfloat16 where a machine multiplies in it, and the same numbers elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import fac
from fac.testing.nets import RELU, Data, conv2d, linear, mlp, spec
from fac_torch import kernels

MIXED: Data = {"mixed_precision": "bfloat16"}
MOMENTUM: Data = {"rule": "sgd", "lr": 0.05, "momentum": 0.9}
WIDTHS = (64, 48, 10)
NETS: dict[str, Data] = {
    "bp": spec(mlp(*WIDTHS), {"rule": "bp"}, MOMENTUM, shape=(20,), train=MIXED),
    "ldfa": spec(mlp(*WIDTHS), {"rule": "ldfa", "rank": 8}, MOMENTUM, shape=(20,), train=MIXED),
    "fa, adam": spec(mlp(*WIDTHS), {"rule": "fa"}, {"rule": "adam", "lr": 0.001}, shape=(20,), train=MIXED),
    "dfa, rmsprop": spec(
        mlp(*WIDTHS), {"rule": "dfa"}, {"rule": "rmsprop", "lr": 0.001}, shape=(20,), train=MIXED
    ),
    "maps": spec(
        (conv2d("c1", 4, 3), RELU, {"kind": "flatten"}, linear("fc", 16), RELU, linear("out", 10)),
        {"rule": "ldfa", "rank": 4},
        MOMENTUM,
        shape=(2, 8, 8),
        train=MIXED,
    ),
    "tokens": spec(
        (
            linear("up", 16),
            {"kind": "gelu"},
            {"kind": "attention", "name": "look", "heads": 2},
            {"kind": "layer_norm", "name": "norm"},
            {"kind": "flatten"},
            linear("out", 10),
        ),
        {"rule": "bp"},
        MOMENTUM,
        shape=(5, 8),
        train=MIXED,
    ),
}
FLIPPED = 1e-3
"""How far a tensor may be from where the oracle moves it, relative to how far it moved. Sums in another order turn
a few roundings over, each by 2^-8 of its number; a step that does not round is ten times as far."""


def moved(name: str, backend: str, precision: Any = "float32", steps: int = 1) -> tuple[Any, dict[str, Any]]:
    """A session, and how far each of its tensors moved."""
    session = fac.compile(NETS[name], backend, precision).open(device="cpu")
    before = {key: np.array(value, np.float64) for key, value in session.state().items()}
    (feed,), rng = session.compiled.inputs, np.random.default_rng(0)
    for _ in range(steps):
        session.step(rng.standard_normal((32, *feed.shape)), rng.integers(0, 10, 32))
    return session, {key: np.array(value) - before[key] for key, value in session.state().items()}


@pytest.mark.parametrize("there", [True, False], ids=["bfloat16", "rounded float32"])
@pytest.mark.parametrize("name", NETS)
def test_a_step_is_that_of_the_reference(name: str, there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which rounds in float64."""
    monkeypatch.setattr(kernels, "HAS_BFLOAT16", lambda: there)
    session, found = moved(name, "torch")
    (workspace,) = session.workspaces.values()
    types = {t.dtype for t in vars(workspace).values() if isinstance(t, torch.Tensor)}
    assert types == {torch.float32, torch.bfloat16} if there else {torch.float32}
    for key, expected in moved(name, "reference", "float64")[1].items():
        way = np.linalg.norm(expected)
        assert np.linalg.norm(found[key] - expected) <= FLIPPED * way, key


@pytest.mark.parametrize("name", NETS)
def test_a_step_that_does_not_round_is_another(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the tolerance of the test above tells them apart."""
    expected = moved(name, "reference", "float64")[1]
    monkeypatch.setitem(NETS, name, {**NETS[name], "train": {}})
    _, found = moved(name, "torch")
    far = (np.linalg.norm(found[k] - v) / np.linalg.norm(v) for k, v in expected.items() if v.any())
    assert max(far) > 5 * FLIPPED


def test_no_rounded_copy_outlives_a_step() -> None:
    """What somebody sets is what the next step reads."""
    session, _ = moved("ldfa", "torch", steps=2)
    other, _ = moved("ldfa", "torch")
    other.load_state({key: np.array(value) for key, value in session.state().items()})
    rng = np.random.default_rng(1)
    batch = rng.standard_normal((32, 20)), rng.integers(0, 10, 32)
    assert float(session.step(*batch)["loss"]) == float(other.step(*batch)["loss"])
    for key, value in session.state().items():
        np.testing.assert_array_equal(value, other.state()[key], err_msg=key)
