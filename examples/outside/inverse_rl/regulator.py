"""regulator.py: a plant under an expert's linear feedback, what an observer makes of it, and a step of both.

The "feedback matrix" here is the gain K of a regulator, u = -K x; it carries no error to any layer of a network. The
source `regulator` makes samples for `inverse_rl.py`; the layer `regulator_step` is the integration step that it makes
them with, as ops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, model_validator

from fac.plugin import (
    Builder,
    Data,
    DataFacts,
    DataKind,
    Dataset,
    Facts,
    LayerKind,
    Mode,
    ParametricLayer,
    Shape,
    ShapeError,
    Split,
    State,
    Tensor,
    Value,
)

Array = NDArray[np.float64]
Number = Annotated[float, Field(allow_inf_nan=False)]
Matrix = Annotated[tuple[tuple[Number, ...], ...], Field(min_length=1)]
Above = Annotated[float, Field(gt=0, allow_inf_nan=False)]
BANDS, IN_EACH = (0.001, 0.01, 0.1, 1.0, 10.0), 5
"""Sinusoids of the excitation: so many with random frequencies up to each of these, in Hz."""
FADE = 1e-9
"""Relative size below which a direction counts for none."""


# -- the plant and its expert ---------------------------------------------------------------------------------------


def riccati(a: Array, b: Array, q: Array, r: Array) -> Array:
    """S of A^T S + S A - S B R^-1 B^T S + Q = 0, the one that stabilises: from the stable half of the Hamiltonian.

    Args:
        a: [n, n].
        b: [n, m].
        q: [n, n], symmetric and not negative.
        r: [m], the diagonal of R.
    """
    n = len(a)
    values, vectors = np.linalg.eig(np.block([[a, -(b / r) @ b.T], [-q, -a.T]]))
    stable = vectors[:, np.argsort(values.real)[:n]]
    found = np.real(stable[n:] @ np.linalg.inv(stable[:n]))
    return np.asarray((found + found.T) / 2)


def reached(a: Array, b: Array) -> int:
    """Rank of [B, AB, A^2 B, ...], each block brought to length 1 so that powers of A do not hide directions."""
    blocks = [b / max(np.abs(b).max(), 1e-300)]
    for _ in a[1:]:
        block = a @ blocks[-1]
        blocks.append(block / max(np.abs(block).max(), 1e-300))
    return int(np.linalg.matrix_rank(np.hstack(blocks), tol=FADE))


class Plant(BaseModel):
    """x' = A x + B (u + v) [n], y = C x, u = -K x the expert's for the cost x^T Q x + u^T R u, v an excitation."""

    a: Matrix = Field(description="A [n][n].")
    b: Matrix = Field(description="B [n][m].")
    c: Matrix = Field(description="C [n][n], invertible: the observer is set output by output.")
    q: Matrix = Field(description="Q [n][n] of the expert's cost, symmetric and not negative.")
    r: tuple[Above, ...] = Field(
        description="The diagonal of R, m numbers; the first is what the learner knows."
    )

    @property
    def arrays(self) -> Mapping[str, Array]:
        """`a`, `b`, `c`, `q`, `r` as arrays."""
        return {name: np.array(getattr(self, name), dtype=np.float64) for name in "abcqr"}

    @property
    def expert(self) -> tuple[Array, Array]:
        """K [m, n] = R^-1 B^T S, and S [n, n]."""
        has = self.arrays
        s = riccati(has["a"], has["b"], has["q"], has["r"])
        return (has["b"].T @ s) / has["r"][:, None], s

    @model_validator(mode="after")
    def _sound(self) -> Self:
        n, m = len(self.a), len(self.r)
        for name, rows, columns in (("a", n, n), ("b", n, m), ("c", n, n), ("q", n, n)):
            found = getattr(self, name)
            if len(found) != rows or any(len(row) != columns for row in found):
                raise ValueError(
                    f"`{name}` has to be {rows} rows of {columns} numbers, as `a` and `r` have them"
                )
        has = self.arrays
        if not np.allclose(has["q"], has["q"].T) or np.linalg.eigvalsh(has["q"]).min() < -FADE:
            raise ValueError("`q` has to be symmetric, and no cost may be negative: x^T Q x >= 0")
        if (rank := reached(has["a"], has["b"])) < n:
            raise ValueError(
                f"the plant cannot be controlled: its input reaches {rank} of {n} directions (rank of [B, AB, ...]); "
                "change `a` or `b`"
            )
        if (rank := reached(has["a"].T, has["q"])) < n:
            raise ValueError(
                f"the cost sees {rank} of {n} directions (rank of [Q, A^T Q, ...]), so that no expert need stabilise "
                "the others; change `q`"
            )
        if np.linalg.matrix_rank(has["c"], tol=FADE * np.abs(has["c"]).max()) < n:
            raise ValueError("`c` has to be invertible: the observer sets the poles of outputs one by one")
        return self


# -- one step of its equations --------------------------------------------------------------------------------------


def closed(plant: Plant, poles: Sequence[float]) -> tuple[Array, Array]:
    """M [2n, 2n] and N [2n, m] of z' = M z + N v, where z = (x, x^) and v is the excitation.

    The observer x^' = A x^ + B (u + v) + L (y - C x^) has A - L C = C^-1 diag(poles) C.
    """
    has, (k, _) = plant.arrays, plant.expert
    a, b, c = has["a"], has["b"], has["c"]
    lc = a - np.linalg.solve(c, np.diag(poles) @ c)
    m = np.block([[a - b @ k, np.zeros_like(a)], [lc - b @ k, a - lc]])
    return m, np.vstack([b, b])


def step_matrices(m: Array, n: Array, h: float) -> tuple[Array, tuple[Array, Array, Array]]:
    """A step of Runge and Kutta's fourth order: z <- P z + Q0 v(t) + Q1 v(t + h/2) + Q2 v(t + h).

    The equations are linear, so that the four stages are these four matrices.
    """
    one, hm = np.eye(len(m)), h * m
    p = one + hm @ (one + hm @ (one + hm @ (one + hm / 4) / 3) / 2)
    q0 = h / 6 * (one + hm + hm @ hm / 2 + hm @ hm @ hm / 4) @ n
    q1 = h / 6 * (4 * one + 2 * hm + hm @ hm / 2) @ n
    return p, (q0, q1, h / 6 * n)


class RegulatorStep(Plant, ParametricLayer):
    """(x, x^, v(t), v(t + h/2), v(t + h)) [2n + 3m] to (x, x^, u) a step later [2n + m], u = -(1 + d) K x.

    d [m], zero at first, is what may be learned of the gain: derivatives go through all four stages.
    """

    kind: Literal["regulator_step"] = "regulator_step"
    poles: tuple[Number, ...] = Field(
        (-0.1, -1.5, -2.0), description="Of the observer's error, one for each output."
    )
    step: Above = Field(0.01, description="h in seconds.")


def stepped(layer: RegulatorStep, name: str, inputs: Sequence[Shape]) -> Facts:
    """Vectors, and d."""
    n, m = len(layer.a), len(layer.r)
    if len(layer.poles) != n:
        raise ShapeError(f"`{name}` has an observer of {n} poles", f"write {n} numbers", "poles")
    if tuple(inputs) != ((2 * n + 3 * m,),):
        raise ShapeError(
            f"`{name}` reads x, x^ and the excitation at three times, {2 * n + 3 * m} numbers",
            f"write `input: {{shape: [{2 * n + 3 * m}]}}`",
        )
    return Facts((2 * n + m,), (Tensor(f"{name}.gain", (m,), "zeros", trainable=layer.trainable),))


def step(b: Builder, layer: RegulatorStep, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The four stages."""
    n, m, h = len(layer.a), len(layer.r), layer.step
    moves, pushes = (b.array(matrix) for matrix in closed(layer, layer.poles))
    gain = b.array(layer.expert[0])

    def part(of: Value, first: int, count: int) -> Value:
        return b.crop(of, (0, first), (0, cast(int, of.type.shape[1]) - first - count))

    def flow(z: Value, v: Value) -> Value:
        learned = b.mul(b.matmul(part(z, 0, n), gain, tb=True), state["gain"])
        return b.add(b.matmul(z, moves, tb=True), b.matmul(b.sub(v, learned), pushes, tb=True))

    z = part(inputs[0], 0, 2 * n)
    now, half, then = (part(inputs[0], 2 * n + m * k, m) for k in range(3))
    first = flow(z, now)
    second = flow(b.add(z, b.mul(first, h / 2)), half)
    third = flow(b.add(z, b.mul(second, h / 2)), half)
    last = flow(b.add(z, b.mul(third, h)), then)
    middle = b.mul(b.add(second, third), 2)
    z = b.add(z, b.mul(b.add(b.add(first, middle), last), h / 6))
    u = b.mul(b.matmul(part(z, 0, n), gain, tb=True), b.sub(-1.0, state["gain"]))
    return b.concat(z, u, axis=1)


