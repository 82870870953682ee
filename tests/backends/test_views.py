"""What sessions show, beside what the suite of conformance holds."""

from __future__ import annotations

import numpy as np
import pytest

import fac
from fac.diagnostics import FacError
from fac.testing.nets import NET, batch, spec

X, Y = batch()


def test_true_gradients_are_those_of_differences() -> None:
    session = fac.compile(spec(NET, {"rule": "dfa"}), "reference").open()
    gradient = session.gradients(X, Y, true=True)["fc1.weight"]
    state, step = session.state(), 1e-6
    for place in ((0, 0), (3, 2), (7, 4)):
        losses = []
        for sign in (1, -1):
            moved = {name: array.copy() for name, array in state.items()}
            moved["fc1.weight"][place] += sign * step
            session.load_state(moved)
            losses.append(session.evaluate(X, Y)["loss"])
        assert gradient[place] == pytest.approx((losses[0] - losses[1]) / (2 * step), abs=1e-8)


def test_errors_are_what_routes_bring() -> None:
    """Direct feedback: what reaches the activation of a layer is the error of the output times its matrix."""
    session = fac.compile(spec(NET, {"rule": "dfa"}), "reference").open()
    errors, values = session.errors(X, Y), session.values(X)
    matrix = session.state()["fc1.feedback.B"]
    output = values["out"] - values["out"].max(1, keepdims=True)
    p = np.exp(output) / np.exp(output).sum(1, keepdims=True)
    wanted = (p - np.eye(3)[Y]) / len(Y)
    np.testing.assert_allclose(errors["out"], wanted, atol=1e-15)
    brought = wanted @ matrix.T if matrix.shape == (8, 3) else wanted @ matrix
    np.testing.assert_allclose(errors["relu_1"], brought, atol=1e-15)
    np.testing.assert_allclose(errors["fc1"], brought * (values["fc1"] > 0), atol=1e-15)


def test_what_nothing_reaches_is_left_out() -> None:
    session = fac.compile(spec(NET, {"rule": "shallow"}), "reference").open()
    assert session.gradients(X, Y).keys() == {"out.weight", "out.bias"}
    assert session.errors(X, Y).keys() == {"out"}
    assert session.gradients(X, Y, true=True).keys() == {"out.weight", "out.bias"}


def test_a_batch_is_looked_at() -> None:
    session = fac.compile(spec(NET), "reference").open()
    with pytest.raises(FacError, match="shape"):
        session.values(X[:, :3])
    with pytest.raises(FacError, match="y"):
        session.gradients(X)
