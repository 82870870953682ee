"""By which passes and ways, and with which versions, a run is made: another choice may round otherwise.

A run that goes on is compiled by the passes that it has been compiled by, also where there are more by now, and
computed by the ways that it has gone, whatever has been measured since.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from fac.build.disabling import passes_of
from fac.passes import PASSES as CORE
from fac.training.metadata import CHOICES, PASSES, VERSIONS

if TYPE_CHECKING:
    from fac.backend import Artifact, Backend

BACKEND = "backend"


def kept(artifact: Artifact, device: str) -> dict[str, str]:
    """What a checkpoint says of what is run on a device."""
    return {
        PASSES: json.dumps(list(artifact.passes)),
        CHOICES: json.dumps(artifact.chosen(device)),
        VERSIONS: json.dumps(artifact.versions()),
    }


def choices(about: Mapping[str, str], backend: str) -> dict[str, str] | None:
    """The ways that a run has gone, by the names of knobs; None if it was on another backend.

    A run of an earlier fac went the usual ones.

    Args:
        about: what its checkpoint says.
        backend: on which it goes on.
    """
    if about.get(BACKEND) != backend:
        return None
    found: dict[str, str] = json.loads(about.get(CHOICES, "{}"))
    return found


def left_out(about: Mapping[str, str], backend: Backend) -> tuple[str, ...]:
    """The passes that there are by now and that a run has not been compiled by.

    Args:
        about: what its checkpoint says.
        backend: on which it goes on. Of the passes of another one than its own it says nothing.
    """
    if PASSES not in about:
        return ()
    then = json.loads(about[PASSES])
    now = passes_of(backend) if about.get(BACKEND) == backend.name else CORE
    return tuple(step.name for step in now if step.name not in then)


def remarks(then: Mapping[str, str], now: Mapping[str, str], exact: Collection[str] = ()) -> Iterator[str]:
    """Why a run does not go on just as it would have; nothing where its backend is another one, which is told anyway.

    Args:
        then: what its checkpoint says.
        now: what its next ones will say.
        exact: the names of knobs whose ways all lead to the same bits.
    """
    if then.get(BACKEND) != now[BACKEND]:
        return
    before, here = (json.loads(about.get(PASSES, now[PASSES])) for about in (then, now))
    both = {"without": (before, here), "with": (here, before)}
    passes = [
        f"{word} {', '.join(f'`{name}`' for name in found)}"
        for word, (one, other) in both.items()
        if (found := [name for name in one if name not in other])
    ]
    was, has = (json.loads(about.get(VERSIONS, now[VERSIONS])) for about in (then, now))
    versions = [
        f"{name} {has.get(name, 'not installed')} instead of {was.get(name, 'none')}"
        for name in sorted(was.keys() | has.keys())
        if was.get(name) != has.get(name)
    ]
    went, goes = (json.loads(about.get(CHOICES, "{}")) for about in (then, now))
    ways = [
        f"{name} `{goes[name]}` instead of `{way}`"
        for name, way in went.items()
        if name in goes and name not in exact and goes[name] != way
    ]
    for what, found in (("", passes), ("with ", ways), ("with ", versions)):
        if found:
            yield f"this run goes on {what}{' and '.join(found)}: equal up to rounding, not bit for bit"
