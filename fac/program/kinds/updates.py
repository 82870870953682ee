"""Update rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fac.program.kinds.base import Kind, State
from fac.program.program import Program
from fac.program.tensors import Tensor
from fac.spec.base import Model
from fac.spec.updates import Rule
from fac.step.builder import Builder
from fac.step.factors import Factors
from fac.step.ir import Value


@dataclass(frozen=True, slots=True)
class Updated:
    """The next value of a parameter and of its optimiser state."""

    parameter: Value
    slots: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Descent:
    """m = momentum m + g, then w -= lr m, or lr (g + momentum m) in Nesterov's form; g is the gradient + decay w."""

    momentum: float
    nesterov: bool


Factored = Callable[[Builder, Any, Value, Factors, State, Value, Value], Updated]
"""As `apply` of an `UpdateKind`, of the factors of a gradient in its place: left [rows, out] and right [rows, in]."""


@dataclass(frozen=True, slots=True)
class UpdateKind(Kind):
    """How a parameter moves once its gradient is known."""

    name: str
    spec: type[Model]
    slots: Callable[[Any], tuple[str, ...]]
    """`slots(rule)`: names of the optimiser state kept per parameter, each of the parameter's shape."""
    apply: Callable[[Builder, Any, Value, Value, State, Value, Value], Updated]
    """`apply(builder, rule, parameter, gradient, state, lr, step)`: what follows on a parameter and on its `slots`.

    `parameter`, `gradient` and each value of `state`, which holds the slots by name, have the parameter's shape,
    whatever that is. `lr` is a FLOAT scalar, the rate of this step, and `step` an INT scalar: steps made before.
    """
    factored: Callable[[Any], Factored | None] = lambda _: None
    """`factored(rule)`: what takes the same step from the factors of a gradient, for rules to which these are enough.
    It is asked for where they have fewer rows than either side of the weight, at the batch of the spec."""
    descent: Callable[[Any], Descent | None] = lambda _: None
    """`descent(rule)`: how its step is linear in the gradients, if it is."""
    decay: Callable[[Any], float] = lambda _: 0.0
    """`decay(rule)`: how much of a weight is added to its gradient, or taken from it beside the gradient: at a rate lr
    the first step leaves 1 - lr decay of it, less in Nesterov's form. What passes through moments is no such decay."""
    instead: Callable[[Any, Program, Tensor], Rule | None] = lambda *_: None
    """`instead(rule, program, tensor)`: the rule that moves a parameter which this one leaves to it; None for those
    that it moves itself."""
    moments: tuple[str, str] | None = None
    """The fields that say how slowly the mean of gradients forgets, and that of their squares, which divides it; the
    two are the first slots."""
