"""Fixed points of learning, and whether they attract (after arXiv 2306.02325; the equations are derived).

A step of plain SGD follows a field: w <- w - lr Phi(w). For a loss of squares on samples that the network fits, so that
the error e = f(w) - y is zero, let J = df/dw [NC, n] and let P [NC, n] be J with the feedback matrices in the place of
the weights that they replace: Phi = P^T e up to the factor s of the loss. Then

    dPhi/dw = s P^T J           the fixed point attracts if every eigenvalue but zero has a positive real part;
                                those that are zero belong to the solutions around it
    de/dt   = -s K e            K = J P^T has the same eigenvalues but zero
    cos(P^T e, J^T e) > 0       for all e if and only if K + K^T is positive, which is sufficient and not necessary

All is measured by differences of the step and of the forward pass as they were compiled, so that rules, layers and
backends need nothing for it. It takes 2 n steps: for small networks, in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fac.backend import STEP, Array, Session
from fac.diagnostics import FacError

MOST = 2000
"""Parameters: their Jacobian has as many squared numbers."""
ZERO = 1e-6
"""Eigenvalues below this share of the largest are those of the solutions around: differences are as exact as that."""
STRIDE = 1e-5
"""Of the differences, for weights of order one: the root of it squared is their error, and rounding is no larger."""


@dataclass(frozen=True, slots=True)
class Stability:
    """What the field of learning is like around a state."""

    field: Array
    """Phi [n], of the parameters in the order of `names`, each laid out row by row."""
    jacobian: Array
    """dPhi/dw [n, n]."""
    outputs: Array
    """J = df/dw [NC, n]."""
    pseudo: Array
    """s P [NC, n]: what a unit error of each output adds to Phi."""
    names: tuple[str, ...]

    @property
    def eigenvalues(self) -> Array:
        """Of dPhi/dw, without those that are zero; the one of the smallest real part first."""
        found = np.linalg.eigvals(self.jacobian)
        found = found[np.abs(found) > ZERO * np.abs(found).max(initial=0)]
        return np.asarray(found[np.argsort(found.real)])

    @property
    def stable(self) -> bool:
        """Whether the state, if it is a fixed point, attracts."""
        found = self.eigenvalues
        return bool(len(found)) and bool(found[0].real > 0)

    @property
    def symmetric(self) -> Array:
        """The eigenvalues of s (K + K^T) / 2, in rising order: all positive means aligned for every error."""
        k = self.outputs @ self.pseudo.T
        return np.asarray(np.linalg.eigvalsh((k + k.T) / 2))

    def cosines(self, errors: Array) -> Array:
        """cos(P^T e, J^T e) for each row e of `errors` [m, NC]: the field's with the gradient."""
        routed, true = errors @ self.pseudo, errors @ self.outputs
        sizes = np.linalg.norm(routed, axis=1) * np.linalg.norm(true, axis=1)
        return np.asarray((routed * true).sum(1) / sizes)


def stability(session: Session, x: Any, y: Any = None) -> Stability:
    """The field of learning around the state of a session, which it has again afterwards.

    Args:
        session: in float64, of a spec with one input, a loss on targets such as `mse`, plain `sgd` and feedback that
            stays as it is.
        x: samples.
        y: targets; by default what the network answers, so that the state is a fixed point.

    Raises:
        FacError: the precision is another, something else than parameters moves, or there are too many of them.
    """
    learner = _Learner(session, x)
    y = learner.answer if y is None else np.asarray(y, np.float64)
    jacobian, outputs = learner.differences(lambda: learner.field(y)), learner.differences(learner.forward)
    # The field is linear in the error; a unit of it at each output in turn is what its targets are short of.
    errors = np.eye(learner.answer.size).reshape(-1, *learner.answer.shape)
    none = learner.field(learner.answer)
    pseudo = np.array([learner.field(learner.answer - error) - none for error in errors])
    return Stability(learner.field(y), jacobian, outputs, pseudo, learner.names)


def kicked(
    session: Session, x: Any, y: Any = None, *, kick: float = 1e-3, rate: float, steps: int, seed: int = 0
) -> float:
    """How far from its state a session ends that is moved by `kick` in a random direction and then trained.

    Where the fixed point attracts that is of the order of `kick`. The session has its state again afterwards.

    Args:
        session: see `stability`, and so x and y.
        x: samples.
        y: targets.
        kick: how far, in the norm of all parameters.
        rate: learning rate of the steps, small enough for them to follow the flow.
        steps: how many.
        seed: of the direction.

    Raises:
        FacError: see `stability`.
    """
    learner = _Learner(session, x)
    y = learner.answer if y is None else y
    direction = np.random.default_rng(seed).standard_normal(learner.start.size)
    learner.put(learner.start + kick * direction / np.linalg.norm(direction))
    for _ in range(steps):
        session.step(x, y, lr=rate)
    moved = float(np.linalg.norm(learner.flat() - learner.start))
    session.load_state(learner.state)
    return moved


class _Learner:
    """A session as a field over the vector of its parameters."""

    def __init__(self, session: Session, x: Any) -> None:
        if session.precision != "float64":
            raise FacError(
                "differences of steps tell nothing in float32: open the session with precision float64"
            )
        self.session, self.x, self.state = session, x, session.state()
        self.names = tuple(slot.name for slot in session.compiled.state if slot.parameter)
        self.start = self.flat()
        if self.start.size > MOST:
            raise FacError(
                f"the network has {self.start.size:,} parameters: stability is measured up to {MOST:,}"
            )
        self.answer = np.asarray(session.forward(x), np.float64)
        self.field(self.answer)

    def flat(self) -> Array:
        """The parameters as one vector."""
        state = self.session.state()
        return np.concatenate([state[name].ravel() for name in self.names]) if self.names else np.zeros(0)

    def put(self, vector: Array) -> None:
        """Other parameters, with all else as at the start."""
        arrays, place = dict(self.state), 0
        for name in self.names:
            shape = self.state[name].shape
            size = self.state[name].size
            arrays[name] = vector[place : place + size].reshape(shape)
            place += size
        self.session.load_state(arrays)

    def field(self, y: Array) -> Array:
        """Phi: what a step of rate 1 takes from the parameters as they are, which stay."""
        before, own = self.session.state(), self.flat()
        self.session.step(self.x, y, lr=1.0)
        found, after = own - self.flat(), self.session.state()
        self.session.load_state(before)
        for name in before.keys() - {*self.names, STEP}:
            if not np.array_equal(before[name], after[name]):
                raise FacError(
                    f"a step moves `{name}`, too: stability is that of the parameters alone, under plain `sgd` and "
                    "feedback that is fixed"
                )
        return found

    def forward(self) -> Array:
        """f, all numbers of all samples."""
        return np.asarray(self.session.forward(self.x), np.float64).ravel()

    def differences(self, of: Callable[[], Array]) -> Array:
        """The derivative of a vector in the parameters, [numbers, n], by central differences."""
        columns = []
        for i in range(self.start.size):
            both = []
            for sign in (1, -1):
                moved = self.start.copy()
                moved[i] += sign * STRIDE
                self.put(moved)
                both.append(of())
            columns.append((both[0] - both[1]) / (2 * STRIDE))
        self.session.load_state(self.state)
        return np.array(columns).T
