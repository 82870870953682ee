"""What hidden layers of tokens are balanced against, and what subspaces of tokens capture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fac
from fac.testing.nets import linear, spec
from tests.rules.nets import opened, put

T = 5
RELU = {"kind": "relu"}
NETS: dict[str, Any] = {
    "tokens": (linear("fc1", 6), RELU, linear("fc2", 7), RELU, linear("out", 3)),
    "a mean": (
        linear("fc1", 6),
        RELU,
        linear("fc2", 7),
        RELU,
        linear("fc3", 6),
        {"kind": "mean", "axes": (0,)},
        linear("out", 3),
    ),
}
SUBSPACE = {
    "subspaces": ({"name": "s", "of": "loss", "rank": 2},),
    "routes": ({"to": "fc1", "from": "s", "matrix": {"kind": "random"}},),
}
FEEDBACK: dict[str, Any] = {
    "bp": {"rule": "bp"},
    "ldfa": {"rule": "ldfa", "rank": 3},
    "dfa": {"rule": "dfa"},
    "direct_ldfa": {"rule": "direct_ldfa", "rank": 2},
    "a subspace": SUBSPACE,
}


def net(name: str, feedback: Any, *probes: str) -> Any:
    found = tuple({"kind": probe} for probe in probes)
    return spec(
        NETS[name], feedback, {"rule": "sgd", "lr": 0.1}, (T, 4), "mse", probes=found, train={"seed": 0}
    )


def batch(name: str) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((7, T, 4)), rng.standard_normal((7, *((T, 3) if name == "tokens" else (3,))))


@pytest.mark.parametrize("rule", FEEDBACK)
@pytest.mark.parametrize("name", NETS)
def test_the_two_sides_of_the_balance_are_equal(name: str, rule: str) -> None:
    """Summed over tokens; of a vector shared out among tokens, with the mean of what they are."""
    data = net(name, FEEDBACK[rule], "conservation")
    assert {finding.rule.code for finding in fac.check(data)} <= {"FAC328"}
    found = opened(data).probe(*batch(name))
    balances = {key: value for key, value in found.items() if key.endswith(".balance")}
    assert len(balances) == (2 if name == "tokens" else 3)
    assert max(map(abs, balances.values())) <= 1e-14


@pytest.mark.parametrize("name", NETS)
def test_a_subspace_captures_of_each_token_what_its_rows_span(name: str) -> None:
    """One that reads the first two channels holds their share of the error, of all tokens together."""
    data = net(name, SUBSPACE, "captured_energy")
    session = put(opened(data), {"s.feedback.P": np.eye(3)[:2]})
    x, y = batch(name)
    error = session.forward(x) - y
    expected = np.square(error[..., :2]).sum() / np.square(error).sum()
    assert session.probe(x, y)["s.feedback.P.captured_energy"] == pytest.approx(expected, rel=1e-12)
