"""Where a direct route enters, and what lies above and below a node."""

from __future__ import annotations

from fac.program.program import Program


def site_of(program: Program, name: str) -> str | None:
    """The last value reached from a node while each has one reader without weights and without other inputs.

    It stops before a join, so a direct route never leaks into a skip. None if no node has that name.
    """
    return program.sites.get(name)


def first_weighted(program: Program) -> frozenset[str]:
    """Weighted nodes below which no weighted node lies: nobody needs the error that they would pass on."""
    return program.first_weighted


def last_weighted(program: Program) -> frozenset[str]:
    """Weighted nodes between which and the loss no weighted node lies: the loss reaches them exactly."""
    return program.last_weighted
