"""How many directions of an error a layer has to see (Hanut and Kadmon 2025, arXiv 2502.20580)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fac.studies import Claim, Column, Lab, Measured, Results, Row, Study, Table, between, leads, trained

# -- the linear theory -------------------------------------------------------------------------------------------------

INPUTS, OUTPUTS, DIMENSION, TIME = 64, 32, 4, 30

_RANDOM = "init_Q: {kind: normal, std: 0.1443}"  # 48 ** -.5
RULES = {
    "fixed": f"read: {{rule: fixed}}, write: {{rule: fixed}}, {_RANDOM}",
    "kp only": f"read: {{rule: fixed}}, write: {{rule: kolen_pollack}}, {_RANDOM}",
    "oja_kp": f"read: {{rule: oja, rate: 0.5}}, write: {{rule: kolen_pollack}}, {_RANDOM}",
    "local": "read: {rule: local}, write: {rule: kolen_pollack}, init: svd",
    "normative": "read: {rule: normative}, write: {rule: normative}, init: svd",
}
ADAPTIVE = ("oja_kp", "local", "normative")


def teacher(seed: int) -> NDArray[np.float64]:
    """S [outputs, inputs] with four singular values from 3 to 1."""
    rng = np.random.default_rng(seed)
    u, _ = np.linalg.qr(rng.standard_normal((OUTPUTS, DIMENSION)))
    v, _ = np.linalg.qr(rng.standard_normal((INPUTS, DIMENSION)))
    return np.asarray(u * np.array([3, 7 / 3, 5 / 3, 1]) @ v.T)


def _flow(rule: str | None, rank: int, by: float, lab: Lab, seed: int) -> Measured:
    """|S - W2 W1|^2 / |S|^2 after steps of the flow by so much, and how well Q P agrees with W2^T."""
    route = f"{{through: fc2, matrix: {{kind: low_rank, rank: {rank}, {RULES[rule]}}}}}" if rule else ""
    changes = [f"update.lr={by * OUTPUTS / 2}", *([f"feedback={{routes: [{route}]}}"] if rule else [])]
    if (
        rule == "normative"
    ):  # its gradient knows neither the batch nor the decay: its step is that of the flow
        changes.append("update.feedback={lr_scale: 0.0625, weight_decay: 0.0}")
    session = lab.open("linear.fac.yaml", *changes, seed=seed, precision="float64")
    s = teacher(seed)
    x = session.place(np.sqrt(INPUTS) * np.eye(INPUTS))
    y = session.place(np.sqrt(INPUTS) * s.T)
    for _ in range(round(TIME / by)):
        session.step(x, y)
    state = session.state()
    figures = {"error": float(((s - state["fc2.weight"] @ state["fc1.weight"]) ** 2).sum() / (s**2).sum())}
    if rule:
        whole, w = state["fc2.feedback.Q"] @ state["fc2.feedback.P"], state["fc2.weight"].T
        figures["cosine"] = float((whole * w).sum() / np.linalg.norm(whole) / np.linalg.norm(w))
    return Measured(figures)


def _sharp(rule: str, found: Results) -> bool:
    at, below = found.values(f"{rule}, r = 4", "error"), found.values(f"{rule}, r = 2", "error")
    return max(at) <= 1e-3 and min(below) >= 0.03


def threshold(short: bool) -> Table:
    """The required rank is the dimension of the task, not the width."""
    ranks = (2, 4) if short else (1, 2, 4, 8, 32)
    seeds, by = (1, 0.02) if short else (3, 0.005)
    rows = [Row("bp", partial(_flow, None, 0, by), seeds)]
    rules = ADAPTIVE if short else tuple(RULES)  # claims are about those that adapt
    rows += [Row(f"{rule}, r = {r}", partial(_flow, rule, r, by), seeds) for rule in rules for r in ranks]
    return Table(
        "Linear theory: a sharp threshold at r = d",
        rows,
        (Column("relative error", "error", ".2g"), Column("cos(QP, W2^T)", "cosine", ".2f")),
        [
            Claim(
                f"{rule}: at r = d the error is at most 1e-3, at r = d / 2 at least .03, for every seed",
                partial(_sharp, rule),
            )
            for rule in ADAPTIVE
        ],
        says="64 inputs, 48 hidden and 32 output units, a teacher of rank d = 4, whitened inputs, "
        f"{round(TIME / by):,} steps of the flow by {str(by).lstrip('0')} with a decay of .04.",
    )


# -- accuracy by rank -----------------------------------------------------------------------------------------------

QUICK = "update.feedback={lr_scale: 10}"
LEARNERS: Mapping[str, tuple[str, str]] = {
    "fixed": ("fixed", ""),
    "kp only": ("kolen_pollack", ""),
    "oja_kp": ("oja_kp", ""),
    "oja_kp, Adam": ("oja_kp", ", rate: 0.5"),
    "local": ("local", ""),
    "normative": ("normative", ""),
}
"""What the rows are called, and the feedback of each: `learn`, and what else."""


def _adam(lr: float) -> str:
    return f"update={{rule: adam, lr: {lr}, schedule: cosine}}"


UPDATES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "digits.fac.yaml": {
        "bp": (),
        "shallow": (),
        "fixed": (),
        "kp only": (),
        "oja_kp": (),
        "oja_kp, Adam": (_adam(0.01), QUICK),
        "local": (_adam(0.01),),
        "normative": (_adam(0.01), QUICK),
    },
    "fashion.fac.yaml": {
        "bp": (),
        "bp, Adam": (_adam(0.001),),
        "shallow": (),
        "fixed": ("update.lr=0.005",),
        "kp only": ("update.lr=0.01",),
        "oja_kp": (),
        "oja_kp, Adam": (_adam(0.001), QUICK),
        "local": (_adam(0.003),),
        "normative": (_adam(0.001), QUICK),
    },
}
"""How the weights of each row move: as the spec says, but for these."""


def _low_rank(spec: str, name: str, rank: int, lab: Lab, seed: int) -> Measured:
    """A training, and the cosine between Q P and the matrix of its rank nearest to W^T: the mean over layers."""
    learn, more = LEARNERS[name]
    changes = (f"feedback={{rule: ldfa, rank: {rank}, learn: {learn}{more}}}", *UPDATES[spec][name])
    training = lab.train(spec, *changes, seed=seed)
    if training.measured.diverged:
        return training.measured
    state, cosines = training.session.state(), []
    for layer in (key.removesuffix(".feedback.P") for key in state if key.endswith(".feedback.P")):
        whole, w = (
            (state[f"{layer}.feedback.Q"] @ (p := state[f"{layer}.feedback.P"])),
            state[f"{layer}.weight"].T,
        )
        u, s, v = np.linalg.svd(w, full_matrices=False)
        best = u[:, : len(p)] * s[: len(p)] @ v[: len(p)]
        cosines.append(float((whole * best).sum() / np.linalg.norm(whole) / np.linalg.norm(best)))
    return Measured({**training.measured.figures, "best": float(np.mean(cosines))}, training.measured.curves)


def _by_rank(
    spec: str, title: str, ranks: Sequence[int], seeds: int, claims: Sequence[Claim], says: str
) -> Table:
    rows = [
        Row(name, trained(spec, f"feedback={{rule: {name.partition(',')[0]}}}", *UPDATES[spec][name]), seeds)
        for name in UPDATES[spec]
        if name not in LEARNERS
    ]
    rows += [
        Row(f"{name}, r = {rank}", partial(_low_rank, spec, name, rank), seeds, at=(name, rank))
        for rank in ranks
        for name in LEARNERS
    ]
    columns = (
        Column("accuracy %", "test_accuracy", ".1f", 100),
        Column("cos(QP, best of rank r)", "best", ".2f"),
    )
    return Table(title, rows, columns, claims, says, curves=("test_accuracy", "best"), over="rank")


def _within(row: str, low: float, high: float = 100) -> Claim:
    return between(row, "test_accuracy", low, high, scale=100)


def digits(short: bool) -> Table:
    """On the digits, where a minute is enough."""
    return _by_rank(
        "digits.fac.yaml",
        "Digits: accuracy by rank",
        (2, 9) if short else (1, 2, 5, 9),
        1 if short else 5,
        [
            _within("bp", 97),
            _within("shallow", 50, 87),
            _within("fixed, r = 9", 93.5),
            _within("kp only, r = 9", 93.5),
            _within("oja_kp, r = 9", 95),
            _within("local, r = 9", 96),
            _within("normative, r = 9", 96),
            leads("fixed, r = 9", "fixed, r = 2", "test_accuracy", 0.02),
            leads("fixed, r = 2", "oja_kp, r = 2", "test_accuracy", 0.05),
            leads("local, r = 2", "kp only, r = 2", "test_accuracy", 0.04),
            Claim(
                "normative: Q P is the rank-r matrix nearest to W^T (cosine above .99), for every seed",
                lambda found: all(
                    value > 0.99
                    for row in found.rows
                    if row.startswith("normative")
                    for value in found.values(row, "best")
                ),
            ),
        ],
        "64-32-32-10, relu, 20 epochs in batches of 32, a cosine by epoch. SGD .03 with momentum .9; local, normative "
        "and the rows that say so Adam .01, with ten times the rate for P and Q but in local. Accuracy on the 397 "
        "samples for testing after the last epoch.",
    )


def fashion() -> Table:
    """On Fashion-MNIST."""
    return _by_rank(
        "fashion.fac.yaml",
        "Fashion-MNIST: accuracy by rank",
        (1, 2, 5, 10, 20, 64),
        1,
        [
            _within("bp", 88.6, 89.6),
            _within("shallow", 82.9, 84.1),
            _within("fixed, r = 10", 82, 85.5),
            _within("kp only, r = 10", 84, 86.8),
            _within("oja_kp, r = 10", 88.1, 89.3),
            _within("local, r = 10", 87.5, 88.9),
            _within("normative, r = 10", 88.4, 89.5),
            leads("oja_kp, r = 10", "kp only, r = 10", "test_accuracy", 0.015),
        ],
        "784-512-512-512-10, relu, 5 epochs in batches of 128, a cosine to zero. SGD with momentum .9: bp, shallow and "
        "oja_kp .05, fixed .005, kp only .01. Adam: .001, and ten times that for P and Q, but local .003 for all. "
        "Accuracy on the 10,000 samples for testing after the last epoch. At the last layer the rank is 10 at most.",
    )


def tables(short: bool) -> Sequence[Table]:
    """All of them."""
    return (threshold(short), digits(short), *(() if short else (fashion(),)))


STUDY = Study(
    "How many directions of an error a layer has to see",
    "Itamar Hanut and Jonathan Kadmon, arXiv 2502.20580.",
    tables,
)
