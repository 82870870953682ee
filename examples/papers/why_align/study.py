"""Why feedback alignment aligns: as a criterion of stability at fixed points (after arXiv 2306.02325).

With residual e, J = df/dw and Pj, which is J with B in the place of W2^T, the update moves along Phi = Pj^T e, the
gradient is J^T e, and at e = 0 the Jacobian of Phi is Pj^T J. All of it is read off steps of the compiled update.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fac.backend import Session
from fac.studies import Claim, Column, Lab, Measured, Results, Row, Study, Table, leads, trained

Array = NDArray[np.float64]

# -- fixed points ---------------------------------------------------------------------------------------------------

SAMPLES, OUTPUTS = 3, 2
UNIT = SAMPLES * OUTPUTS / 2
"""The learning rate that makes a step of `mse` one along the gradient of |f - y|^2 / 2."""
STARTS = {"+B^T": 1.0, "-B^T": -1.0, ".1 random": 0.1, "1.0 random": 1.0}
DIRECTIONS, KICK, RATE = 200, 1e-3, 0.02


class Field:
    """The vector field of an update: what a step of rate one would move, as one vector of all weights."""

    def __init__(self, session: Session, x: Array) -> None:
        self._session, self._x, self._state = session, x, session.state()
        self._names = [name for name in self._state if name.endswith(".weight")]

    @property
    def weights(self) -> Array:
        """[48]."""
        state = self._session.state()
        return np.concatenate([state[name].ravel() for name in self._names])

    def place(self, w: Array) -> None:
        """Set the weights; feedback stays."""
        start = 0
        for name in self._names:
            shape, size = self._state[name].shape, self._state[name].size
            self._state[name] = w[start : start + size].reshape(shape)
            start += size
        self._session.load_state(self._state)

    def answers(self) -> Array:
        """f [samples, outputs]."""
        return np.asarray(self._session.forward(self._x), np.float64)

    def at(self, w: Array, y: Array) -> Array:
        """Phi(w) under targets y."""
        self.place(w)
        self._session.step(self._x, y, lr=UNIT)
        return w - self.weights

    def follow(self, w: Array, y: Array, steps: int) -> Array:
        """The weights after small steps along -Phi."""
        self.place(w)
        for _ in range(steps):
            self._session.step(self._x, y, lr=RATE * UNIT)
        return self.weights

    def pulled(self, w: Array, f: Array) -> Array:
        """What each unit error moves, [weights, samples * outputs]: J^T of backpropagation, Pj^T of feedback."""
        units = np.eye(f.size).reshape(-1, *f.shape)
        return np.stack([self.at(w, f - e) for e in units], 1)


def _jacobian(field: Field, w: Array, y: Array, by: float = 1e-5) -> Array:
    """dPhi / dw by central differences."""
    columns = [
        (field.at(w + by * unit, y) - field.at(w - by * unit, y)) / (2 * by) for unit in np.eye(w.size)
    ]
    return np.stack(columns, 1)


def fixed_point(act: str, start: str, steps: int, lab: Lab, seed: int) -> Measured:
    """At weights whose answers are the targets, so that the error is zero."""
    session = lab.open(f"{act}.fac.yaml", seed=seed, precision="float64")
    true = lab.open(f"{act}.fac.yaml", "feedback={rule: bp}", seed=seed, precision="float64")
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((SAMPLES, 4))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    state = session.state()
    # B is stored in the shape of the weight that it stands for
    base = state["fc2.feedback.B"] if "B^T" in start else rng.standard_normal(state["fc2.weight"].shape)
    session.load_state(state | {"fc2.weight": STARTS[start] * base})
    field, gradient = Field(session, x), Field(true, x)
    w, y = field.weights, field.answers()
    pj, j = field.pulled(w, y), gradient.pulled(w, y)  # [weights, errors] each
    moves, k = _jacobian(field, w, y), j.T @ pj
    real = np.linalg.eigvals(k).real.min()
    errors = rng.standard_normal((y.size, DIRECTIONS))
    phi, true_gradient = pj @ errors, j @ errors
    cosines = (
        (phi * true_gradient).sum(0) / np.linalg.norm(phi, axis=0) / np.linalg.norm(true_gradient, axis=0)
    )
    kick = rng.standard_normal(w.size)
    moved = field.follow(w + KICK * kick / np.linalg.norm(kick), y, steps) - w
    return Measured(
        {
            "identity": float(np.linalg.norm(moves - pj @ j.T) / np.linalg.norm(moves)),
            "real": float(real),
            "symmetric": float(np.linalg.eigvalsh(k + k.T).min() / 2),
            "cosine": float(cosines.mean()),
            "positive": float((cosines > 0).mean()),
            "moved": float(np.linalg.norm(moved)),
        }
    )


def stability(short: bool) -> Table:
    """Alignment in every direction makes a fixed point stable; the converse does not hold."""
    seeds, steps = (3, 4000) if short else (10, 10_000)
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
    seeds = 2 if short else 5
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
    return (stability(short), narrow(short))


STUDY = Study(
    "Why feedback aligns",
    "After arXiv 2306.02325; the fixed points and nets are ours.",
    tables,
)
