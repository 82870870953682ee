"""The probe `effective_rank`: t37, and matrices whose ranks are known, on each backend."""

from __future__ import annotations

from itertools import pairwise
from math import isnan
from typing import Any

import numpy as np
import pytest

import fac
from fac.backend import Session
from fac.pipeline import compile, lowered
from fac.probes.effective_rank import DEFINITIONS, ranks, singular_values
from fac.program.declared import probes_of
from tests.rules.nets import SGD, Array, Spec, batch, dense, gradients, put, spec

EACH = pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
RNG = np.random.default_rng(2)


def asked(layers: Any, feedback: Any = None, update: Spec = SGD, **probe: Any) -> Spec:
    found = spec(layers, feedback or {"rule": "bp"}, update, loss=probe.pop("loss", "cross_entropy"))
    return found | {"probes": ({"kind": "effective_rank", **probe},)}


def opened(of: Spec, backend: str) -> Session:
    return compile(of, backend=backend, precision="float64").open(device="cpu")


def written_out(matrix: Array) -> dict[str, float]:
    """By the definitions, from all singular values at once."""
    s = np.linalg.svd(matrix, compute_uv=False)
    s = s[s > 1e-14 * s.max()]
    p = s / s.sum()
    return {
        "roy_vetterli": float(np.exp(-np.sum(p * np.log(p)))),
        "participation": float(np.sum(s**2) ** 2 / np.sum(s**4)),
        "stable": float(np.sum(s**2) / s.max() ** 2),
    }


@EACH
def test_ranks_are_those_of_the_matrices_of_a_step(backend: str) -> None:
    """Errors are those that make the bias gradients sample by sample; gradients and updates are those of a step."""
    session = opened(asked(dense(6, 5, 4), {"rule": "fa"}, {"rule": "adam", "lr": 0.01}), backend)
    x, y = batch()
    plain = opened(asked(dense(6, 5, 4), {"rule": "fa"}), backend)
    state = {name: a for name, a in session.state().items() if name in plain.state()}
    found = session.probe(x, y)
    moved = put(plain, state)
    rows = [gradients(moved, x[i : i + 1], y[i : i + 1]) for i in range(len(x))]
    taken = gradients(moved, x, y)
    before = session.state()
    session.step(x, y)
    after = session.state()
    for name in ("fc1", "fc2", "fc3"):
        # each sample alone has N times the error that it has in the mean
        error = np.array([row[f"{name}.bias"] for row in rows]) / len(x)
        update = after[f"{name}.weight"] - before[f"{name}.weight"]
        for of, matrix in (("error", error), ("gradient", taken[f"{name}.weight"]), ("update", update)):
            for definition, value in written_out(matrix).items():
                assert found[f"{name}.{of}.rank.{definition}"] == pytest.approx(value, rel=1e-7), (name, of)


@pytest.mark.parametrize("n", [1, 4, 9])
def test_t37_n_equal_directions_are_n_and_one_is_one(n: int) -> None:
    left, right = (np.linalg.qr(RNG.standard_normal((12, 12)))[0] for _ in range(2))
    for scale in (1e-200, 1.0, 1e200):
        found = ranks(singular_values(scale * left[:, :n] @ right[:n]))
        # what rounding adds to twelve directions of which n are there
        assert found["participation"] == pytest.approx(n, rel=1e-12)
        assert found["stable"] == pytest.approx(n, rel=1e-12)
        assert found["roy_vetterli"] == pytest.approx(n, rel=1e-12)


def test_t37_the_order_of_the_definitions() -> None:
    for _ in range(300):
        matrix = RNG.standard_normal((RNG.integers(1, 9), 7)) @ np.diag(10.0 ** RNG.uniform(-3, 3, 7))
        found = ranks(singular_values(matrix))
        order = [
            1.0,
            found["stable"],
            found["participation"],
            found["roy_vetterli"],
            np.linalg.matrix_rank(matrix),
        ]
        assert all(a <= b * (1 + 1e-12) for a, b in pairwise(order)), order


@EACH
def test_feedback_of_rank_r_makes_gradients_of_rank_r_only_where_no_mask_follows(backend: str) -> None:
    """Section 5.2: of a linear net r, with a mask of relu more."""
    found = {}
    for act in (None, "relu"):
        layers = dense(16, 16, 8, act=act, bias=False)
        session = opened(asked(layers, {"rule": "ldfa", "rank": 3, "learn": "fixed"}, loss="mse"), backend)
        x, y = RNG.standard_normal((40, 7)), RNG.standard_normal((40, 8))
        found[act] = session.probe(x, y)["fc2.gradient.rank.roy_vetterli"]
    assert found[None] <= 3 + 1e-9
    assert found["relu"] > 3.2


