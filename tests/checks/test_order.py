"""Which networks of a text read what they are to tell: as `fac check` says, and as their outputs show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fac
from fac.pipeline import check

T = 8

ATTENTION = {"kind": "attention", "name": "mix", "heads": 2}
TURN = {"kind": "permute", "axes": [1, 0]}

BODIES: dict[str, tuple[list[dict[str, Any]], bool]] = {
    "nothing": ([], False),
    "attention": ([ATTENTION], True),
    "causal": ([{**ATTENTION, "causal": True}], False),
    "rotary": ([{**ATTENTION, "causal": True, "rotary": 10000}], False),
    "residual": ([{"kind": "residual", "body": [{"kind": "layer_norm"}, ATTENTION]}], True),
    "second": ([{**ATTENTION, "name": "first", "causal": True}, {"kind": "gelu"}, ATTENTION], True),
    "norm": ([{"kind": "layer_norm"}, {"kind": "mlp", "ratio": 2}], False),
    "gru": ([{"kind": "gru", "name": "rows", "out": 8, "gather": True}], False),
    "window": ([TURN, {"kind": "conv1d", "name": "c", "out": 8, "kernel": 3, "padding": 1}, TURN], True),
    "back": (
        [
            TURN,
            {"kind": "pad", "padding": [2, 0]},
            {"kind": "conv1d", "name": "c", "out": 8, "kernel": 3},
            TURN,
        ],
        False,
    ),
    "mixer": ([TURN, {"kind": "linear", "name": "along", "out": T}, TURN], True),
}


def spec(body: list[dict[str, Any]], source: str = "text") -> dict[str, Any]:
    text = {"data": {"source": "text", "path": "text", "length": T}} if source == "text" else {}
    return {
        "fac": 1,
        "name": "bytes",
        "input": {"shape": [T], "classes": 256},
        "layers": [
            {"kind": "embedding", "name": "bytes", "num_embeddings": 256, "out": 8},
            {"kind": "positional_embedding", "name": "places"},
            *body,
            {"kind": "linear", "name": "logits", "out": 256},
        ],
        "loss": {"kind": "cross_entropy"},
        "feedback": {"rule": "bp"},
        "update": {"rule": "sgd", "lr": 0.1},
        **text,
    }


@pytest.mark.parametrize("name", BODIES)
def test_a_network_that_reads_its_targets_is_refused(name: str) -> None:
    body, looks = BODIES[name]
    assert reads_later(spec(body, "none")) == looks, "the case itself"
    assert looking(spec(body)) == looks


@pytest.mark.parametrize("name", BODIES)
def test_of_other_data_nothing_is_said(name: str) -> None:
    assert not looking(spec(BODIES[name][0], "none"))


def looking(written: dict[str, Any]) -> bool:
    """Whether that is what is found."""
    found = {finding.rule.code for finding in check(written)}
    return "FAC244" in found


def reads_later(written: dict[str, Any]) -> bool:
    """Whether an output changes with what stands behind it."""
    session = fac.compile(written, backend="reference").open()
    x = np.arange(T)[None] + 40
    before = np.asarray(session.forward(x))
    for place in range(1, T):
        other = x.copy()
        other[0, place] += 100
        if (np.asarray(session.forward(other))[0, :place] != before[0, :place]).any():
            return True
    return False
