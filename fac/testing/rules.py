"""Every rule with two updates, every update with four rules: fifty steps in float64, one in float32."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import cycle

from fac.testing.case import Answers, Case, Subject, agreement
from fac.testing.nets import NET, Data, answers, batches, spec

RULES: dict[str, Data] = {
    "bp": {"rule": "bp"},
    "fa": {"rule": "fa"},
    "fa_kp": {"rule": "fa", "learn": {"rule": "kolen_pollack"}},
    "weight_mirror": {"rule": "fa", "learn": {"rule": "weight_mirror"}},
    "dfa": {"rule": "dfa"},
    "dfa_sparse": {"rule": "dfa", "mask": {"per_unit": 1}},
    "dfa_shared": {
        "rule": "dfa",
        "mask": {"per_unit": 2},
        "shared": True,
        "scale": 0.3,
        "learn": {"rule": "kolen_pollack"},
    },
    "dfa_kp": {"rule": "dfa", "learn": {"rule": "kolen_pollack"}},
    "forward_gradient": {"rule": "dfa", "learn": {"rule": "forward_gradient"}},
    "pair_forward_gradient": {
        "routes": (
            {"to": "fc*", "matrix": {"kind": "low_rank", "rank": 2, "write": {"rule": "forward_gradient"}}},
        )
    },
    **{
        f"ldfa_{learn}": {"rule": "ldfa", "rank": 2, "learn": learn}
        for learn in ("fixed", "kolen_pollack", "oja_kp", "local", "normative")
    },
    "ldfa_fed_back": {"rule": "ldfa", "rank": 2, "rate": 0.5, "error_feedback": True},
    "ldfa_refresh": {"rule": "ldfa", "rank": 2, "learn": "normative", "refresh": 7},
    **{
        f"direct_ldfa_{learn}": {"rule": "direct_ldfa", "rank": 2, "learn": learn}
        for learn in ("fixed", "kolen_pollack", "oja_kp")
    },
    # Not past the head: where weights to 3 outputs have one sign, its errors are sums that cancel, of which rounding
    # is left.
    "usf": {"rule": "usf", "nodes": "fc2"},
    "frsf": {"rule": "frsf"},
    "brsf": {"rule": "brsf", "init": {"kind": "normal", "std": 0.3}},
    # Signals that never vanish: small ones, for a ReLU has no bound.
    "drtp": {"rule": "drtp", "scale": 0.002},
    "dfa_signs": {"rule": "dfa", "signs": True, "scale": 0.001, "error_scale": "sum"},
    "shallow": {"rule": "shallow"},
    "frozen": {"rule": "frozen"},
    "subspace": {
        "subspaces": ({"name": "task", "of": "loss", "rank": 2, "basis": {"rule": "oja"}},),
        "routes": ({"to": "fc*", "from": "task", "matrix": {"kind": "random", "scale": 0.3}},),
    },
    "targets": {
        "subspaces": ({"name": "task", "of": "targets", "rank": 2, "basis": {"rule": "oja", "rate": 0.5}},),
        "routes": ({"to": "fc*", "from": "task", "matrix": {"kind": "random", "scale": 0.002}},),
    },
    "mixed": {
        "routes": (
            {"to": "fc1", "matrix": {"kind": "random"}, "combine": "add"},
            {"to": "fc1", "from": "fc2", "matrix": {"kind": "low_rank", "rank": 2}, "combine": "add"},
            {"through": "out", "matrix": {"kind": "transpose", "scale": 0.7}},
        )
    },
}
OF_TARGETS = {"drtp", "targets"}
"""Those that read targets in place of the error, which numbers do not stand for."""
UPDATES: dict[str, Data] = {
    "sgd": {"rule": "sgd", "lr": 0.05},
    "momentum": {"rule": "sgd", "lr": 0.05, "momentum": 0.9},
    "nesterov": {"rule": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "adam": {"rule": "adam", "lr": 0.01, "weight_decay": 0.01},
    "adamw": {"rule": "adamw", "lr": 0.01, "weight_decay": 0.1},
    "amsgrad": {"rule": "adamw", "lr": 0.01, "beta2": 0.9, "amsgrad": True},
    "rmsprop": {"rule": "rmsprop", "lr": 0.05, "eps": 1.0, "momentum": 0.7, "weight_decay": 0.01},
    "muon": {"rule": "muon", "lr": 0.02, "weight_decay": 0.1, "rest": {"rule": "sgd", "lr": 0.05}},
    "gram": {
        "rule": "gram_orthogonal",
        "lr": 0.02,
        "momentum": 0.5,
        "weight_decay": 0.1,
        "rest": {"rule": "sgd", "lr": 0.05},
    },
    "clip_value": {"rule": "sgd", "lr": 0.05, "momentum": 0.9, "clip": {"by": "value", "at": 0.05}},
    "clip_norm": {"rule": "sgd", "lr": 0.05, "momentum": 0.9, "clip": {"by": "norm", "at": 0.3}},
    "groups": {
        "rule": "sgd",
        "lr": 0.05,
        "groups": (
            {"match": "*.bias", "lr_scale": 0.5},
            {"match": "fc1.*", "use": {"rule": "adam", "lr": 0.01}},
        ),
        "feedback": {"lr_scale": 2.0, "weight_decay": 0.01},
    },
}
PLAIN, *OTHERS = UPDATES
PLAIN_RULE = "bp"
MEET_ALL = ("bp", "fa_kp", "ldfa_oja_kp", "mixed")
"""Rules that are crossed with each update: no matrices, full ones that learn by gradients, pairs of which one half has
next values of its own, and several routes at once."""
STEPS = {"float64": 50, "float32": 1}
"""In float32 a longer run would measure how fast rounding errors grow on this network, not the backend."""


FEW = 4
"""Rows of a batch, fewer than any side of a hidden weight: then `gram_orthogonal` goes by rows."""


def cases() -> Iterator[Case]:
    """The grid."""
    for rule, update in pairs():
        script = partial(run, crossed(rule, update), 7, rule == PLAIN_RULE)
        yield agreement("rule", f"{rule} x {update}", script)
    for rule in ("bp", "fa_kp", "dfa"):
        bare = UPDATES["gram"] | {"momentum": 0.0, "weight_decay": 0.0}
        few = spec(NET, RULES[rule], bare, train={"batch": FEW})
        yield agreement("rule", f"{rule} x gram of few rows", partial(run, few, FEW, False))


def pairs() -> Iterator[tuple[str, str]]:
    """Which rules meet which updates: each the plain one and another in turn, and some of them all.

    An update reads gradients, whatever made them, and a rule writes gradients and next values, whatever reads them:
    what a backend may take amiss between the two are few sorts of state. `step/` has rules with momentum and with Adam
    besides, `session/resumed` with one more each.
    """
    turn = cycle(OTHERS)
    for rule in RULES:
        yield from ((rule, update) for update in (UPDATES if rule in MEET_ALL else (PLAIN, next(turn))))


def crossed(rule: str, update: str) -> Data:
    """A spec of the grid. What is measured of a rule depends on no update, so only the first of them has probes."""
    found = spec(NET, RULES[rule], UPDATES[update])
    return found if update == PLAIN else found | {"probes": ()}


def run(data: Data, samples: int, network: bool, subject: Subject) -> Answers:
    """What a session says after steps whose learning rate falls; of `network`, which all rules share, only if asked."""
    steps = batches(*[samples] * STEPS[subject.precision])
    return answers(subject.open(data), steps, lambda step: 0.05 / (1 + 0.01 * step), network=network)
