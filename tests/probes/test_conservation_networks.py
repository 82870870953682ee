"""Where laws of conservation hold among tokens, words, masks, shared weights and several losses, and where not.

Where one is measured it is held against steps: the balance is rounding, and what is conserved moves by the square of
the rate alone. Where the check says that none is, the two sides are far from each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fac
from fac.backend import Session
from fac.testing.nets import Layers, linear
from tests.rules.nets import opened

T, D, V = 5, 4, 7
LR = 0.05
RELU = {"kind": "relu"}
TABLE = {"kind": "embedding", "name": "words", "out": 6}
OUT = linear("out", 3)
MEAN = {"kind": "mean", "axes": (0,), "mask": "kept"}
TOKENS = {"input": {"shape": (T, D)}}
WORDS = {"input": {"shape": (T,), "classes": V}}
MASKED = {"inputs": {"read": {"shape": (T, D)}, "kept": {"shape": (T,), "mask": True}}}
RULES: dict[str, Any] = {
    "bp": {"rule": "bp"},
    "fa": {"rule": "fa"},
    "ldfa": {"rule": "ldfa", "rank": 2},
    "dfa": {"rule": "dfa", "learn": {"rule": "kolen_pollack"}},
}
Net = tuple[dict[str, Any], Layers, set[str]]
HOLDS: dict[str, Net] = {
    "words": (WORDS, (TABLE, linear("fc1", 6), RELU, OUT), {"words", "fc1"}),
    "padded words": (WORDS, (TABLE | {"padding_idx": 0}, {"kind": "mean", "axes": (0,)}, OUT), {"words"}),
    "tokens": (TOKENS, (linear("fc1", 6), RELU, linear("fc2", 6), RELU, OUT), {"fc1", "fc2"}),
    "a masked mean": (MASKED, (linear("fc1", 6), RELU, linear("fc2", 6), RELU, MEAN, OUT), {"fc1", "fc2"}),
    "a masked maximum": (MASKED, (linear("fc1", 6), RELU, MEAN | {"kind": "max"}, OUT), {"fc1"}),
    "tokens that are mixed": (
        TOKENS,
        (
            linear("fc1", 6),
            RELU,
            {"kind": "permute", "axes": (1, 0)},
            linear("mix", T),
            RELU,
            {"kind": "permute", "axes": (1, 0)},
            OUT,
        ),
        {"fc1", "mix"},
    ),
    "a turn of pairs": (TOKENS, (linear("fc1", 6), {"kind": "rotary", "heads": 1}, OUT), {"fc1"}),
    "the first of them": (TOKENS, (linear("fc1", 6), RELU, {"kind": "select"}, OUT), {"fc1"}),
    "below and above attention": (
        TOKENS,
        (linear("fc1", 6), {"kind": "attention", "name": "look", "heads": 2}, OUT),
        {"fc1", "look.proj"},
    ),
}


def built(sections: dict[str, Any], layers: Layers, feedback: Any) -> dict[str, Any]:
    """A spec that asks for the probe."""
    loss = {} if "losses" in sections else {"loss": {"kind": "mse"}}
    about: dict[str, Any] = {
        "train": {"seed": 0},
        "fac": 1,
        "name": "laws",
        "layers": layers,
        "feedback": feedback,
        **sections,
        **loss,
    }
    return about | {"update": {"rule": "sgd", "lr": LR}, "probes": ({"kind": "conservation"},)}


def drawn(session: Session, seed: int) -> dict[str, Any]:
    """A batch. Of each sample the last places do not count."""
    found, rng = {}, np.random.default_rng(seed)
    for feed in session.compiled.feeds:
        shape = (6, *feed.shape)
        found[feed.name] = rng.standard_normal(shape) if feed.classes is None else rng.integers(0, V, shape)
        if feed.mask:
            found[feed.name] = (np.arange(T) < rng.integers(1, T + 1, (6, 1))).astype(float)
    return found


def void(spec: dict[str, Any]) -> list[str]:
    """What the check says of it."""
    return [found.message for found in fac.check(spec) if found.rule.code == "FAC328"]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("net", HOLDS)
def test_what_is_measured_holds(net: str, rule: str) -> None:
    """C grows by a r + b r^2 in a step of the rate r: four times the growth at r / 2 less that at r is a r, and 0."""
    sections, layers, expected = HOLDS[net]
    session = opened(built(sections, layers, RULES[rule]))
    for seed in range(3):
        session.step(drawn(session, seed))
    batch, state = drawn(session, 9), session.state()
    before = session.probe(batch)
    assert {name[:-8] for name in before if name.endswith(".balance")} >= expected
    assert max(value for name, value in before.items() if name.endswith(".balance")) <= 1e-13
    held, grown = [name for name in before if name.endswith(".conserved")], []
    assert {name[:-10] for name in held} >= expected
    for rate in (LR, LR / 2):
        session.load_state(state)
        session.step(batch, lr=rate)
        after = session.probe(batch)
        grown.append({name: after[name] - before[name] for name in held})
    for name in held:
        assert abs(4 * grown[1][name] - grown[0][name]) <= 1e-13
        assert abs(grown[0][name]) > 1e-9  # it is no constant


TWO = {"losses": ({"kind": "mse", "of": "out"}, {"kind": "mse", "of": "made", "target": "other"})}
FAILS: dict[str, tuple[dict[str, Any], Layers, tuple[str, str], str]] = {
    "a tied head": (
        WORDS,
        (TABLE, linear("fc1", 6), RELU, linear("out", V, tie="words", bias=False)),
        ("fc1", "words"),
        "`conservation` measures nothing at `words` and `fc1`: `words` and `out` share their parameters",
    ),
    "one weight twice": (
        TOKENS,
        (linear("fc1", D), RELU, linear("fc2", D, tie="fc1"), RELU, OUT),
        ("fc1", "out"),
        "`conservation` measures nothing at `fc1` and `fc2`: `fc1` and `fc2` share their parameters",
    ),
    "places": (
        TOKENS,
        (linear("fc1", 6), RELU, {"kind": "positional_embedding", "name": "places"}, OUT),
        ("fc1", "out"),
        "`conservation` measures nothing at `fc1`: `places` is not positively homogeneous",
    ),
    "a token of its own": (
        TOKENS,
        (linear("fc1", 6), RELU, {"kind": "class_token", "name": "first"}, OUT),
        ("fc1", "out"),
        "`conservation` measures nothing at `fc1`: `first` is not positively homogeneous",
    ),
    "queries, keys and values": (
        TOKENS,
        ({"kind": "attention", "name": "look", "heads": 2}, OUT),
        ("look.qkv", "look.proj"),
        "`conservation` measures nothing at `look.qkv`: `look.attend` is not positively homogeneous",
    ),
    "queries": (
        TOKENS,
        ({"kind": "attention", "name": "look", "heads": 2, "fused": False}, OUT),
        ("look.q", "look.proj"),
        "`conservation` measures nothing at `look.q`, `look.k` and `look.v`: `look.attend` joins several layers",
    ),
    "a loss in the middle": (
        TOKENS | TWO,
        (linear("fc1", 6), RELU | {"name": "made"}, OUT),
        ("fc1", "out"),
        "`conservation` measures nothing at `fc1`: several errors arrive at `made`",
    ),
    "a loss of a layer itself": (
        TOKENS | TWO,
        (linear("made", 6), RELU, OUT),
        ("made", "out"),
        "`conservation` measures nothing at `made`: several errors arrive at `made`",
    ),
}


@pytest.mark.parametrize("net", FAILS)
def test_what_is_not_measured_does_not_hold(net: str) -> None:
    """By backpropagation, from what a step moves: <W, G> + <b, g> is not <W', G'>."""
    sections, layers, (lower, upper), message = FAILS[net]
    spec = built(sections, layers, {"rule": "bp"})
    assert message in void(spec)
    session = opened(spec)
    assert f"{lower}.balance" not in session.probe(drawn(session, 9))
    before = session.state()
    session.step(drawn(session, 9))
    after = session.state()
    gradient = {name: (before[name] - after[name]) / LR for name in before if name != "step"}
    own = (np.vdot(before[n], g) for n, g in gradient.items() if n.rpartition(".")[0] == lower)
    left, right = float(sum(own)), float(np.vdot(before[f"{upper}.weight"], gradient[f"{upper}.weight"]))
    assert abs(left - right) > 1e-5 * max(abs(left), abs(right))


def test_a_loss_of_a_value_is_no_error_that_a_direct_route_brings() -> None:
    """The route is not added to what the loss says of the value itself, and does not stand for it."""
    layers = (linear("fc1", 6), RELU, linear("fc2", 6), RELU | {"name": "made"}, OUT)
    found = void(built(TOKENS | TWO, layers, {"rule": "dfa"}))
    assert any("`fc2`: several errors arrive at" in message for message in found)


def test_a_table_below_the_head_is_a_hidden_layer_that_learns() -> None:
    """The probe has something to say of it, and nothing is left out."""
    assert fac.check(built(WORDS, (TABLE, OUT), {"rule": "bp"})) == ()
