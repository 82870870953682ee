"""The multiply-adds that are counted of layers of tokens are those that torch executes, by torch's own counter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch.utils.flop_counter import FlopCounterMode

import fac
from fac.build.costs import cost
from fac.pipeline import lowered
from fac.testing.nets import Layers, linear

N, T, V, D = 4, 6, 11, 8
WORDS: dict[str, Any] = {"shape": (T,), "classes": V}
TOKENS: dict[str, Any] = {"shape": (T, D)}
TABLE = {"kind": "embedding", "name": "words", "out": D}
RELU = {"kind": "relu"}
LOOK = {"kind": "attention", "name": "look", "heads": 2}
HEAD: Layers = ({"kind": "mean", "axes": (0,)}, linear("logits", 3))
NETS: dict[str, tuple[dict[str, Any], Layers]] = {
    "an embedding": (WORDS, (TABLE, *HEAD)),
    "vectors of one 1": (WORDS, ({"kind": "one_hot"}, linear("fc1", 5), *HEAD)),
    "a tied head": (
        WORDS,
        (TABLE, {"kind": "layer_norm"}, linear("logits", V, tie="words", bias=False)),
    ),
    "learned places": (WORDS, (TABLE, {"kind": "positional_embedding"}, *HEAD)),
    "sines": (WORDS, (TABLE, {"kind": "positional_embedding", "sinusoidal": True}, *HEAD)),
    "a turn": (TOKENS, (linear("fc1", 8), {"kind": "rotary", "heads": 2}, *HEAD)),
    "tokens": (TOKENS, (linear("fc1", 5), RELU, linear("fc2", 5), *HEAD)),
    "one more token": (
        TOKENS,
        ({"kind": "class_token"}, linear("fc1", 5), {"kind": "select"}, linear("logits", 3)),
    ),
    "one weight twice": (
        TOKENS,
        (linear("fc1", D), RELU, linear("fc2", D, tie="fc1"), RELU, *HEAD),
    ),
    "attention": (TOKENS, (linear("fc1", D), LOOK, *HEAD)),
    "causal attention": (TOKENS, (linear("fc1", D), LOOK | {"causal": True}, *HEAD)),
    "grouped attention": (TOKENS, (linear("fc1", D), LOOK | {"heads": 4, "kv_heads": 2}, *HEAD)),
    "a recurrent layer": (TOKENS, ({"kind": "rnn", "name": "rows", "out": 5}, linear("logits", 3))),
    "a gated one": (TOKENS, ({"kind": "gru", "name": "rows", "out": 5}, linear("logits", 3))),
}
RULES: dict[str, dict[str, Any]] = {
    "bp": {"rule": "bp"},
    "fa, kp": {"rule": "fa", "learn": {"rule": "kolen_pollack"}},
    "dfa": {"rule": "dfa"},
    "ldfa": {"rule": "ldfa", "rank": 2},
    "ldfa, normative": {"rule": "ldfa", "rank": 2, "learn": "normative"},
    "direct_ldfa": {"rule": "direct_ldfa", "rank": 2},
}
CORE = 3 * 2 * N * T * T * D
"""Two products of T x T pairs with D numbers forward and four back, which torch's counter does not know on CPUs."""


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("net", NETS)
def test_as_many_are_counted_as_are_executed(net: str, rule: str) -> None:
    read, layers = NETS[net]
    spec = {
        "fac": 1,
        "name": "counted",
        "input": read,
        "layers": layers,
        "loss": {"kind": "cross_entropy"},
        "feedback": RULES[rule],
        "update": {"rule": "sgd", "lr": 0.1},
    }
    artifact = fac.compile(spec, "torch")
    session, rng = artifact.open(device="cpu"), np.random.default_rng(0)
    x, y = (
        rng.standard_normal((N, *feed.shape))
        if feed.classes is None
        else rng.integers(0, feed.classes, (N, *feed.shape))
        for feed in artifact.compiled.feeds
    )
    with FlopCounterMode(display=False) as counter:
        session.step(x, y)
    core = CORE if "attention" in net else 0
    assert cost(lowered(spec), N).step.total.macs == counter.get_total_flops() / 2 + core
