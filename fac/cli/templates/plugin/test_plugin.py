"""Tests of PLUGIN.py: `pytest` in this folder runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fac
from fac import plugin
from fac.testing import check_kind

PLUGIN = plugin.load(Path(__file__).with_name("PLUGIN.py"))
SETTINGS: dict[str, dict[str, Any]] = {
    "PLUGIN_binary": {"learn": {"rule": "PLUGIN_turn"}},
    "PLUGIN_signum": {"lr": 0.1},
}
"""What kinds are tried with: fields without a default, and those by which a kind does more."""


@pytest.mark.parametrize("kind", PLUGIN.KINDS, ids=lambda kind: kind.name)
def test_it_keeps_the_laws_of_its_family(kind: Any) -> None:
    check_kind(kind, kind.spec(**SETTINGS.get(kind.name, {})))


def test_a_step_is_that_of_the_equations() -> None:
    """The whole step of a small network, once more in NumPy."""
    spec = {
        "fac": 1,
        "name": "small",
        "input": {"shape": [5]},
        "layers": (
            {"kind": "linear", "name": "fc1", "out": 4},
            {"kind": "PLUGIN_squash"},
            {"kind": "linear", "name": "out", "out": 3},
        ),
        "loss": {"kind": "cross_entropy"},
        "feedback": {"rule": "PLUGIN_feedback", "learn": {"rule": "PLUGIN_turn", "rate": 0.25}},
        "update": {"rule": "PLUGIN_signum", "lr": 0.1},
    }
    session = fac.compile(spec, "reference", "float64").open()
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((7, 5)), rng.integers(0, 3, 7)
    old = session.state()
    session.step(x, y)
    new = session.state()

    # forward
    a = x @ old["fc1.weight"].T + old["fc1.bias"]
    h = 1.7159 * np.tanh(2 * a / 3)
    z = h @ old["out.weight"].T + old["out.bias"]
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    # what is made of the error
    error = (p - np.eye(3)[y]) / len(x)
    B = old["out.feedback.B"]
    F = np.abs(B).mean() * np.sign(B)
    below = (error @ F) * 1.7159 * 2 / 3 * (1 - np.tanh(2 * a / 3) ** 2)
    # what moves
    C = error.T @ h
    turned = 0.75 * B - 0.25 * np.linalg.norm(B) * C / np.linalg.norm(C)
    np.testing.assert_allclose(new["out.feedback.B"], turned, atol=1e-12)
    for name, gradient in {"fc1.weight": below.T @ x, "fc1.bias": below.sum(0), "out.weight": C}.items():
        m = new[f"{name}.momentum"]  # which starts at zero
        np.testing.assert_allclose(m, 0.1 * gradient, atol=1e-12)
        np.testing.assert_allclose(new[name], old[name] - 0.1 * np.sign(m), atol=1e-12)
