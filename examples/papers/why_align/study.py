"""Why feedback alignment aligns: as a criterion of stability at fixed points (after arXiv 2306.02325).

With residual e, J = df/dw and Pj, which is J with B in the place of W2^T, the update moves along Phi = Pj^T e, the
gradient is J^T e, and at e = 0 the Jacobian of Phi is Pj^T J. All of it is read off steps of the compiled update.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from fac.studies import Claim, Column, Lab, Measured, Results, Row, Study, Table, leads, trained
from fac.training.stability import kicked, stability

# -- fixed points ---------------------------------------------------------------------------------------------------

SAMPLES, OUTPUTS = 3, 2
UNIT = SAMPLES * OUTPUTS / 2
"""The learning rate that makes a step of `mse` one along the gradient of |f - y|^2 / 2."""
STARTS = {"+B^T": 1.0, "-B^T": -1.0, ".1 random": 0.1, "1.0 random": 1.0}
DIRECTIONS, KICK, RATE = 200, 1e-3, 0.02


def fixed_point(act: str, start: str, steps: int, lab: Lab, seed: int) -> Measured:
    """At weights whose answers are the targets, so that the error is zero."""
    session = lab.open(f"{act}.fac.yaml", seed=seed, precision="float64")
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((SAMPLES, 4))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    state = session.state()
    # B is stored in the shape of the weight that it stands for
    base = state["fc2.feedback.B"] if "B^T" in start else rng.standard_normal(state["fc2.weight"].shape)
    session.load_state(state | {"fc2.weight": STARTS[start] * base})
    found = stability(session, x)
    product = found.pseudo.T @ found.outputs
    cosines = found.cosines(rng.standard_normal((DIRECTIONS, len(found.outputs))))
    return Measured(
        {
            "identity": float(np.linalg.norm(found.jacobian - product) / np.linalg.norm(product)),
            "real": UNIT * float(found.eigenvalues[0].real),
            "symmetric": UNIT * float(found.symmetric[0]),
            "cosine": float(cosines.mean()),
            "positive": float((cosines > 0).mean()),
            "moved": kicked(session, x, kick=KICK, rate=RATE * UNIT, steps=steps, seed=seed),
        }
    )


def points(short: bool) -> Table:
    """Alignment in every direction makes a fixed point stable; the converse does not hold."""
    seeds, steps = (3, 500) if short else (10, 10_000)
    names = {f"{act}, W2 = {start}": (act, start) for act in ("linear", "tanh") for start in STARTS}

    def every(found: Results, start: str, stable: bool) -> bool:
        sign = 1 if stable else -1
        return all(
            min(sign * value for value in found.values(f"{act}, W2 = {start}", "real")) > 0
            and all((value < 0.1) == stable for value in found.values(f"{act}, W2 = {start}", "moved"))
            for act in ("linear", "tanh")
        )

    def implied(found: Results) -> bool:
        pairs = [
            pair
            for row in found.rows
            for pair in zip(found.values(row, "symmetric"), found.values(row, "real"), strict=True)
        ]
        return all(real > 0 for symmetric, real in pairs if symmetric > 0) and any(
            real > 0 > symmetric for symmetric, real in pairs
        )

    return Table(
        "Stability and alignment at fixed points",
        [Row(name, partial(fixed_point, act, start, steps), seeds) for name, (act, start) in names.items()],
        (
            Column("min Re λ", "real", "+.2f"),
            Column("min λ of sym K", "symmetric", "+.2f"),
            Column("mean cos", "cosine", "+.2f"),
            Column("cos > 0", "positive", ".2f"),
            Column("moved", "moved", ".2g"),
        ),
        [
            Claim(
                "the Jacobian of the update is Pj^T J, to 1e-7, for every seed",
                lambda found: all(max(found.values(row, "identity")) < 1e-7 for row in found.rows),
            ),
            Claim(
                "W2 = +B^T is stable: no kick grows, for every seed",
                partial(every, start="+B^T", stable=True),
            ),
            Claim(
                "W2 = -B^T is unstable: every kick grows, for every seed",
                partial(every, start="-B^T", stable=False),
            ),
            Claim(
                "sym K > 0, which is cos > 0 for every error, is always stable; some points are stable without it",
                implied,
            ),
        ],
        says="4-8-2, three random samples of length 1, and for targets what the net answers: each is a fixed point. "
        "λ: of K = J Pj^T, the non-zero part of the spectrum of the update's Jacobian. cos: of update and gradient, "
        f"for 200 random errors. Moved: how far the weights are after a kick of length {KICK:g} and {steps} steps by "
        f"{RATE:g}.",
    )


# -- alignment is not accuracy --------------------------------------------------------------------------------------


MATRIX = "fc1.error.matrix_cosine"


def narrow(short: bool) -> Table:
    """Narrow layers align better and do worse."""
    rows = {h: f"fa, h = {h}" for h in (2, 10, 400)}
    shallow = [(f"shallow, h = {h}", h) for h in rows]
    seeds = 1 if short else 5
    measured = [
        Row(name, trained("narrow.fac.yaml", f"layers.fc1.out={h}"), seeds) for h, name in rows.items()
    ]
    measured += [
        Row(name, trained("narrow.fac.yaml", f"layers.fc1.out={h}", "feedback={rule: shallow}"), seeds)
        for name, h in shallow
    ]
    return Table(
        "Narrow layers align better and do worse",
        measured,
        (
            Column("accuracy %", "test_accuracy", ".1f", 100),
            Column("cos of samples", "fc1.error.cosine", ".2f"),
            Column("cos of batches", MATRIX, ".2f"),
        ),
        [
            leads(rows[2], rows[400], MATRIX, 0.4),
            leads(rows[400], rows[2], "test_accuracy", 0.3),
            leads(rows[10], rows[400], MATRIX, 0.4),
            leads(rows[400], rows[10], "test_accuracy", 0.015),
        ],
        says="Digits, 64-h-10, tanh, 20 epochs of SGD by .03 with momentum .9 in batches of 32. cos: between the error "
        "of the hidden layer and the true one, the mean over samples, and over a batch as one matrix.",
        curves=(MATRIX,),
    )


def tables(short: bool) -> Sequence[Table]:
    """All of them."""
    return (points(short), narrow(short))


STUDY = Study(
    "Why feedback aligns",
    "After arXiv 2306.02325; the fixed points and nets are ours.",
    tables,
)
