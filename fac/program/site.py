"""Where a direct route enters."""

from __future__ import annotations

from fac.program.program import Program


def site_of(program: Program, name: str) -> str | None:
    """The last value reached from a node while each has one reader without weights and without other inputs.

    Masks are none: no error goes there. It stops before a join, so a direct route never leaks into a skip. None if no
    node has that name.
    """
    return program.sites.get(name)
