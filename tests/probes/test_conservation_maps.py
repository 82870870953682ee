"""The probe `conservation` where layers read and make maps: both laws, for every weighted kind, and random networks.

float64. A balance is relative to its terms, and 1e-12 is their rounding; a wrong layout of a kernel gives 0.01 to 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import fac
from fac.backend import Session
from fac.pipeline import lowered
from fac.program.balance import balances
from fac.testing.layers import LAYERS, SHAPES
from fac.testing.nets import Data, Layers, conv2d, linear, spec

KP: Data = {"rule": "kolen_pollack"}
RULES: dict[str, Data] = {
    "bp": {"rule": "bp"},
    "fa": {"rule": "fa"},
    "fa_kp": {"rule": "fa", "learn": KP},
    "dfa": {"rule": "dfa"},
    "dfa_kp": {"rule": "dfa", "learn": KP},
    "ldfa": {"rule": "ldfa", "rank": 1, "learn": "fixed"},
    "ldfa_oja_kp": {"rule": "ldfa", "rank": 1},
    "ldfa_local": {"rule": "ldfa", "rank": 1, "learn": "local"},
    "direct_ldfa": {"rule": "direct_ldfa", "rank": 1, "learn": "fixed"},
    "direct_ldfa_oja_kp": {"rule": "direct_ldfa", "rank": 1},
    "shallow": {"rule": "shallow"},
}
"""Every short-hand. Rank 1 fits between any two layers."""
LR = 0.05


def homogeneous(layers: Layers) -> Layers:
    """With `leaky_relu` in the place of every `tanh`, and without norms, below which no layer balances."""
    left = (layer for layer in layers if layer["kind"] != "layer_norm")
    return tuple({"kind": "leaky_relu"} if layer["kind"] == "tanh" else layer for layer in left)


WEIGHTED = {
    kind: homogeneous(LAYERS[kind])
    for kind in LAYERS
    # past a layer with an adapter errors go two ways, and neither alone balances
    if kind.startswith(("linear", "conv")) and not any("adapter" in layer for layer in LAYERS[kind])
}
WEIGHTED["conv_transpose2d groups"] = (
    conv2d("d", 4, 3, padding="same"),
    {"kind": "relu"},
    conv2d("t1", 6, 3, stride=2, groups=2) | {"kind": "conv_transpose2d"},
    {"kind": "leaky_relu"},
    conv2d("t2", 3, 2, bias=False) | {"kind": "conv_transpose2d"},
)
"""Whose output is a map."""


def batch(layers: Layers, shape: tuple[int, ...]) -> tuple[Data, Any, Any]:
    """The spec with backpropagation, and a batch: labels where the output is a vector, targets where it is a map."""
    out = lowered(spec(layers, shape=shape, loss="mse")).nodes[-1].shape
    assert out is not None
    rng = np.random.default_rng(1)
    x = rng.standard_normal((6, *shape))
    if len(out) == 1:
        return spec(layers, shape=shape, update={"rule": "sgd", "lr": LR}), x, rng.integers(0, out[0], 6)
    data = spec(layers, shape=shape, update={"rule": "sgd", "lr": LR}, loss="bce")
    return data, x, rng.random((6, *out))


def opened(data: Data) -> Session:
    """With biases away from zero: a term that is zero can hide a mistake."""
    session = fac.compile(data, backend="reference", precision="float64").open()
    state, rng = session.state(), np.random.default_rng(0)
    session.load_state(
        {n: 0.2 * rng.standard_normal(a.shape) if n.endswith(".bias") else a for n, a in state.items()}
    )
    return session


def obeyed(data: Data, x: Any, y: Any) -> tuple[set[str], set[str]]:
    """Hold both laws where they are said to hold; the layers that are balanced, and those that conserve something.

    What is conserved grows by a r + b r^2 in a step of plain SGD at a rate r, with a = 0.
    """
    said = list(balances(lowered(data)))
    balanced = {b.node.name for b in said if not b.faults}
    kept = {b.node.name for b in said if b.partner is not None}
    session = opened(data)
    state, start = session.state(), session.probe(x, y)
    assert {n for n in start if n.endswith((".balance", ".conserved"))} == {
        *(f"{name}.balance" for name in balanced),
        *(f"{name}.conserved" for name in kept),
    }
    for name in balanced:
        assert start[f"{name}.balance"] <= 1e-12, name
    grown = []
    for rate in (LR, LR / 2):
        session.step(x, y, lr=rate)
        after = session.probe(x, y)
        grown.append({name: after[f"{name}.conserved"] - start[f"{name}.conserved"] for name in kept})
        session.load_state(state)
    for name in kept:
        linear_part = 4 * grown[1][name] - grown[0][name]
        assert abs(linear_part) <= 1e-12 * (1 + abs(start[f"{name}.conserved"])), name
    return balanced, kept


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", WEIGHTED)
def test_t10_t15_below_every_weighted_layer(kind: str, rule: str) -> None:
    """All hidden layers balance, and all conserve something, but for fixed direct routes, as to maps from a map."""
    data, x, y = batch(WEIGHTED[kind], SHAPES.get(kind.removesuffix(" groups"), (5,)))
    hidden = [node.name for node in lowered(data).weighted][:-1]
    balanced, kept = obeyed(data | {"feedback": RULES[rule]}, x, y)
    if rule == "shallow":
        assert not balanced
        return
    assert balanced == set(hidden)
    last = hidden[-1:] if data["layers"][-1]["kind"] == "linear" else ()
    assert kept == set(last if rule in ("dfa", "direct_ldfa") else hidden)


def test_a_kernel_above_a_direct_route_conserves_nothing_unless_it_reads_one_place() -> None:
    """A fixed matrix to a map has rows for each place of it: <F, W'> is not even written."""
    said = "nothing is conserved at `a`: no weight follows an error that comes directly from `loss`"
    for size, expected in ((6, [said]), (1, [])):
        layers = (conv2d("a", 4, 3, padding="same"), {"kind": "relu"}, conv2d("mask", 1, 1))
        data, x, y = batch(layers, (1, size, size))
        data |= {"feedback": {"rule": "dfa"}, "probes": ({"kind": "conservation"},)}
        assert [d.message for d in fac.check(data) if d.rule.code == "FAC328"] == expected
        assert obeyed(data, x, y) == ({"a"}, set() if expected else {"a"})