@EACH
def test_a_trajectory_is_undefined_until_it_is_whole_and_then_written_out(backend: str) -> None:
    of = asked(dense(6, 4), of=("trajectory",), window=3)
    session, twin = opened(of, backend), opened(of, backend)
    x, y = batch()
    rows: list[dict[str, Array]] = []
    for step in range(5):
        twin.load_state(session.state())
        rows.append(gradients(twin, x, y))
        found = session.probe(x, y)
        for names, prefix in ((("fc1.weight",), "fc1."), (("fc1.weight", "fc2.weight"), "")):
            stacked = [np.concatenate([row[name].ravel() for name in names]) for row in rows[-3:]]
            wanted = written_out(np.array(stacked)) if step >= 2 else dict.fromkeys(DEFINITIONS, np.nan)
            for definition, value in wanted.items():
                told = found[f"{prefix}trajectory.rank.{definition}"]
                assert told == pytest.approx(value, rel=1e-6, nan_ok=True)
        session.step(x, y, lr=0.5)
    session.load_state(session.state())
    assert isnan(session.probe(x, y)["trajectory.rank.stable"]), "of another state nothing is remembered"


@pytest.mark.parametrize(
    ("window", "epochs", "undefined"),
    [(None, 5, 4), (None, 12, 9), (3, 5, 2), (None, 1, 1), (6, 5, 5)],
)
def test_a_trajectory_fits_into_the_training_or_is_a_finding(
    window: int | None, epochs: int, undefined: int
) -> None:
    written: Spec = {} if window is None else {"window": window}
    of = asked(dense(6, 4), of=("error", "trajectory"), **written)
    of["train"] |= {"epochs": epochs}
    session = opened(of, "reference")
    x, y = batch()
    found = []
    for _ in range(epochs):
        session.step(x, y)
        found.append(isnan(session.probe(x, y)["trajectory.rank.stable"]))
    assert found == [number < undefined for number in range(epochs)]
    told = [(finding.path, finding.message) for finding in fac.check(of) if finding.rule.code == "FAC314"]
    assert [path for path, _ in told] == [("probes", 0, "of", 1)] * all(found)
    assert all(f"where `train.epochs` is {epochs}" in message for _, message in told)


def test_what_a_trajectory_keeps_is_what_it_declares() -> None:
    """Window times numbers, in the precision of the run."""
    of = asked(dense(6, 4), of=("error", "trajectory"), window=3)
    session = compile(of, backend="torch", precision="float32").open()
    x, y = batch()
    for _ in range(5):
        session.step(x.astype("float32"), y)
        session.probe(x.astype("float32"), y)
    (kept,) = (each for each in session._kept.values() if each)
    rows = [row for taken in kept.values() for row in taken.values()]
    ((kind, probe),) = probes_of(lowered(of))
    assert {row.dtype for row in rows} == {np.dtype("float32")}
    assert sum(row.size for row in rows) == kind.keeps(probe, lowered(of)) == 3 * (7 * 6 + 6 * 4)


@EACH
def test_measuring_twice_at_one_step_adds_no_row(backend: str) -> None:
    session = opened(asked(dense(6, 4), of=("trajectory",), window=2), backend)
    x, y = batch()
    assert all(isnan(session.probe(x, y)["trajectory.rank.stable"]) for _ in range(3))
    session.step(x, y)
    assert session.probe(x, y) == session.probe(x, y)


@EACH
def test_where_nothing_is_there_is_no_rank(backend: str) -> None:
    session = opened(asked(dense(6, 4, act=None, bias=False), loss="mse"), backend)
    found = session.probe(np.zeros((5, 7)), np.zeros((5, 4)))
    assert len(found) == 1 + 2 * 3 * 3
    assert all(isnan(value) for name, value in found.items() if name != "loss")


@EACH
def test_kernels_and_tokens_are_matrices_of_channels(backend: str) -> None:
    """A map has a row for each place: the rank of an error is at most its channels, that of a gradient too."""
    layers = (
        {"kind": "reshape", "shape": (1, 5, 5)},
        {"kind": "conv2d", "name": "conv", "out": 3, "kernel": 3},
        {"kind": "relu"},
        {"kind": "flatten"},
        {"kind": "linear", "name": "fc", "out": 4},
    )
    of = spec(layers, {"rule": "fa"}, inputs=25) | {
        "probes": ({"kind": "effective_rank", "of": ("error", "gradient")},)
    }
    session = opened(of, backend)
    x, y = batch(inputs=25)
    found = session.probe(x, y)
    taken = gradients(session, x, y)["conv.weight"].reshape(3, 9)
    for definition, value in written_out(taken).items():
        assert found[f"conv.gradient.rank.{definition}"] == pytest.approx(value, rel=1e-9)
    assert 1 <= found["conv.error.rank.roy_vetterli"] <= 3 + 1e-12