# -- samples --------------------------------------------------------------------------------------------------------


class Regulator(Plant, Data):
    """Samples (x^, u) of a trajectory, in the order of time, and what the rows of `cost_rows` have to come to.

    x(0) = 1, x^(0) = 2; v has 25 sinusoids for each input, five each with frequencies up to .001, .01, .1, 1, 10 Hz.
    The test samples are of another excitation, and x^ = x from the start.
    """

    source: Literal["regulator"] = "regulator"
    poles: tuple[Number, ...] = Field(
        (-0.1, -1.5, -2.0), description="Of the observer's error, one for each output."
    )
    duration: Above = Field(300.0, description="Seconds of the training trajectory.")
    test: Above = Field(10.0, description="Seconds of the test trajectory.")
    every: Above = Field(0.05, description="Seconds from one sample to the next.")
    step: Above = Field(0.01, description="Of the integration, in seconds; `every` is a multiple of it.")
    excitation: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        1.0, description="Amplitude of each sinusoid."
    )
    seed: int = Field(0, ge=0, description="Of frequencies and phases.")

    @model_validator(mode="after")
    def _timed(self) -> Self:
        if len(self.poles) != len(self.a) or max(self.poles) >= 0:
            raise ValueError(
                f"`poles` has to be {len(self.a)} negative numbers: the observer's error fades by them"
            )
        steps = self.every / self.step
        if abs(steps - round(steps)) > FADE or round(steps) < 1:
            raise ValueError(
                f"`every` has to be a multiple of `step`, and {self.every:g} / {self.step:g} is none"
            )
        for name in ("duration", "test"):
            if getattr(self, name) < self.every:
                raise ValueError(f"`{name}` is shorter than the {self.every:g} s from one sample to the next")
        largest = np.abs(np.linalg.eigvals(step_matrices(*closed(self, self.poles), self.step)[0])).max()
        if largest >= 1:
            raise ValueError(
                f"a `step` of {self.step:g} s is too long for these equations: each would grow errors by "
                f"{largest:.3g}; make it shorter, or the poles slower"
            )
        return self


