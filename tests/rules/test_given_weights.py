"""Weights from elsewhere: feedback that starts from the SVD of the weights is that of these, or there is an error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fac.backend import Array
from fac.diagnostics import FacError
from fac.pipeline import compile
from fac.testing.nets import batch, mlp, spec

X, Y = batch()
ADAM = {"rule": "adam", "lr": 0.01}


def weights(seed: int) -> dict[str, Array]:
    """Parameters of the network below, far from its initial ones."""
    rng = np.random.default_rng(seed)
    sizes = ((12, 5), (10, 12), (3, 10))
    found = {
        f"{name}.weight": rng.standard_normal(size)
        for name, size in zip(("fc1", "fc2", "out"), sizes, strict=True)
    }
    return found | {
        f"{name}.bias": rng.standard_normal(size[0])
        for name, size in zip(("fc1", "fc2", "out"), sizes, strict=True)
    }


def made(learn: str, rank: int, backend: str = "reference") -> Any:
    probes = ({"kind": "feedback_alignment"},)
    feedback = {"rule": "ldfa", "rank": rank, "learn": learn}
    return compile(spec(mlp(12, 10, 3), feedback, ADAM, probes=probes), backend, "float64")


@pytest.mark.parametrize("learn", ["local", "normative"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_feedback_is_the_nearest_to_the_weights_that_came_in(learn: str, rank: int) -> None:
    """cos(Q P, W^T) = |first r singular values| / |all|: the largest that a matrix of rank r can have."""
    given = weights(rank)
    session = made(learn, rank).open(given, derive=True)
    measured = session.probe(X, Y)
    for layer in ("fc2", "out"):
        values = np.linalg.svd(given[f"{layer}.weight"], compute_uv=False)
        expected = np.linalg.norm(values[:rank]) / np.linalg.norm(values)
        assert measured[f"{layer}.feedback.cosine"] == pytest.approx(expected, rel=1e-12)
    state = session.state()
    for name, array in given.items():
        np.testing.assert_array_equal(state[name], array)
    assert all(not state[name].any() for name in state if name.endswith((".mean", ".square")))


@pytest.mark.parametrize("learn", ["local", "normative"])
def test_it_is_never_stale_in_silence(learn: str) -> None:
    artifact = made(learn, 2)
    session = artifact.open()
    before = session.state()
    message = (
        r"^the state has the parameters of `demo`, but not `fc2.feedback.P`, `fc2.feedback.Q`, `out.feedback.P` and "
        "[0-9]+ more: add `derive=True` to take feedback that starts from weights from these weights, "
        "draw other feedback as for a new training, and begin with optimiser state of zero$"
    )
    for call in (session.load_state, artifact.open):
        with pytest.raises(FacError, match=message):
            call(weights(0))
    assert all(np.array_equal(array, before[name]) for name, array in session.state().items())


def test_what_belongs_together_comes_together() -> None:
    """Half a pair would be joined with a stranger, and means of Adam with squares of zero."""
    artifact = made("normative", 2)
    whole = artifact.open(weights(0), derive=True).state()
    for gone in ("fc2.feedback.Q", "fc1.bias.square"):
        with pytest.raises(
            FacError, match=f"but not `{gone}`, which belongs together: give all of it or none"
        ):
            artifact.open({n: a for n, a in whole.items() if n != gone}, derive=True)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_give_no_feedback(bad: float) -> None:
    given = weights(0)
    given["fc2.weight"][1, 2] = bad
    with pytest.raises(
        FacError, match=r"^nothing can be derived from `fc2.weight`: there are numbers in it that are not"
    ):
        made("local", 2).open(given, derive=True)


def test_the_number_of_steps_goes_with_the_optimiser() -> None:
    """Adam's corrections are for means that began at zero so many steps ago."""
    artifact = made("normative", 2)
    session = artifact.open(weights(0), derive=True)
    for _ in range(3):
        session.step(X, Y)
    state = session.state()
    without_feedback = {n: a for n, a in state.items() if ".feedback." not in n or n.count(".") > 2}
    without_optimiser = {n: a for n, a in state.items() if not n.endswith((".mean", ".square"))}
    assert artifact.open(without_feedback, derive=True).steps == 3
    fresh = artifact.open(without_optimiser, derive=True)
    assert fresh.steps == 0
    assert all(name.endswith((".mean", ".square")) for name in fresh.derived)


def test_parameters_alone_are_enough_for_a_file(tmp_path: Path) -> None:
    """Inference reads neither feedback nor optimiser."""
    given = weights(0)
    artifact = made("local", 2, "onnx")
    file = artifact.export(given, tmp_path / "model.onnx", "cpu")
    hidden = np.maximum(X @ given["fc1.weight"].T + given["fc1.bias"], 0)
    hidden = np.maximum(hidden @ given["fc2.weight"].T + given["fc2.bias"], 0)
    np.testing.assert_allclose(
        file.run(X), hidden @ given["out.weight"].T + given["out.bias"], rtol=1e-12, atol=1e-12
    )
    with pytest.raises(
        FacError, match=r"lacks parameters of `demo`: give `out.bias`, which cannot be derived"
    ):
        artifact.export({n: a for n, a in given.items() if n != "out.bias"}, tmp_path / "other.onnx", "cpu")


@pytest.mark.parametrize("derive", [True, False])
def test_what_is_wrong_with_weights_is_said_before_what_is_missing(derive: bool) -> None:
    artifact, given = made("local", 2), weights(0)
    turned = given | {"fc1.weight": given["fc1.weight"].T}
    with pytest.raises(FacError, match=r"than `\w+`: `fc1.weight` is \[5, 12\], not \[12, 5\]") as error:
        artifact.open(turned, derive=derive)
    assert ("missing" in str(error.value)) is not derive
    with pytest.raises(FacError, match=r"`0.weight` is unknown; `fc1.weight` is missing$"):
        artifact.open({"0.weight" if k == "fc1.weight" else k: v for k, v in given.items()}, derive=True)
    with pytest.raises(FacError, match="a state is a mapping from names to arrays, not str"):
        artifact.open("weights.npz", derive=True)


@pytest.mark.parametrize("rate", [float("nan"), -0.1, "0.1", True, [0.1]], ids=str)
def test_a_learning_rate_that_is_none_is_refused(rate: Any) -> None:
    session = made("local", 2).open()
    before = session.state()
    with pytest.raises(FacError, match=f"^the learning rate is {re.escape(repr(rate))}"):
        session.step(X, Y, rate)
    assert all((array == before[name]).all() for name, array in session.state().items())
