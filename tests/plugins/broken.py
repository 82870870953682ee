"""A plug-in whose kinds break one law each, of those that hold of every kind."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from fac.plugin import (
    Builder,
    Data,
    DataFacts,
    DataKind,
    Dataset,
    Expansion,
    Facts,
    Layer,
    LayerKind,
    Loss,
    LossKind,
    Matrix,
    MatrixKind,
    ParametricLayer,
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
    Tensor,
    Updated,
    UpdateKind,
    Value,
    layerwise,
    same_shape,
    through,
)


class HalfStopped(Layer):
    """x sigmoid(x), of which one factor hands back no error."""

    kind: Literal["half_stopped"] = "half_stopped"


def half_stopped(b: Builder, layer: Any, inputs: Any, state: Any, mode: Any) -> Value:
    (x,) = inputs
    return b.mul(x, b.stop_gradient(b.emit("sigmoid", x)))


class Changing(Layer):
    """A factor times x, another factor each time that it is built."""

    kind: Literal["changing"] = "changing"


BUILT = itertools.count(1)


def changing(b: Builder, layer: Any, inputs: Any, state: Any, mode: Any) -> Value:
    return b.mul(inputs[0], 1 / next(BUILT))


class StoppedSquare(Loss):
    """(z - y)^2, half of whose derivative is lost."""

    kind: Literal["stopped_square"] = "stopped_square"


def stopped_square(b: Builder, loss: Any, output: Value, y: Value) -> Value:
    residual = b.sub(output, y)
    return b.mean(b.mul(residual, b.stop_gradient(residual)), (0, 1))


class Named(Layer):
    """Which function it is stands in a table that has only one."""

    kind: Literal["named"] = "named"
    name_of: str = "tanh"


def named(b: Builder, layer: Any, inputs: Any, state: Any, mode: Any) -> Value:
    return b.emit({"tanh": "tanh"}[layer.name_of], inputs[0])


class Drawn(ParametricLayer):
    """A scale with an initial law of any name."""

    kind: Literal["drawn"] = "drawn"
    law: str = "ones"


def drawn(layer: Any, name: str, inputs: Any) -> Facts:
    return Facts(inputs[0], (Tensor(f"{name}.scale", inputs[0], layer.law),))


def scaled(b: Builder, layer: Any, inputs: Any, state: State, mode: Any) -> Value:
    return b.mul(inputs[0], state["scale"])


class Divided(Matrix):
    """W^T / by."""

    kind: Literal["divided"] = "divided"
    by: float = 2.0


def divided(b: Builder, matrix: Any, state: State, signals: Signals) -> Value:
    weight = signals.weight
    assert weight is not None
    return signals.sent(b, signals.error, b.mul(weight, 1 / matrix.by))


class Nowhere(Matrix):
    """What can stand nowhere."""

    kind: Literal["nowhere"] = "nowhere"


class Secret(Matrix):
    """W^T times a number that no spec writes out."""

    kind: Literal["secret"] = "secret"
    _factor: float = PrivateAttr(1.0)

    def times(self, factor: float) -> Secret:
        self._factor = factor
        return self


def secret(b: Builder, matrix: Any, state: State, signals: Signals) -> Value:
    assert signals.weight is not None
    return signals.sent(b, signals.error, b.mul(signals.weight, matrix._factor))


def on_through(matrix: Any, ends: Any) -> Any:
    return None if ends.weight is not None else ShapeError("no weight", "use a `through` route", "kind")


class SecretFeedback(ShortHand):
    """Routes that mean less once they are written out."""

    rule: Literal["secret_feedback"] = "secret_feedback"


def secrets(rule: Any, program: Program) -> Expansion:
    return Expansion(tuple(through(node, Secret().times(0.5)) for node in layerwise(rule, program)))


class UnfitFeedback(ShortHand):
    """Routes with settings that nobody may write."""

    rule: Literal["unfit_feedback"] = "unfit_feedback"


class Level(Matrix):
    """W^T times a level above 0."""

    kind: Literal["level"] = "level"
    level: float = Field(0.5, gt=0)


def level(b: Builder, matrix: Any, state: State, signals: Signals) -> Value:
    assert signals.weight is not None
    return signals.sent(b, signals.error, b.mul(signals.weight, matrix.level))


def unfit(rule: Any, program: Program) -> Expansion:
    made = Level.model_construct(level=-1.0)
    return Expansion(tuple(through(node, made) for node in layerwise(rule, program)))


class Rooted(Rule):
    """w -= lr g / sqrt(n), n a whole number that may be none."""

    rule: Literal["rooted"] = "rooted"
    n: int = 4


def rooted(b: Builder, rule: Any, w: Value, g: Value, state: State, lr: Value, step: Value) -> Updated:
    return Updated(b.sub(w, b.mul(g, b.mul(lr, rule.n**-0.5))), {})


class Stray(Probe):
    """The norm of each weight, by a name that pictures do not know."""

    kind: Literal["stray"] = "stray"


def stray(b: Builder, probe: Any, sweeps: Sweeps) -> Iterator[tuple[str, Value]]:
    for node in sweeps.program.nodes:
        if node.weight is not None:
            with b.at(node.name, Phase.PROBE):
                yield f"{node.name}.extent", b.norm(sweeps.state[node.weight.name])


class Another(Data):
    """Other numbers each time."""

    source: Literal["another"] = "another"


COUNT = itertools.count()


def points(seed: int, precision: str, n: int = 8) -> Split:
    x = np.random.default_rng(seed).uniform(-1, 1, (n, 2)).astype(precision)
    return Split(x, (x[:, 0] > 0).astype(int))


def another(data: Any, base: Path, precision: str) -> Dataset:
    return Dataset("another", points(next(COUNT), precision), points(1, precision))


class Shrinking(Schedule):
    """A quotient by a setting that may be 0."""

    kind: Literal["shrinking"] = "shrinking"
    by: float = 2.0


def shrinking(schedule: Shrinking, step: int, warm: int, steps_per_epoch: int, epochs: int) -> float:
    return 1 / (1 + step / schedule.by)


class Coarse(Data):
    """Single precision, whatever is asked for."""

    source: Literal["coarse"] = "coarse"


class Claimed(Data):
    """Facts of other samples."""

    source: Literal["claimed"] = "claimed"


class Unlike(Data):
    """Another array than it says."""

    source: Literal["unlike"] = "unlike"


def unlike(data: Any, base: Path, precision: str) -> Dataset:
    split = points(0, precision)
    other = Split(left=split.x, y=split.y)
    return Dataset("unlike", other, other)


KINDS = (
    LayerKind("half_stopped", HalfStopped, same_shape, half_stopped),
    LayerKind("changing", Changing, same_shape, changing),
    LossKind("stopped_square", StoppedSquare, False, stopped_square),
    LayerKind("named", Named, same_shape, named),
    LayerKind("drawn", Drawn, drawn, scaled),
    MatrixKind("divided", Divided, lambda *_: (), divided, misfit=on_through),
    MatrixKind(
        "nowhere",
        Nowhere,
        lambda *_: (),
        divided,
        misfit=lambda *_: ShapeError("nowhere", "remove it", "kind"),
    ),
    MatrixKind("secret", Secret, lambda *_: (), secret, misfit=on_through),
    MatrixKind("level", Level, lambda *_: (), level, misfit=on_through),
    RuleKind("secret_feedback", SecretFeedback, secrets, changes=True),
    RuleKind("unfit_feedback", UnfitFeedback, unfit, changes=True),
    UpdateKind("rooted", Rooted, lambda _: (), rooted),
    ScheduleKind("shrinking", Shrinking, shrinking, lambda schedule, _: (f"1 / (1 + step / {schedule.by})",)),
    ProbeKind("stray", Stray, stray, {"size": "norms of weights"}),
    DataKind("another", Another, another),
    DataKind("coarse", Coarse, lambda *_: Dataset("coarse", points(0, "float32"), points(1, "float32"))),
    DataKind(
        "claimed",
        Claimed,
        lambda data, base, precision: Dataset("claimed", points(0, precision), points(1, precision)),
        facts=lambda _: DataFacts((2,), 2, True, 9),
    ),
    DataKind("unlike", Unlike, unlike),
)
