"""Passes by name: which there are for a backend, and a program that is compiled without some of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from fac.backend import Backend, Optimising
from fac.diagnostics import FacError
from fac.passes import PASSES
from fac.program.program import Program
from fac.step.transform import Pass


def own(backend: Backend) -> tuple[Pass[Any], ...]:
    """Those that a backend has beside the core's, in the order in which they run.

    Raises:
        FacError: what the backend runs with is not installed.
    """
    return backend.passes() if isinstance(backend, Optimising) else ()


def passes_of(backend: Backend | None) -> tuple[Pass[Any], ...]:
    """All that run for a backend, those of the core first; without one the core's alone.

    Raises:
        FacError: what the backend runs with is not installed.
    """
    return (*PASSES, *(() if backend is None else own(backend)))


def without(program: Program, disabled: Collection[str], backend: Backend | None) -> Program:
    """The program, to be compiled without these passes.

    Raises:
        FacError: there is no pass of one of these names; the message lists those that there are.
    """
    if not disabled:
        return program
    known = [step.name for step in passes_of(backend)]
    for name in disabled:
        if name not in known:
            raise FacError(unknown(name, known, backend))
    return replace(program, disabled=frozenset(disabled))


def unknown(name: str, known: Collection[str], backend: Backend | None) -> str:
    """What is said of a name that no pass has.

    Args:
        name: as it was given.
        known: what could be meant.
        backend: whose passes are among these.
    """
    near = get_close_matches(name, known, n=1)
    meant = f", did you mean `{near[0]}`?" if near else ";"
    of = "" if backend is None else f" for `{backend.name}`"
    more = "; those of a backend are found with `--backend`" if backend is None else ""
    return f"no pass{of} is called `{name}`{meant} there are {', '.join(f'`{one}`' for one in known)}{more}"
