"""A step as it stands after one of the passes of the core."""

from __future__ import annotations

from fac.backend import Backend
from fac.build.disabling import passes_of, unknown
from fac.build.functions import build_step, narrowed
from fac.diagnostics import FacError
from fac.passes import PASSES
from fac.program.program import Program
from fac.step.text import to_text
from fac.step.transform import transformed

BUILD = "build"
"""What stands for the step before any pass."""
NARROW = "mixed_precision"
"""What stands for the step as backends get it, if the spec asks for rounded numbers: all before it does not round."""


def step_after(program: Program, name: str) -> str:
    """The text form of the step after the pass of the core of that name; `build` is before any.

    Raises:
        FacError: there is no such pass; the message lists those that there are.
    """
    known = [BUILD, *(step.name for step in PASSES)]
    if program.spec.train.mixed_precision is not None:
        known.append(NARROW)
    if name not in known:
        raise FacError(unknown(name, known, None))
    if name == NARROW:
        return to_text(narrowed(program, build_step(program)[0]))
    return to_text(transformed(build_step(program)[0], PASSES[: known.index(name)], program.disabled))


def is_core(name: str) -> bool:
    """Whether `step_after` knows it."""
    return name in (BUILD, NARROW) or any(step.name == name for step in PASSES)


def behind(name: str, backend: Backend) -> tuple[str, ...]:
    """The names of the passes of a backend that run behind the one of that name.

    Raises:
        FacError: there is no such pass; the message lists those that there are.
    """
    names = [step.name for step in passes_of(backend)]
    if name not in names:
        raise FacError(unknown(name, [BUILD, *names], backend))
    return tuple(names[names.index(name) + 1 :])
