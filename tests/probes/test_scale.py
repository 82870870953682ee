"""Directions and shares do not depend on the size of what they are of, and are undefined where there is nothing.

In a net of linear layers without bias, c x and c y make all errors c times and all gradients c^2 times as large. Where
c is a power of two that is exact, and so has to be what is measured.
"""

from __future__ import annotations

import json
from dataclasses import replace
from math import isnan
from pathlib import Path

import numpy as np
import pytest

from fac.backend import Precision, Session
from fac.cli.progress import quality
from fac.pipeline import compile, load
from fac.training.dataset import Dataset, Split
from fac.training.folder import RunFolder
from fac.training.holding import Held
from fac.training.logs import EpochRecord
from fac.training.loop import train
from tests.rules.nets import Array, Spec, dense, put, spec

EACH = pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
LDFA: Spec = {"rule": "ldfa", "rank": 2}
RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((12, 7)), RNG.standard_normal((12, 4))
SCALES: list[tuple[Precision, int]] = [("float64", 100), ("float32", 45)]
"""Powers of two: errors of 1e-30 and 1e30, and what of them squares to numbers that float32 does not hold."""


def opened(of: Spec, backend: str, precision: Precision = "float64") -> Session:
    return compile(of, backend=backend, precision=precision).open(device="cpu")


def linear_net(backend: str, precision: Precision, feedback: Spec = LDFA) -> Session:
    return opened(spec(dense(6, 5, 4, act=None, bias=False), feedback, loss="mse"), backend, precision)


@EACH
@pytest.mark.parametrize(("precision", "exponent"), SCALES)
def test_what_is_measured_is_equal_to_the_bit_whatever_the_size_of_the_errors(
    backend: str, precision: Precision, exponent: int
) -> None:
    session = linear_net(backend, precision)
    plain = session.probe(X, Y)
    names = [n for n in plain if n.endswith(("cosine", "captured_energy", "balance", "norm_ratio"))]
    assert len(names) == 20
    assert all(0 < abs(plain[n]) < 0.999 for n in names if ".cosine" in n and not n.startswith("fc3"))
    for c in (2.0**-exponent, 2.0**exponent):
        found = session.probe(c * X, c * Y)
        assert {n: found[n] for n in names} == {n: plain[n] for n in names}


@EACH
@pytest.mark.parametrize(("precision", "exponent"), [("float64", 500), ("float32", 80)])
def test_matrices_of_any_size_have_their_cosines_ratios_and_spaces(
    backend: str, precision: Precision, exponent: int
) -> None:
    """Q a power of two as large changes no cosine and the ratio as much; what P captures is a matter of its rows."""
    session = linear_net(backend, precision)
    plain, state = session.probe(X, Y), session.state()
    for c in (2.0**-exponent, 2.0**exponent):
        put(session, {"fc3.feedback.Q": c * state["fc3.feedback.Q"]})
        found = session.probe(X, Y)
        assert found["fc3.feedback.cosine"] == plain["fc3.feedback.cosine"]
        assert found["fc3.feedback.norm_ratio"] == c * plain["fc3.feedback.norm_ratio"]
        put(session, {"fc3.feedback.P": c * state["fc3.feedback.P"]})
        captured = "fc3.feedback.P.captured_energy"
        assert session.probe(X, Y)[captured] == plain[captured]
        session.load_state(state)


@EACH
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_backprop_through_30_sigmoid_layers_is_aligned_with_itself(
    backend: str, precision: Precision
) -> None:
    """The error of fc1 has a length of 1e-20, which squared is nothing in float32."""
    session = opened(spec(dense(*[16] * 30, 4, act="sigmoid")), backend, precision)
    found = session.probe(X, RNG.integers(0, 4, 12))
    cosines = [value for name, value in found.items() if name.endswith("cosine")]
    assert len(cosines) == 3 * 31 + 3
    assert min(cosines) == pytest.approx(1, abs=1e-6)


@EACH
def test_no_cosine_is_above_1(backend: str) -> None:
    """Of backpropagation with itself every one is 1 but for rounding, which must not go beyond: arccos is NaN there."""
    cosines = []
    for seed in range(5):
        session = opened(spec(dense(9, 8, 7, 6, 5, 4), seed=seed), backend, "float32")
        found = session.probe(X, RNG.integers(0, 4, 12))
        cosines += [value for name, value in found.items() if name.endswith("cosine")]
    assert len(cosines) == 105
    assert 1 - 1e-6 <= min(cosines) <= max(cosines) <= 1


@EACH
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_without_an_error_there_is_neither_cosine_nor_share(backend: str, precision: Precision) -> None:
    """x = 0 and y = 0: no sample has an error. The matrices and what they send are still there."""
    session = linear_net(backend, precision)
    found = session.probe(0 * X, 0 * Y)
    undefined = {name for name, value in found.items() if isnan(value)}
    assert undefined == {
        n for n in found if n.endswith(("cosine", "captured_energy")) and "back.cos" not in n
    }
    put(session, {"fc3.weight": np.zeros((4, 5))})
    found = session.probe(X, Y)
    assert isnan(found["fc3.feedback.cosine"])
    assert isnan(found["fc3.feedback.norm_ratio"])


@EACH
def test_samples_without_an_error_are_left_out_of_the_mean(backend: str) -> None:
    session = linear_net(backend, "float64")
    x, y = (np.concatenate([a, 0 * a]) for a in (X, Y))
    for name in ("fc1.error.cosine", "error.cosine"):
        assert session.probe(x, y)[name] == pytest.approx(session.probe(X, Y)[name], rel=1e-13)


@EACH
@pytest.mark.parametrize(("precision", "exponent"), [("float64", 500), ("float32", 70)])
def test_oja_takes_the_same_step_to_the_bit_whatever_the_size_of_the_errors(
    backend: str, precision: Precision, exponent: int
) -> None:
    session = linear_net(backend, precision)
    zero = {name: 0 * a for name, a in session.state().items() if name.endswith("weight")}
    state = put(session, zero).state()

    def moved(c: float) -> Array:
        session.load_state(state)
        session.step(X, c * Y, lr=0.0)
        return np.asarray(session.state()["fc3.feedback.P"])

    plain = moved(1.0)
    assert np.abs(plain - state["fc3.feedback.P"]).max() > 0.05
    for c in (2.0**-exponent, 2.0**exponent):
        np.testing.assert_array_equal(moved(c), plain)
    np.testing.assert_array_equal(moved(0.0), state["fc3.feedback.P"])


def test_what_is_undefined_is_null_in_the_log_a_dash_in_the_line_and_stops_nothing(tmp_path: Path) -> None:
    """All inputs are zero: fc1 has errors but no gradient. A linear loss of zero has neither."""
    nothing = Split(np.zeros((8, 7), np.float32), np.zeros((8, 4), np.float32))
    data = spec(dense(5, 4, act=None, bias=False), {"rule": "fa"}, loss="mse")
    of = load(data | {"train": {"epochs": 2, "batch": 4, "seed": 0}})
    report = train(
        opened(data, "reference"), Dataset("none", nothing, nothing), of, out=RunFolder(Held(tmp_path), {})
    )
    assert isnan(report.history[-1].probes["fc1.error.cosine"])
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["fc1.error.cosine"] for line in lines] == [None, None, None]
    read = EpochRecord.from_json(lines[-1])
    assert quality(read) == "test loss 0  align fc1 –"
    assert quality(replace(read, probes={"fc1.error.cosine": 0.631})) == "test loss 0  align fc1 0.63"
