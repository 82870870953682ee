"""Whether runs are of one setting: what they began with, and on which data, wherever these lie."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fac import plugins
from fac.diagnostics import FacError
from fac.opening import there
from fac.spec.data import places
from fac.training import checkpoint
from fac.training.metadata import DATA, ORIGIN


@dataclass(frozen=True, slots=True)
class Likeness:
    """What tells runs apart beside their specs. Empty where a run says nothing of it."""

    origin: Mapping[str, str | int] = field(default_factory=dict)
    """Of the state that it was given to begin with."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Of the samples that it was trained on, see `fac.training.metadata.DATA`."""
    places: tuple[str, ...] = ()
    """Whole paths of the files that its spec names."""
    names: tuple[str, ...] = ()
    """The same as they lie to one another, for digests are of training samples alone."""

    @property
    def started(self) -> str:
        """From what, in a word or two."""
        named = self.origin.get("run") or self.origin.get("file")
        return str(named) if named else "scratch"

    def one_start(self, other: Likeness) -> bool:
        """Whether both began with the same: the values that their seeds draw, or one state, by its SHA-256."""
        return self.origin.get("sha256") == other.origin.get("sha256")

    def one_data(self, other: Likeness, *, read_alike: bool = True) -> bool:
        """Whether both were trained on the same samples: by their digests, or else by where they lie.

        Args:
            other: another run.
            read_alike: whether both networks read samples in the same shapes, without which digests say nothing.
        """
        known = [key for key in self.digests if key in other.digests] if read_alike else []
        if known:
            equal = all(self.digests[key] == other.digests[key] for key in known)
            return equal and self.names == other.names
        return self.places == other.places


def likeness(folder: Path, data: object) -> Likeness:
    """What the checkpoint of a run and the `data:` section of its spec say.

    Args:
        folder: of the run.
        data: the section as plain data, if there is one.
    """
    about: Mapping[str, str] = {}
    if there(folder / checkpoint.FILE):
        try:
            about = checkpoint.about(folder)
        except FacError:
            about = {}  # who shows the run says that it is damaged
    digests = {key: about[key] for key in DATA if key in about}
    whole = _named(folder, data)
    names = _to_one_another(whole)
    return Likeness(
        json.loads(about.get(ORIGIN, "{}")), digests, tuple(whole.values()), tuple(names.values())
    )


def placeless(folder: Path, data: Mapping[str, Any]) -> dict[str, Any]:
    """A `data:` section whose files are named from the nearest folder that holds all of them.

    So it is the same in each folder that leads to them, and where all of them have moved.

    Args:
        folder: where relative paths start.
        data: the section as plain data.
    """
    return {**data, **_to_one_another(_named(folder, data))}


def _to_one_another(named: Mapping[str, str]) -> Mapping[str, str]:
    try:
        nearest = os.path.commonpath([os.path.dirname(path) for path in named.values()]) if named else ""
    except ValueError:  # on several drives, or some in the home of whoever reads them
        return named
    return {name: os.path.relpath(path, nearest) for name, path in named.items()}


def _named(folder: Path, data: object) -> dict[str, str]:
    """Whole paths of the files of a section by its fields, links followed as far as the folder; `~` stays."""
    if not isinstance(data, Mapping):
        return {}
    source = data.get("source")
    kind = next((kind for kind in plugins.kinds("fac.data") if kind.name == source), None)
    fields = () if kind is None else places(kind.spec)
    here = os.path.realpath(folder)
    return {
        name: value if value.startswith("~") else os.path.normpath(os.path.join(here, value))
        for name in fields
        if isinstance(value := data.get(name), str)
    }
