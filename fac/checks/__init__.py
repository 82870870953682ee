"""The checks: one generator per rule, whose docstring is its help page. CHECKS is the report order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fac.diagnostics import Diagnostic
from fac.program.program import Program

Check = Callable[[Program], Iterator[Diagnostic]]

CHECKS: tuple[Check, ...] = ()


def run_checks(program: Program) -> tuple[Diagnostic, ...]:
    """Every finding of every check."""
    return tuple(finding for check in CHECKS for finding in check(program))
