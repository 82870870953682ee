"""Laws of direct feedback among tokens: what of it is backpropagation, and what it teaches the matrices."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from fac.testing.case import Case, law
from fac.testing.laws import DECAY, DFA, DIRECT_LDFA, UNIT, Matrices, State, products, same, sending, update
from fac.testing.nets import Data, Layers, linear, spec
from fac.testing.products import sensitivities

T, IN, OUT = 4, 5, 3
MEAN: Data = {"kind": "mean", "name": "mean", "axes": (0,)}
EACH: Layers = (linear("fc1", 6), linear("fc2", 4), linear("out", OUT))
"""Tokens to tokens."""
POOLED: Layers = (linear("fc1", 6), linear("fc2", 4), MEAN, linear("out", OUT))
"""A mean between."""
LEARNED: dict[str, Layers] = {
    "tokens": (linear("fc1", 6), {"kind": "tanh", "name": "act"}, linear("out", OUT)),
    "a mean": (linear("fc1", 6), {"kind": "tanh", "name": "act"}, MEAN, linear("out", OUT)),
}


def cases() -> Iterator[Case]:
    """For tokens whose source has as many, and for those above which a mean stands."""
    for name, layers in {"tokens": EACH, "a mean": POOLED}.items():
        bp = partial(update, _spec(layers, None, UNIT), same, given=_batches(layers, 7))
        for rule, feedback in {"dfa": DFA, "direct_ldfa": DIRECT_LDFA, "subspace": SUBSPACE}.items():
            data = _spec(layers, feedback, UNIT)
            send = partial(_exact, partial(sending, partial(sensitivities, data), False))
            routed = partial(update, data, send, given=_batches(layers, 7))
            yield law(f"{rule} with products of weights is bp x {name}", routed, bp)
        data = _spec(layers, {"routes": tuple(_to(node, share=False) for node in ("fc1", "fc2"))}, UNIT)
        send = partial(sending, partial(sensitivities, data), False)
        routed = partial(update, data, send, given=_batches(layers, 7))
        yield law(f"a matrix with rows for each of the tokens is bp x {name}", routed, bp)
    yield from masked()
    for name, layers in LEARNED.items():
        given = _batches(layers, 7, 3, 7)
        bp = partial(update, _spec(layers, None, DECAY), same, given=given)
        for kind, matrix in FOLLOWING.items():
            data = _spec(layers, {"routes": (_to("fc1", matrix, at="act"),)}, DECAY)
            routed = partial(update, data, partial(sending, _above, False), given=given)
            yield law(f"a direct {kind} that follows W stays bp x {name}", routed, bp)


def masked() -> Iterator[Case]:
    """Below a mean of those tokens that a mask counts; of one sample it counts none."""
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 2, (7, T)).astype(float)
    mask[0], mask[1] = 0, 1
    given = [({"x": rng.standard_normal((7, T, IN)), "m": mask, "y": rng.integers(0, OUT, 7)}, None)]
    first = linear("fc1", 6, **{"from": "x"})
    mean = MEAN | {"mask": "m", "from": "fc2"}
    deep = (first, linear("fc2", 4), mean, linear("out", OUT))
    bp, dfa = (partial(_masked, deep, feedback, UNIT) for feedback in (None, DFA))
    send = partial(sending, products, False)
    yield law(
        "dfa with products of weights is bp x a masked mean",
        partial(update, dfa(), send, given=given),
        partial(update, bp(), same, given=given),
    )
    layers = (first, {"kind": "tanh", "name": "act"}, mean | {"from": "act"}, linear("out", OUT))
    for kind, matrix in FOLLOWING.items():
        data = _masked(layers, {"routes": (_to("fc1", matrix, at="act"),)}, DECAY)
        yield law(
            f"a direct {kind} that follows W stays bp x a masked mean",
            partial(update, data, partial(sending, _above, False), given=given * 3),
            partial(update, _masked(layers, None, DECAY), same, given=given * 3),
        )


def _masked(layers: Layers, feedback: Data | None, rule: Data) -> Data:
    data = spec(layers, feedback, rule)
    inputs = {"x": {"shape": (T, IN)}, "m": {"shape": (T,), "mask": True}}
    return {key: value for key, value in data.items() if key != "input"} | {"inputs": inputs}


def _to(node: str, matrix: Data | None = None, **fields: Any) -> Data:
    return {"to": node, "matrix": matrix or {"kind": "random"}, **fields}


SUBSPACE: Data = {
    "subspaces": ({"name": "s", "of": "loss", "rank": OUT},),
    "routes": tuple(_to(node) | {"from": "s"} for node in ("fc1", "fc2")),
}
FOLLOWING: dict[str, Data] = {
    "B": {"kind": "random", "learn": {"rule": "kolen_pollack"}},
    "Q": {"kind": "low_rank", "rank": OUT, "read": {"rule": "fixed"}},
}


def _exact(send: Any, state: State) -> State:
    """A subspace that reads the error as it is."""
    found: State = send(state)
    return found | {name: np.eye(OUT) for name in state if name == "s.feedback.P"}


def _above(state: State) -> Matrices:
    return {"fc1": state["out.weight"]}


def _spec(layers: Layers, feedback: Data | None, rule: Data) -> Data:
    return spec(layers, feedback, rule, (T, IN), "mse")


def _batches(layers: Layers, *sizes: int) -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(0)
    out = (OUT,) if MEAN in layers else (T, OUT)
    return [(rng.standard_normal((n, T, IN)), rng.standard_normal((n, *out))) for n in sizes]
