"""What a pass is: a change of a program that has a name, says what it keeps, and can be left out.

What has to happen whatever anybody asks for, as the choice of an order, is lowering and no pass.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Keeps(StrEnum):
    """What of the numbers of a program stays as it is."""

    BITS = "bits"
    """All of them, but for the sign of a zero: every op that is left computes what it computed before."""
    ROUNDING = "rounding"
    """They are equal in exact arithmetic, and differ by how sums are ordered or what is rounded on the way."""


@dataclass(frozen=True, slots=True)
class Pass(Generic[T]):
    """One change."""

    name: str
    run: Callable[[T], T]
    keeps: Keeps
    summary: str
    """What is so afterwards, in one sentence without its full stop."""


def unnoticed(step: Pass[Any], result: Any) -> None:
    """Nobody looks on."""


def transformed(
    program: T,
    passes: Sequence[Pass[T]],
    disabled: Collection[str] = (),
    after: Callable[[Pass[T], T], None] = unnoticed,
) -> T:
    """What passes make of a program, one after the other.

    Args:
        program: a function of the step IR, or what a backend has made of it.
        passes: in the order in which they run.
        disabled: the names of those that are left out.
        after: is called with each pass and its result, to print it or to verify it.
    """
    for step in passes:
        if step.name not in disabled:
            program = step.run(program)
            after(step, program)
    return program
