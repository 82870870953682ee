"""How many directions of an error a layer has to see (Hanut and Kadmon 2025, arXiv 2502.20580)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fac.studies import Claim, Column, Lab, Measured, Results, Row, Study, Table

INPUTS, OUTPUTS, DIMENSION, STEPS = 64, 32, 4, 6000

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


def _flow(rule: str | None, rank: int, lab: Lab, seed: int) -> Measured:
    """|S - W2 W1|^2 / |S|^2 after 6,000 steps of the flow, and how well Q P agrees with W2^T."""
    route = f"{{through: fc2, matrix: {{kind: low_rank, rank: {rank}, {RULES[rule]}}}}}" if rule else ""
    changes = [f"feedback={{routes: [{route}]}}"] if rule else []
    if (
        rule == "normative"
    ):  # its gradient knows neither the batch nor the decay: its step is that of the flow
        changes.append("update.feedback={lr_scale: 0.0625, weight_decay: 0.0}")
    session = lab.open("linear.fac.yaml", *changes, seed=seed, precision="float64")
    s = teacher(seed)
    x = session.place(np.sqrt(INPUTS) * np.eye(INPUTS))
    y = session.place(np.sqrt(INPUTS) * s.T)
    for _ in range(STEPS):
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
    seeds = 1 if short else 3
    rows = [Row("bp", partial(_flow, None, 0), seeds)]
    rows += [Row(f"{rule}, r = {r}", partial(_flow, rule, r), seeds) for rule in RULES for r in ranks]
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
        says="64 inputs, 48 hidden and 32 output units, a teacher of rank d = 4, whitened inputs, 6,000 steps of the "
        "flow by .005 with a decay of .04.",
    )


def tables(short: bool) -> Sequence[Table]:
    """All of them."""
    return (threshold(short),)


STUDY = Study(
    "How many directions of an error a layer has to see",
    "Itamar Hanut and Jonathan Kadmon, arXiv 2502.20580.",
    tables,
)
