"""A plug-in of several families, with nothing but `fac.plugin`: as a user writes it, in a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import sqrt, tanh
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from fac.plugin import (
    About,
    Builder,
    Curve,
    Data,
    DataKind,
    Dataset,
    DType,
    Ends,
    Expansion,
    Layer,
    LayerKind,
    Logger,
    LoggerKind,
    Loss,
    LossKind,
    Matrix,
    MatrixKind,
    Phase,
    Probe,
    ProbeKind,
    Program,
    Rule,
    RuleKind,
    Schedule,
    ScheduleKind,
    ShapeError,
    ShortHand,
    Signals,
    Split,
    State,
    Sweeps,
    Updated,
    UpdateKind,
    Value,
    layerwise,
    same_shape,
    through,
)


class Squash(Layer):
    """1.7 tanh(2 x / 3) (LeCun et al. 1998)."""

    kind: Literal["squash"] = "squash"


def squash(b: Builder, layer: Squash, inputs: Any, state: Any, mode: Any) -> Value:
    (x,) = inputs
    return b.mul(b.emit("tanh", b.mul(x, 2 / 3)), 1.7)


class Ternary(Matrix):
    """s round(W / s) held to -1, 0 and 1, transposed; s is the mean of |W|."""

    kind: Literal["ternary"] = "ternary"


def rounded(b: Builder, weight: Value) -> Value:
    """-s, 0 or s: of W / s whatever lies below -1/2, between, or above 1/2."""
    size = b.mean(b.maximum(weight, b.neg(weight)), (0, 1))
    steps = b.add(b.div(weight, size), 1e-12)  # the middle of two is no number of either
    up, down = (b.cast(b.less(0.5, sign), DType.FLOAT) for sign in (steps, b.neg(steps)))
    return b.mul(b.sub(up, down), size)


def ternary(b: Builder, matrix: Ternary, state: State, signals: Signals) -> Value:
    assert signals.weight is not None
    return signals.sent(b, signals.error, rounded(b, signals.weight))


def misfit(matrix: Ternary, ends: Ends) -> ShapeError | None:
    if ends.weight is not None:
        return None
    return ShapeError("a `to` route has no weight to round", "use it on a `through` route", "kind")


class TernaryFeedback(ShortHand):
    """Ternary weights on the way back, layer by layer."""

    rule: Literal["ternary_feedback"] = "ternary_feedback"


def expand(rule: TernaryFeedback, program: Program) -> Expansion:
    return Expansion(tuple(through(node, Ternary()) for node in layerwise(rule, program)))


class SignDescent(Rule):
    """w -= lr sign(g) (Bernstein et al. 2018)."""

    rule: Literal["sign_descent"] = "sign_descent"


def descend(
    b: Builder, rule: Rule, w: Value, gradient: Value, state: State, lr: Value, step: Value
) -> Updated:
    return Updated(b.sub(w, b.mul(b.emit("sign", gradient), lr)), {})


class InverseRoot(Schedule):
    """sqrt(k / (k + s)), s the steps since the warm-up (Vaswani et al. 2017, where k is its length)."""

    kind: Literal["inverse_root"] = "inverse_root"
    k: Annotated[int, Field(gt=0)] = 4


def inverse_root(schedule: InverseRoot, step: int, warm: int, steps_per_epoch: int, epochs: int) -> float:
    return sqrt(schedule.k / (schedule.k + max(0, step - warm)))


def as_python(schedule: InverseRoot, warmed: bool) -> tuple[str, ...]:
    past = "max(0, step - warm)" if warmed else "step"
    return (f"math.sqrt({schedule.k} / ({schedule.k} + {past}))",)


class Absolute(Loss):
    """The mean of |z - y| over samples and outputs."""

    kind: Literal["absolute"] = "absolute"


def absolute(b: Builder, loss: Absolute, output: Value, y: Value) -> Value:
    residual = b.sub(output, y)
    sizes = b.maximum(residual, b.neg(residual))
    return b.mean(sizes, tuple(range(len(output.type.shape))))


class WeightSize(Probe):
    """The norm of each weight."""

    kind: Literal["weight_size"] = "weight_size"


def sizes(b: Builder, probe: WeightSize, sweeps: Sweeps) -> Iterator[tuple[str, Value]]:
    for node in sweeps.program.nodes:
        if node.weight is not None:
            with b.at(node.name, Phase.PROBE):
                yield f"{node.name}.size", b.norm(sweeps.state[node.weight.name])


class Ring(Data):
    """Points of the plane, and whether they lie within the unit circle, as a number."""

    source: Literal["ring"] = "ring"
    samples: int = 64


def load(data: Ring, base: Path, precision: str) -> Dataset:
    x = np.random.default_rng(0).uniform(-1.5, 1.5, (2 * data.samples, 2)).astype(precision)
    y = (np.square(x).sum(1, keepdims=True) < 1).astype(precision)
    return Dataset(
        "ring", Split(x[: data.samples], y[: data.samples]), Split(x[data.samples :], y[data.samples :])
    )


class Lines(Logger):
    """A text with a line for each figure."""

    kind: Literal["lines"] = "lines"
    name: str = "lines.txt"


class Written:
    def __init__(self, logger: Lines, about: About) -> None:
        self.place, self.lines = about.folder / logger.name, [f"{about.name} {about.step}"]

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        self.lines += [f"{step} {name} {value!r}" for name, value in figures.items()]

    def close(self) -> None:
        self.place.write_text("\n".join(self.lines))


KINDS = (
    LayerKind("squash", Squash, same_shape, squash, curve=lambda _: Curve(lambda x: 1.7 * tanh(x * 2 / 3))),
    MatrixKind("ternary", Ternary, lambda *_: (), ternary, misfit=misfit),
    RuleKind("ternary_feedback", TernaryFeedback, expand, changes=True),
    UpdateKind("sign_descent", SignDescent, lambda _: (), descend),
    ScheduleKind("inverse_root", InverseRoot, inverse_root, as_python),
    LossKind("absolute", Absolute, False, absolute),
    ProbeKind("weight_size", WeightSize, sizes, {"size": "norms of weights"}, standard=False),
    DataKind("ring", Ring, load),
    LoggerKind("lines", Lines, Written),
)
