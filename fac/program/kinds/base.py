"""What kinds of every family may declare, and what their functions raise and are given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fac.plugins import Refusal
from fac.program.program import Program
from fac.step.ir import Value

State = Mapping[str, Value]
"""Values of state tensors by the last part of their name (`weight`, `P`, ...)."""


class ShapeError(Refusal):
    """A layer cannot read what it is given. `field` is the key of the layer that the caret should stand under."""

    def __init__(self, message: str, help: str = "", field: str | None = None) -> None:
        super().__init__(message)
        self.help, self.field = help, field


@dataclass(frozen=True, slots=True)
class Unused:
    """A field that the other fields of its model, or the program, leave without effect."""

    field: str
    why: str
    """Completes "`field` has no effect ..."."""
    help: str
    item: int | None = None
    """Of a field that is a list the place of the one item that has no effect; None for the whole field."""
    supposes: tuple[str, ...] = ()
    """The arrays by whose initial values it has none: nothing is said where a training is given others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a kind of any family may declare."""

    unused: Callable[[Any, Program], Iterable[Unused]] = lambda *_: ()
    """`unused(spec, program)`. `fac check` reports those of the fields that the user wrote (FAC314).

    The field may be `kind` (or `rule`): then nothing of the spec has an effect.
    """
