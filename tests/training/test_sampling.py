"""Text byte by byte: what the network expects behind the last bytes, and nothing of what stands behind them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fac
from fac.backend import Session
from fac.diagnostics import FacError
from fac.training.sampling import continued, drawn

WINDOW = 5


def network(causal: bool = True, **more: Any) -> Session:
    """Random, which is as good as any."""
    spec = {
        "fac": 1,
        "name": "bytes",
        "input": {"shape": [WINDOW], "classes": 256},
        "layers": [
            {"kind": "embedding", "name": "bytes", "num_embeddings": 256, "out": 8},
            {"kind": "positional_embedding", "name": "places"},
            {"kind": "attention", "name": "mix", "heads": 2, "causal": causal},
            {"kind": "linear", "name": "logits", "out": 256},
        ],
        "loss": {"kind": "cross_entropy"},
        "feedback": {"rule": "bp"},
        "update": {"rule": "sgd", "lr": 0.1},
    }
    return fac.compile({**spec, **more}, backend="reference").open()


def text(session: Session, prompt: bytes, length: int, temperature: float = 0.0, seed: int = 0) -> bytes:
    return bytes(continued(session, prompt, length, temperature, seed))


@pytest.mark.parametrize("prompt", [b"a", b"abcde", b"abcdefgh"], ids=["short", "full", "long"])
def test_each_byte_is_the_likeliest_behind_the_last_ones(prompt: bytes) -> None:
    """What fills a window that is not full yet, here the byte 7, counts for nothing."""
    session, known = network(), prompt
    for _ in range(4):
        seen = known[-WINDOW:]
        x = np.array([[*seen, *[7] * (WINDOW - len(seen))]])
        known += bytes([int(np.asarray(session.forward(x))[0, len(seen) - 1].argmax())])
    assert text(session, prompt, 4) == known[len(prompt) :]


def test_a_seed_says_which_bytes_are_drawn() -> None:
    session = network()
    first, again, other = (text(session, b"a", 20, 1.0, seed) for seed in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_bytes_are_drawn_by_the_softmax_of_outputs_over_the_temperature(temperature: float) -> None:
    z, count = np.array([0.0, 1.0, -1.0, 2.0]), 4000
    draws = np.random.Generator(np.random.Philox(0))
    found = np.bincount([drawn(z, temperature, draws) for _ in range(count)], minlength=4) / count
    expected = np.exp(z / temperature) / np.exp(z / temperature).sum()
    assert np.abs(found - expected).max() < 4 * 0.5 / count**0.5, "four standard errors of the widest share"


def test_a_network_that_looks_ahead_is_refused() -> None:
    with pytest.raises(FacError, match=r"`bytes` looks ahead: .* write `causal: true`"):
        text(network(causal=False), b"a", 1)


@pytest.mark.parametrize(
    ("more", "reads"),
    [
        (
            {"input": {"shape": [WINDOW], "classes": 300}},
            r"\[5\] of whole numbers below 300 and makes \[5, 256\]",
        ),
        ({"input": {"shape": [WINDOW]}}, r"\[5\] of real numbers and makes \[3\]"),
    ],
)
def test_a_network_of_something_else_is_refused(more: dict[str, Any], reads: str) -> None:
    if "classes" not in more["input"]:
        more = {**more, "layers": [{"kind": "linear", "name": "out", "out": 3}]}
    else:
        table = {"kind": "embedding", "name": "bytes", "num_embeddings": 300, "out": 8}
        more = {**more, "layers": [table, {"kind": "linear", "name": "out", "out": 256}]}
    with pytest.raises(FacError, match=rf"`bytes` does not tell the next byte .* reads {reads}"):
        text(network(**more), b"a", 1)


def test_outputs_that_are_not_finite_are_told() -> None:
    session = network()
    state = dict(session.state())
    state["logits.weight"] = np.full_like(state["logits.weight"], np.nan)
    session.load_state(state)
    with pytest.raises(FacError, match="not finite"):
        text(session, b"a", 1)
