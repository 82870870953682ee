"""What was chosen on this machine for a step: one small file for each of the two, which nobody has to keep."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fac.backend import Artifact, work
from fac.build.processor import processor
from fac.build.threads import allowed
from fac.cached import cache_folder
from fac.diagnostics import FacError
from fac.opening import Kind, MissingError, content
from fac.tuning.trials import Tried
from fac.writing import make_parents, write

FORMAT = 1
FILE = Kind("choices for a machine", 100_000)
FOLDER = "tuning"
REMEDY = "`--tune full` makes it anew"


class UnsoundError(FacError):
    """A file of choices is damaged, or another one than its name says."""


@dataclass(frozen=True, slots=True)
class Key:
    """Where something is computed, and what."""

    machine: Mapping[str, str]
    work: str
    """See `fac.backend.work`."""

    @property
    def place(self) -> Path:
        """Of the file: another processor, version, number of threads or network has another one."""
        text = json.dumps([dict(self.machine), self.work], sort_keys=True)
        return cache_folder(FOLDER) / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def key(artifact: Artifact, backend: str, device: str) -> Key:
    """Of an artifact on a device of this machine.

    Args:
        artifact: as it is by the usual ways.
        backend: the name of the one that made it.
        device: of its sessions.
    """
    machine = {"processor": processor(), "threads": str(allowed()), "device": device, **artifact.versions()}
    return Key(machine, work(artifact, backend))


def find(key: Key) -> dict[str, str] | None:
    """What was chosen, by the names of knobs; None where nothing was.

    Raises:
        UnsoundError: the file is none that was kept here, and for this.
        FacError: it cannot be read.
    """
    try:
        return read(key.place, key)
    except MissingError:
        return None


def read(place: Path, key: Key) -> dict[str, str]:
    """What a file says.

    Raises:
        MissingError: there is none.
        UnsoundError: see `find`.
        FacError: see `find`.
    """
    text = content(place, FILE, within=place.parent)
    try:
        found: Any = json.loads(text)
        about = found["fac_tuning"], found["machine"], found["work"]
        choices: dict[str, str] = found["choices"]
        if not all(type(part) is str for pair in choices.items() for part in pair):
            raise TypeError
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise UnsoundError(f"`{place}` is damaged: {REMEDY}") from None
    if about != (FORMAT, dict(key.machine), key.work):
        raise UnsoundError(f"`{place}` was kept for something else, or by another fac: {REMEDY}")
    return choices


def keep(key: Key, choices: Mapping[str, str], tried: tuple[Tried, ...]) -> None:
    """Keep what was chosen, with what was tried, for those who look; of two processes that do, the last one stays.

    Raises:
        FacError: the file cannot be written.
    """
    about = {
        "fac_tuning": FORMAT,
        "machine": dict(key.machine),
        "work": key.work,
        "choices": dict(choices),
        "tried": [asdict(one) for one in tried],
    }
    make_parents(key.place)
    write(key.place, (json.dumps(about, indent=1) + "\n").encode())
