"""No update is silently zero: whatever is said to learn moves, and whatever is fixed does not, under every rule."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rules.nets import SKIP, Spec, batch, dense, moved, opened, spec

LAYERS = ("fc1", "fc2", "fc3")
KP = {"rule": "kolen_pollack"}
RULES: dict[str, tuple[Spec, str]] = {
    "bp": ({"rule": "bp"}, ""),
    "fa": ({"rule": "fa"}, ""),
    "kp": ({"rule": "fa", "learn": KP}, "B"),
    "dfa": ({"rule": "dfa"}, ""),
    "dkp": ({"rule": "dfa", "learn": KP}, "B"),
    "fixed": ({"rule": "ldfa", "rank": 3, "learn": "fixed"}, ""),
    "kp_q": ({"rule": "ldfa", "rank": 3, "learn": "kolen_pollack"}, "Q"),
    "oja_kp": ({"rule": "ldfa", "rank": 3}, "PQ"),
    "local": ({"rule": "ldfa", "rank": 3, "learn": "local"}, "PQ"),
    "normative": ({"rule": "ldfa", "rank": 3, "learn": "normative"}, "PQ"),
    "direct fixed": ({"rule": "direct_ldfa", "rank": 3, "learn": "fixed"}, ""),
    "direct kp_q": ({"rule": "direct_ldfa", "rank": 3, "learn": "kolen_pollack"}, "Q"),
    "direct oja_kp": ({"rule": "direct_ldfa", "rank": 3}, "PQ"),
    "direct local": ({"rule": "direct_ldfa", "rank": 3, "learn": "local"}, "PQ"),
}
"""A rule, and which feedback arrays learn."""
UPDATES: dict[str, Spec] = {
    "sgd": {"rule": "sgd", "lr": 0.05},
    "nesterov": {"rule": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True},
    "adam": {"rule": "adam", "lr": 0.01},
    "adamw": {"rule": "adamw", "lr": 0.01},
}


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("layers", [dense(9, 9, 4, act="tanh"), SKIP], ids=["chain", "skip"])
@pytest.mark.parametrize("rule", RULES)
def test_what_learns_moves_and_what_is_fixed_does_not(
    rule: str, layers: tuple[Spec, ...], update: str
) -> None:
    """Every row of every weight: a row that stands still would be a unit that no error reaches."""
    feedback, learned = RULES[rule]
    session = opened(spec(layers, feedback, UPDATES[update]))
    before = session.state()
    for step in range(3):
        session.step(*batch(40, seed=step))
    after = session.state()
    matrices = {n for n in before if ".feedback." in n and n.rpartition(".")[2] in tuple("BPQ")}
    wanted = {f"{layer}.{part}" for layer in LAYERS for part in ("weight", "bias")}
    wanted |= {n for n in matrices if n[-1] in learned}
    assert moved(before, after) & (wanted | matrices) == wanted
    for name in wanted:
        if name.endswith(".weight"):
            assert (np.abs(after[name] - before[name]).max(1) > 1e-9).all(), name


@pytest.mark.parametrize("rule", [r for r in RULES if r != "bp"])
def test_no_rule_falls_back_to_backpropagation(rule: str) -> None:
    x, y = batch()
    exact, session = opened(spec(dense(9, 9, 4))), opened(spec(dense(9, 9, 4), RULES[rule][0]))
    exact.step(x, y)
    session.step(x, y)
    for name in ("fc1.weight", "fc2.weight"):
        assert np.abs(exact.state()[name] - session.state()[name]).max() > 1e-5
