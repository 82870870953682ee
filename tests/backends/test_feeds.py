"""What a batch is made of: whole numbers, on each backend."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import fac
from fac.backend import Artifact, Feed
from fac.diagnostics import FacError
from fac.testing.nets import SGD, linear

BACKENDS = pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
N, PLACES, WORDS = 7, 4, 6
RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, WORDS, (N, PLACES)), RNG.integers(0, 3, N)


@cache
def artifact(backend: str, whole: bool = True) -> Artifact:
    """Of a network that reads words, or the vectors that stand for them."""
    words = {"shape": (PLACES,), "classes": WORDS}
    layers: tuple[Any, ...] = ({"kind": "flatten"}, linear("fc1", 5), {"kind": "tanh"}, linear("out", 3))
    return fac.compile(
        {
            "fac": 1,
            "name": "demo",
            "input": words if whole else {"shape": (PLACES, WORDS)},
            "layers": ({"kind": "one_hot", "num_classes": WORDS}, *layers) if whole else layers,
            "loss": {"kind": "cross_entropy"},
            "update": SGD,
        },
        backend=backend,
        precision="float64",
    )


@BACKENDS
def test_whole_numbers_are_their_vectors(backend: str) -> None:
    """A network that makes vectors of words does what one does that is given the vectors: in float64, to 1e-12."""
    words, vectors = artifact(backend).open(), artifact(backend, whole=False).open()
    assert artifact(backend).compiled.feeds[0] == Feed("x", (PLACES,), classes=WORDS)
    shown = np.eye(WORDS)[X]
    for x, session in ((X.astype(np.uint8), words), (shown, vectors)):
        for _ in range(3):
            session.step(x, Y)
    for name, array in words.state().items():
        np.testing.assert_allclose(array, vectors.state()[name], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(words.forward(X), vectors.forward(shown), rtol=1e-12, atol=1e-12)
    found, expected = words.evaluate(X, Y), vectors.evaluate(shown, Y)
    assert found == pytest.approx(expected, rel=1e-12)
    assert words.probe(X, Y).keys() == vectors.probe(shown, Y).keys()


@BACKENDS
def test_numbers_that_are_none_of_the_input(backend: str) -> None:
    """Whether they come from outside, or were placed before."""
    session = artifact(backend).open()
    before = session.state()
    far = np.where(np.arange(N)[:, None] == 3, WORDS, X)
    for x, message in (
        (X.astype(float), r"^x has to hold whole numbers from 0 to 5, not float64$"),
        (far, r"^x 6 of sample 3 at \[0\] is not in 0\.\.5$"),
        (-X - 1, r"^x -\d of sample 0 at \[0\] is not in 0\.\.5$"),
        (X[:, :3], r"^x has shape \[7, 3\], but `input.shape` asks for \[N, 4\], N > 0$"),
        (session.place(X.astype(float)), r"^x was placed as \S*float64, where int64 belongs"),
        (session.place(far), r"^x .*6.* 0.*5"),
    ):
        for call in (session.step, session.evaluate, session.probe):
            with pytest.raises(FacError, match=message):
                call(x, Y)
        with pytest.raises(FacError, match=message):
            session.forward(x)
    assert all((session.state()[name] == before[name]).all() for name in before)


@BACKENDS
def test_the_names_of_a_batch(backend: str) -> None:
    """A mapping is the same batch; a name that is missing or unknown is one clear message."""
    session, other = artifact(backend).open(), artifact(backend).open()
    assert float(session.step({"y": Y, "x": X})["loss"]) == float(other.step(X, Y)["loss"])
    assert session.evaluate({"x": X, "y": Y}) == other.evaluate(X, Y)
    np.testing.assert_array_equal(session.forward({"x": X}), other.forward(X))
    for batch, y, message in (
        ({"x": X}, None, "the batch lacks `y`: `demo` is fed with `x` and `y`"),
        ({"x": X, "y": Y, "z": Y}, None, "the batch has `z`, and `demo` is fed with `x` and `y`"),
        ({"x": X}, Y, "y is given beside a mapping: put it into the mapping, under its name"),
        (X, None, "the batch lacks y: `demo` is fed with `x` and `y`"),
    ):
        with pytest.raises(FacError) as caught:
            session.step(batch, y)
        assert str(caught.value) == message


@BACKENDS
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_step_refuses_numbers_that_are_not_finite(backend: str, bad: float) -> None:
    """And leaves the parameters as they are; the output of such a sample may be asked for."""
    session = artifact(backend, whole=False).open()
    before, x = session.state(), np.eye(WORDS)[X]
    x[2, 3, 1] = bad
    with pytest.raises(
        FacError, match=rf"^x of sample 2 holds {bad} at \[3, 1\], and a step would spread that"
    ):
        session.step(x, Y)
    assert session.steps == 0
    for name, array in session.state().items():
        np.testing.assert_array_equal(array, before[name])
    assert session.forward(x).shape == (N, 3)
