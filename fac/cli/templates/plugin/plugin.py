"""PLUGIN.py: a layer, a feedback operator, a way to learn, a rule and an update, to start from.

    fac check PLUGIN.fac.yaml --plugin PLUGIN.py
    fac train PLUGIN.fac.yaml --plugin PLUGIN.py
    pytest

All that is written here is the way forward, what is made of an error, and what moves. The backward pass, shapes, cost,
and whether a weight is transported are derived. Suffixes of names say shapes: N samples or places, R numbers of the
error that is read, W numbers of what is fed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import tanh
from typing import Annotated, Literal

from pydantic import Field

from fac.plugin import (
    AnyLearning,
    Builder,
    Curve,
    Ends,
    Expansion,
    Fixed,
    Layer,
    LayerKind,
    Learned,
    Learning,
    LearningKind,
    Matrix,
    MatrixKind,
    Mode,
    Program,
    Role,
    Rule,
    RuleKind,
    ShapeError,
    ShortHand,
    Signals,
    State,
    Tensor,
    Updated,
    UpdateKind,
    Value,
    layerwise,
    same_shape,
    through,
    ways,
)

# -- a layer -------------------------------------------------------------------------------------------------------


class Squash(Layer):
    """y = 1.7159 tanh(2 x / 3) (LeCun et al. 1998, Efficient BackProp)."""

    kind: Literal["PLUGIN_squash"] = "PLUGIN_squash"


def squash(b: Builder, layer: Squash, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The ops; each knows its derivative."""
    (x,) = inputs
    return b.mul(b.emit("tanh", b.mul(x, 2 / 3)), 1.7159)


SQUASH = LayerKind(
    "PLUGIN_squash",
    Squash,
    same_shape,
    squash,
    # What checks go by: bounds, slopes and mean squares are read off it.
    curve=lambda layer: Curve(lambda x: 1.7159 * tanh(2 * x / 3)),
)

# -- a feedback operator -------------------------------------------------------------------------------------------


class Binary(Matrix):
    """F = s sign(B), s = mean |B|: what is sent takes one bit for each entry; what is kept, and learns, is real."""

    kind: Literal["PLUGIN_binary"] = "PLUGIN_binary"
    learn: AnyLearning = Field(Fixed(), description="How B changes.")


def tensors(matrix: Binary, ends: Ends) -> tuple[Tensor, ...]:
    """B_RW, drawn as the sizes of its ends ask for."""
    shape = (ends.reads, ends.writes)
    return (Tensor(f"{ends.prefix}.B", shape, "kaiming_uniform", ends.writes, ends.reads, Role.FEEDBACK),)


def binary(b: Builder, state: State) -> Value:
    """F_RW."""
    size = b.mean(b.abs(state["B"]), (0, 1))
    return b.mul(b.sign(state["B"]), size)


def apply(b: Builder, matrix: Binary, state: State, signals: Signals) -> Value:
    """error_NR @ F_RW."""
    return signals.sent(b, signals.error, binary(b, state))


def learn(b: Builder, matrix: Binary, state: State, signals: Signals) -> Iterable[Learned]:
    """What the rule in `learn:` says of B."""
    rule = ways(matrix.learn).full
    if rule is not None:
        yield rule(b, matrix.learn, state, signals)


def whole(b: Builder, matrix: Binary, ends: Ends, state: State, weight: Value | None) -> Value:
    """F, for probes: [R, W] on a `through` route, as the weight that it replaces; [W, R] on a `to` route."""
    found = binary(b, state)
    return found if ends.weight is not None else b.transpose(found, (1, 0))


def misfit(matrix: Binary, ends: Ends) -> ShapeError | None:
    """Rules that teach factors of a matrix have nothing to say here."""
    if isinstance(matrix.learn, Fixed) or ways(matrix.learn).full is not None:
        return None
    name = ways(matrix.learn).name
    return ShapeError(f"`{name}` cannot teach a full matrix", "use `PLUGIN_turn`", "learn")


BINARY = MatrixKind(
    "PLUGIN_binary",
    Binary,
    tensors,
    apply,
    learn,
    misfit=misfit,
    learning=lambda matrix: {"B": matrix.learn},
    matrix=whole,
)

# -- a way to learn ------------------------------------------------------------------------------------------------


class Turn(Learning):
    """B <- (1 - rate) B - rate |B| C / |C|, C_RW = error^T x: B turns to what descends, and keeps its size."""

    rule: Literal["PLUGIN_turn"] = "PLUGIN_turn"
    rate: Annotated[float, Field(gt=0, le=1)] = Field(
        0.1, description="How much of the new direction is taken."
    )


def turn(b: Builder, rule: Turn, state: State, signals: Signals) -> Learned:
    """The next value; a pseudo-gradient would say `gradient=True`, and the update rule would take the step."""
    now = state["B"]
    step = signals.taught(b, signals.error)
    size = b.div(b.norm(now), b.norm(step, nonzero=True))
    aim = b.mul(b.mul(step, size), -rule.rate)
    return Learned("B", b.add(b.mul(now, 1 - rule.rate), aim), gradient=False)


TURN = LearningKind("PLUGIN_turn", Turn, full=turn)

# -- a rule, which stands for routes -------------------------------------------------------------------------------


class BinaryFeedback(ShortHand):
    """Each weight past which an error is needed is replaced by `PLUGIN_binary`."""

    rule: Literal["PLUGIN_feedback"] = "PLUGIN_feedback"
    learn: AnyLearning = Field(Turn(), description="How the feedback matrices change.")


def expand(rule: BinaryFeedback, program: Program) -> Expansion:
    """What `fac show --expand` prints."""
    return Expansion(tuple(through(node, Binary(learn=rule.learn)) for node in layerwise(rule, program)))


FEEDBACK = RuleKind("PLUGIN_feedback", BinaryFeedback, expand, changes=True)

# -- an update -----------------------------------------------------------------------------------------------------


class SignMomentum(Rule):
    """m <- momentum m + (1 - momentum) g; w <- w - lr sign(m) (Bernstein et al. 2018, arXiv 1802.04434)."""

    rule: Literal["PLUGIN_signum"] = "PLUGIN_signum"
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.9, description="Share of the last mean that is kept."
    )


def signum(
    b: Builder, rule: SignMomentum, w: Value, gradient: Value, state: State, lr: Value, step: Value
) -> Updated:
    """The next w, and the next m."""
    m = b.add(b.mul(state["momentum"], rule.momentum), b.mul(gradient, 1 - rule.momentum))
    return Updated(b.sub(w, b.mul(b.sign(m), lr)), {"momentum": m})


SIGNUM = UpdateKind("PLUGIN_signum", SignMomentum, lambda rule: ("momentum",), signum)

KINDS = (SQUASH, BINARY, TURN, FEEDBACK, SIGNUM)