def excitation(data: Regulator, number: int) -> Any:
    """v(t), [len(t), m], of times t in seconds."""
    rng = np.random.default_rng((data.seed, number))
    shape = (len(data.r), len(BANDS) * IN_EACH)
    frequency = rng.uniform(0, 1, shape) * np.repeat(BANDS, IN_EACH)
    phase = rng.uniform(0, 2 * np.pi, shape)
    return lambda t: data.excitation * np.sin(2 * np.pi * frequency * t[:, None, None] + phase).sum(2)


def trajectory(data: Regulator, seconds: float, number: int, guess: float) -> tuple[Array, Array, Array]:
    """x, x^ and u, [samples, n or m], from x = 1 and x^ = guess on."""
    n, ratio = len(data.a), round(data.every / data.step)
    steps = int(seconds / data.every + FADE) * ratio
    at = excitation(data, number)
    times = data.step * np.arange(2 * steps + 1) / 2
    v = at(times)
    p, excited = step_matrices(*closed(data, data.poles), data.step)
    pushes = sum(v[k : k + 2 * steps : 2] @ q.T for k, q in enumerate(excited))
    z = np.concatenate([np.ones(n), np.full(n, guess)])
    kept = np.empty((steps // ratio, 2 * n))
    for number_, push in enumerate(np.asarray(pushes), 1):
        z = p @ z + push
        if number_ % ratio == 0:
            kept[number_ // ratio - 1] = z
    k, _ = data.expert
    return kept[:, :n], kept[:, n:], -kept[:, :n] @ k.T


def load(data: Regulator, base: Path, precision: str) -> Dataset:
    """x [N, n + m] is (x^, u); y [N, 1 + m, 1] is (-u_1^2 r_1, -2 u_1 r_1, 0, ...)."""

    def split(seconds: float, number: int, guess: float) -> Split:
        _, seen, u = trajectory(data, seconds, number, guess)
        y = np.zeros((len(u), 1 + len(data.r), 1))
        y[:, 0, 0] = -(u[:, 0] ** 2) * data.r[0]
        y[:, 1, 0] = -2 * u[:, 0] * data.r[0]
        return Split(np.hstack([seen, u]).astype(precision), y.astype(precision))

    return Dataset("regulator", split(data.duration, 0, 2.0), split(data.test, 1, 1.0))


def facts(data: Regulator) -> DataFacts:
    """What is known before the trajectory is."""
    n, m = len(data.a), len(data.r)
    return DataFacts(
        (n + m,), 1 + m, classes=False, train=int(data.duration / data.every + FADE), within=(-np.inf, np.inf)
    )


KINDS = (
    DataKind("regulator", Regulator, load, facts=facts),
    LayerKind("regulator_step", RegulatorStep, stepped, step),
)
