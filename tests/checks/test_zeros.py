"""FAC216 and FAC319 against what training really does: what is said to stay zero does, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fac.backend import Session
from fac.pipeline import compile
from tests.checks.specs import KP, NET, SGD, Layers, chain, found, linear, routes
from tests.rules.nets import batch

ZEROS: dict[str, Any] = {"init": "zeros"}
STEPS = 5


def after_training(layers: Layers, feedback: Any, steps: int = STEPS) -> Session:
    """A session after a few steps. Biases start at zero, as they do for a user."""
    spec = {
        "fac": 1,
        "name": "zeros",
        "input": {"shape": (6,)},
        "layers": layers,
        "loss": {"kind": "cross_entropy"},
        "feedback": feedback,
        "update": SGD,
    }
    session = compile(spec, backend="reference", precision="float64").open(device="cpu")
    for step in range(steps):
        session.step(*batch(inputs=6, seed=step))
    return session


def still_zero(layers: Layers, feedback: Any) -> list[str]:
    """Places of the layers whose weights are zero after training."""
    state = after_training(layers, feedback).state()
    names = [layer.get("name", "") for layer in layers]
    stuck = [n for n in names if f"{n}.weight" in state and not state[f"{n}.weight"].any()]
    return [f"layers[{names.index(name)}].init" for name in stuck]


UNITS = ("silu", "elu", "selu", "softplus", "hardsigmoid", "hardswish", "abs", "exp", "softmax")
"""Softmax stands in no net that is zero as a whole: it gives equal units equal errors of sum 0, which are no zeros to
the check, and nothing moves."""
NETWORKS: dict[str, tuple[Layers, Any]] = {
    "behind a relu": (chain(8, **ZEROS)[:2] + chain(8)[2:], {"rule": "bp"}),
    "behind a relu, fed directly": (chain(8, **ZEROS)[:2] + chain(8)[2:], {"rule": "dfa"}),
    "behind a tanh": (chain(8, act="tanh", **ZEROS)[:2] + chain(8)[2:], {"rule": "bp"}),
    "behind a leaky relu": (chain(8, act="leaky_relu", **ZEROS)[:2] + chain(8)[2:], {"rule": "bp"}),
    "the last layer": ((*chain(8)[:2], linear("logits", 4, **ZEROS)), {"rule": "bp"}),
    "all, tanh": (chain(8, 8, act="tanh", **ZEROS), {"rule": "bp"}),
    **{f"all, {act}": (chain(8, 8, act=act, **ZEROS), {"rule": "bp"}) for act in UNITS if act != "softmax"},
    **{f"behind a {act}": (chain(8, act=act, **ZEROS)[:2] + chain(8)[2:], {"rule": "bp"}) for act in UNITS},
    "all, sigmoid": (chain(8, 8, act="sigmoid", **ZEROS), {"rule": "bp"}),
    "all, tanh, direct": (chain(8, 8, act="tanh", **ZEROS), {"rule": "dfa"}),
    "all, relu, direct": (chain(8, 8, **ZEROS), {"rule": "dfa"}),
    "all, no activation": (chain(8, 8, act=None, **ZEROS), {"rule": "bp"}),
    "all but the first, tanh": (
        (linear("fc1"), {"kind": "tanh"}, *chain(8, 8, act="tanh", **ZEROS)[2:]),
        {"rule": "bp"},
    ),
    "without bias": (chain(8, 8, act="tanh", bias=False, **ZEROS), {"rule": "dfa"}),
    "beside a skip": (
        (
            linear("fc1"),
            {"kind": "tanh", "name": "low"},
            linear("fc2", **ZEROS),
            {"kind": "tanh", "name": "high"},
            {"kind": "add", "name": "join", "from": ("low", "high")},
            linear("logits", 4),
        ),
        {"rule": "bp"},
    ),
    "below a zero that is frozen": (
        (linear("fc1", **ZEROS), {"kind": "tanh"}, linear("logits", 4, trainable=False, **ZEROS)),
        {"rule": "bp"},
    ),
    "fed through a fixed matrix": (
        chain(8, 8, act="tanh", **ZEROS),
        {"rule": "fa", "init": {"kind": "normal", "std": 1.0}},
    ),
}


def maps(*hidden: dict[str, Any]) -> Layers:
    """A kernel of zeros on small maps, what stands behind it, and the logits."""
    kernel = {"kind": "conv2d", "name": "c1", "out": 3, "kernel": (1, 2), **ZEROS}
    return (
        {"kind": "reshape", "shape": (1, 2, 3)},
        kernel,
        *hidden,
        {"kind": "flatten"},
        linear("logits", 4),
    )


RELU, NORM, POOL = (
    {"kind": "relu"},
    {"kind": "batch_norm", "name": "n1"},
    {"kind": "max_pool2d", "kernel": (1, 2)},
)
NETWORKS |= {
    "a kernel behind a relu": (maps(POOL, RELU), {"rule": "bp"}),
    "a kernel behind a norm and a relu": (maps(NORM, RELU, POOL), {"rule": "bp"}),
    "a kernel behind a norm and a relu, fed directly": (maps(NORM, RELU), {"rule": "dfa"}),
    "a kernel behind a norm and a tanh": (maps(NORM, {"kind": "tanh"}), {"rule": "dfa"}),
    "a kernel behind a frozen norm": (maps(NORM | {"trainable": False}, RELU), {"rule": "bp"}),
    "behind a layer norm and a relu": (
        (linear("fc1", **ZEROS), {"kind": "layer_norm"}, RELU, linear("logits", 4)),
        {"rule": "fa"},
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_reported_is_what_training_leaves_at_zero(name: str) -> None:
    layers, feedback = NETWORKS[name]
    reported = [place for code, place in found(layers, feedback=feedback) if code == "FAC216"]
    frozen = [f"layers[{i}].init" for i, layer in enumerate(layers) if not layer.get("trainable", True)]
    assert reported == [place for place in still_zero(layers, feedback) if place not in frozen]


def test_the_networks_are_no_trivial_ones() -> None:
    stuck = [bool(still_zero(*NETWORKS[name])) for name in NETWORKS]
    assert 5 <= sum(stuck) <= len(stuck) - 5


@pytest.mark.parametrize("law", [{"kind": "normal", "std": 0.0}, {"kind": "uniform", "bound": 0.0}])
def test_every_law_that_means_zero(law: dict[str, Any]) -> None:
    layers = (linear("fc1", init=law), {"kind": "relu"}, linear("logits", 4))
    assert found(layers) == [("FAC216", "layers[0].init")]


def through(**matrix: Any) -> dict[str, Any]:
    return routes({"through": "logits", "matrix": {"kind": "low_rank", "rank": 3} | matrix})


FIXED = {"rule": "fixed"}
LOCAL = {"read": {"rule": "local"}}
NORMATIVE = {"read": {"rule": "normative"}, "write": {"rule": "normative"}}

FEEDBACK: dict[str, tuple[Any, str | None]] = {
    "dfa": ({"rule": "dfa", "init": "zeros"}, "feedback.init"),
    "dfa, taught": ({"rule": "dfa", "init": "zeros", "learn": KP}, None),
    "fa, taught": ({"rule": "fa", "init": "zeros", "learn": KP}, None),
    "full": (
        routes({"to": "fc2", "matrix": {"kind": "random", "init": "zeros"}}),
        "feedback.routes[0].matrix.init",
    ),
    "P by Oja": (through(init_P="zeros"), "feedback.routes[0].matrix.init_P"),
    "P fixed": (through(init_P="zeros", read=FIXED), "feedback.routes[0].matrix.init_P"),
    "P local": (through(init_P="zeros", **LOCAL), None),
    "P normative": (through(init_P="zeros", **NORMATIVE), None),
    "Q taught": (through(init_Q="zeros"), None),
    "Q fixed": (through(init_Q="zeros", write=FIXED), "feedback.routes[0].matrix.init_Q"),
    "Q normative": (through(init_Q="zeros", **NORMATIVE), None),
    "both local": (through(init_P="zeros", init_Q="zeros", **LOCAL), "feedback.routes[0].matrix.init_Q"),
    "both normative": (
        through(init_P="zeros", init_Q="zeros", **NORMATIVE),
        "feedback.routes[0].matrix.init_Q",
    ),
}


@pytest.mark.parametrize("name", FEEDBACK)
def test_feedback_that_stays_zero(name: str) -> None:
    """The layers that live on it do not move, and only then is it reported."""
    feedback, place = FEEDBACK[name]
    decay = SGD | {"weight_decay": 0.01}
    assert [p for code, p in found(feedback=feedback, update=decay) if code == "FAC319"] == [place] * (
        place is not None
    )
    before, after = (after_training(NET, feedback, steps).state()["fc2.weight"] for steps in (0, STEPS))
    assert np.array_equal(before, after) == (place is not None)


def test_a_matrix_that_is_drawn_like_a_weight_of_zeros() -> None:
    layers = (*NET[:4], linear("logits", 4, **ZEROS))
    assert found(layers, feedback={"rule": "fa"}) == [("FAC319", "feedback.rule")]
    written = routes({"through": "logits"})
    assert found(layers, feedback=written) == [("FAC319", "feedback.routes[0].matrix.kind")]


def test_a_refresh_ends_the_zeros() -> None:
    assert found(feedback=through(init_P="zeros", refresh=10)) == []
