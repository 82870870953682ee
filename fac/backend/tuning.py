"""What a backend leaves to be chosen: ways to compute the same, of which another is the fastest on another machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from fac.diagnostics import FacError

THREADS, ONE, ALL = "threads", "1", "all"
"""The name of the knob that says on how many threads a session computes, if there is one, and its ways. A run that is
on one thread by choice goes on wherever there is one."""


@dataclass(frozen=True, slots=True)
class Knob:
    """One choice of an artifact on a device. A backend offers it where another way has been seen to pay somewhere."""

    name: str
    ways: Mapping[str, str]
    """By the word for each what it is, in words for people. All of them are right here; some machines leave but one."""
    usual: str
    """What is chosen without a clock: by what is known of the device and of the network."""
    exact: bool = False
    """Whether all ways lead to the same bits."""
    asked: bool = False
    """Whether another way than the usual one is gone only where somebody asks for it: it takes long to try."""


STEP_KNOB, COMPILED = "step", "compiled"
"""The knob, and its way, by which a backend compiles a step to machine code."""


def require_ways(choices: Mapping[str, str], knobs: tuple[Knob, ...]) -> None:
    """Refuse what there is not to be chosen.

    Args:
        choices: the word for a way, by the name of a knob.
        knobs: those that there are.

    Raises:
        FacError: there is no knob of that name, or it has no such way here.
    """
    known = {knob.name: knob for knob in knobs}
    for name, way in choices.items():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            meant = f", did you mean `{near[0]}`?" if near else ";"
            raise FacError(f"there is no choice `{name}` here{meant} there are {_listed(known)}")
        if way not in known[name].ways:
            raise FacError(f"`{name}` is {_listed(known[name].ways)} here, and not `{way}`")


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"
