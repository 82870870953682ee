"""A plug-in of the tests: an update rule without weight decay."""

from __future__ import annotations

from typing import Literal

from fac.program.kinds import State, Updated, UpdateKind
from fac.spec.updates import Rule
from fac.step.builder import Builder
from fac.step.ir import Value


class Plain(Rule):
    """w -= lr * g."""

    rule: Literal["plain"] = "plain"


def apply(
    b: Builder, rule: Plain, w: Value, gradient: Value, state: State, lr: Value, step: Value
) -> Updated:
    """One step."""
    return Updated(b.sub(w, b.mul(gradient, lr)), {})


KINDS = (UpdateKind("plain", Plain, lambda _: (), apply),)