# -- random networks ------------------------------------------------------------------------------------------


def grown(rng: np.random.Generator) -> Iterator[Data]:
    """Two to four convolutions of random kinds on [2, 4, 4], other layers between them, and an output."""
    between: tuple[Layers, ...] = (
        (),
        ({"kind": "relu"},),
        ({"kind": "leaky_relu"}, {"kind": "max_pool2d", "kernel": 2, "stride": 1}),
        ({"kind": "upsample", "scale_factor": 2}, {"kind": "relu"}, {"kind": "max_pool2d", "kernel": 2}),
        ({"kind": "dropout", "rate": 0.3}, {"kind": "avg_pool2d", "kernel": 2, "stride": 1}),
        ({"kind": "batch_norm"}, {"kind": "tanh"}),
    )
    for number in range(int(rng.integers(2, 5))):
        kernel, groups = int(rng.integers(1, 4)), int(rng.choice([1, 1, 2]))
        layer = conv2d(f"c{number}", int(rng.choice([2, 4])), kernel, groups=groups, padding=kernel // 2)
        kind = rng.choice(["conv2d", "conv2d", "conv_transpose2d", "conv_transpose2d", "residual"])
        if kind == "residual":
            layer |= {"kernel": 3, "padding": "same"}
            layer = {
                "kind": "residual",
                "name": f"r{number}",
                "body": ({"kind": "relu"}, layer),
                "shortcut": (conv2d("skip", layer["out"], 1),),
            }
        elif kind == "conv_transpose2d":
            layer |= {"kind": kind, "stride": 1 + (number == 0)}
        yield layer
        yield from between[int(rng.integers(len(between)))]
    yield from (
        (conv2d("mask", 1, 1),),
        (conv2d("mask", 2, 2, stride=2) | {"kind": "conv_transpose2d"},),
        ({"kind": "flatten"}, linear("head", 3)),
        ({"kind": "global_avg_pool"}, linear("head", 3)),
    )[int(rng.integers(4))]


@pytest.mark.parametrize("seed", range(6))
def test_random_networks_measure_what_they_are_said_to_under_every_rule(seed: int) -> None:
    """Compiled with the probes that a spec without `probes` has; see `obeyed`."""
    data, x, y = batch(tuple(grown(np.random.default_rng(seed))), (2, 4, 4))
    for feedback in RULES.values():
        obeyed(data | {"feedback": feedback}, x, y)
