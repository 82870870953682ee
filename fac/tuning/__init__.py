"""The fastest of several right ways to compute a step, chosen once for a machine: by error first, then in rounds.

A choice may change the last digits, so nothing is chosen anew where numbers have to stay: a run keeps what was chosen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fac.backend import COMPILED, STEP_KNOB, Artifact
from fac.build.threads import allowed
from fac.diagnostics import FacError
from fac.render.columns import columns
from fac.tuning import cache
from fac.tuning.rounds import clock
from fac.tuning.trials import ROUNDS, Clock, Tried, is_tried, search

Mode = Literal["auto", "off", "full"]
MODES: tuple[Mode, ...] = ("auto", "off", "full")
"""What was measured here before, or else the usual ways; the usual ways; or to measure now."""
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tuned:
    """An artifact that goes the ways that were chosen."""

    artifact: Artifact
    lines: tuple[str, ...] = ()
    """What was chosen and why, for people; nothing where that is what it always is."""


def tuned(
    artifact: Artifact,
    backend: str,
    device: str,
    mode: Mode,
    oracle: Callable[[], Artifact],
    now: Clock | None = None,
) -> Tuned:
    """Choose.

    Args:
        artifact: as it is by the usual ways.
        backend: the name of the one that made it.
        device: on which its sessions will be opened.
        mode: `full` measures, and keeps what comes of it; `auto` takes what was kept; `off` does not look.
        oracle: makes the same in float64, where that is needed.
        now: seconds; the CPU time of the process where one thread works.

    Raises:
        FacError: a session cannot be opened, such as for want of memory.
    """
    if mode == "off":
        return Tuned(artifact)
    if not any(map(is_tried, artifact.knobs(device))) or artifact.compiled.solution is not None:
        none = f"nothing is measured: `{backend}` has one way to compute `{artifact.compiled.name}` on `{device}`"
        return Tuned(artifact, (none,) if mode == "full" else ())
    key = cache.key(artifact, backend, device)
    lines: tuple[str, ...] = ()
    try:
        kept = cache.find(key)
        if kept is not None and mode == "auto":
            return _as_kept(artifact, kept, device, key)
    except FacError as error:
        lines = (str(error),)
    if mode == "auto":
        return Tuned(artifact, lines)
    LOG.info("measuring which ways this machine computes `%s` fastest", artifact.compiled.name)
    default = clock(allowed() if device == "cpu" else 0)
    choices, tried = search(artifact, device, oracle, now or default)
    lines = (*lines, *_table(key, tried))
    try:
        cache.keep(key, choices, tried)
    except FacError as error:
        lines = (*lines, f"what was chosen is not kept for the next training: {error}")
    return Tuned(artifact.choosing(choices, device), lines)


def held(
    artifact: Artifact, choices: Mapping[str, str], device: str | None
) -> tuple[Artifact, tuple[str, ...]]:
    """The artifact by the ways that a run has gone, as far as they are right here, and what to say of the others.

    Args:
        artifact: as it is by the usual ways.
        choices: of the run.
        device: on which its sessions will be opened.
    """
    known = {knob.name: knob for knob in artifact.knobs(device)}
    here = {name: way for name, way in choices.items() if name in known and way in known[name].ways}
    made = artifact.choosing(here, device)
    lost = [name for name in choices if name in known and name not in here and not known[name].exact]
    lines = tuple(
        f"this run went with {name} `{choices[name]}`, which cannot be chosen here, and goes on with "
        f"`{known[name].usual}`: equal up to rounding, not bit for bit"
        for name in lost
    )
    return made, lines


def compiled_step(artifact: Artifact, backend: str, device: str) -> Artifact:
    """The artifact with its step compiled to machine code, whatever else was chosen.

    Raises:
        FacError: that cannot be done there.
    """
    if not any(knob.name == STEP_KNOB and COMPILED in knob.ways for knob in artifact.knobs(device)):
        raise FacError(
            f"`--compile` takes the backend `torch` on `cpu` and a C++ compiler, `g++` or the one that `CXX` names: on "
            f"`{backend}` and `{device}` there is none of it here; install one, or leave `--compile` out"
        )
    return artifact.choosing({STEP_KNOB: COMPILED}, device)


def _as_kept(artifact: Artifact, kept: Mapping[str, str], device: str, key: cache.Key) -> Tuned:
    """By what was kept, if all of that can be chosen."""
    try:
        made = artifact.choosing(kept, device)
    except FacError as error:
        return Tuned(artifact, (f"`{key.place}` cannot be followed ({error}): {cache.REMEDY}",))
    usual = {knob.name: knob.usual for knob in artifact.knobs(device)}
    other = [f"{name} `{way}`" for name, way in kept.items() if usual[name] != way]
    return Tuned(made, (f"as measured on this machine before: {', '.join(other)}",) if other else ())


def _table(key: cache.Key, tried: Sequence[Tried]) -> tuple[str, ...]:
    if not tried:
        return ()
    rows = [
        (
            one.knob,
            one.way,
            "-" if one.gain is None else f"{one.gain:.2f}",
            f"{one.error:.1e}",
            "chosen" if one.chosen else "too far from float64" if one.gain is None else "",
            one.says,
        )
        for one in tried
    ]
    machine = key.machine
    threads = f"{machine['threads']} thread{'s' * (machine['threads'] != '1')}"
    head = f"tuned for {machine['processor']}, {machine['device']}, {threads}, in {ROUNDS} rounds each:"
    return (head, *columns(("choice", "way", "speed", "error", "", "which is"), rows).splitlines())
