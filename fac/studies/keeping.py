"""What was measured already: one line of JSON for each run, so that an interrupted study goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fac.opening import LOG, content, there
from fac.studies.lab import Measured
from fac.writing import append

FILE = "measured.jsonl"

Key = tuple[str, str, int]
"""Title of the table, name of the row, seed."""


class Kept:
    """The runs in a folder that were made by the same code from the same files."""

    def __init__(self, folder: Path, digest: str) -> None:
        """Read what is there; of other code it counts as not there, and `stale` says how much.

        Args:
            folder: exists.
            digest: see `finding.digest`.

        Raises:
            FacError: the file cannot be read.
        """
        self._path, self._digest = folder / FILE, digest
        self.found: dict[Key, Measured] = {}
        self.stale = 0
        lines = (
            content(self._path, LOG, within=folder).decode(errors="replace").splitlines()
            if there(self._path)
            else []
        )
        for line in lines:
            key, digest_then, measured = _read(line)
            if measured is not None and digest_then == digest:
                self.found[key] = measured
            else:
                self.stale += 1

    def add(self, key: Key, measured: Measured) -> None:
        """Keep a run.

        Raises:
            FacError: the file cannot be written.
        """
        self.found[key] = measured
        line = {
            "key": key,
            "digest": self._digest,
            "figures": dict(measured.figures),
            "curves": {name: list(values) for name, values in measured.curves.items()},
            "diverged": measured.diverged,
        }
        append(self._path, json.dumps(line))


def _read(line: str) -> tuple[Key, str, Measured | None]:
    """A line, with None for one that was cut off or is another's."""
    try:
        found: Mapping[str, Any] = json.loads(line)
        table, row, seed = found["key"]
        curves = {name: tuple(values) for name, values in found["curves"].items()}
        return (table, row, seed), found["digest"], Measured(found["figures"], curves, found["diverged"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return ("", "", 0), "", None
