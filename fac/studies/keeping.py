"""What was measured already: one line of JSON for each run, so that an interrupted study goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fac.diagnostics import FacError
from fac.opening import LOG, content, there
from fac.studies.lab import Measured
from fac.training.holding import LOCK
from fac.writing import append, unfinished, write

FILE = "measured.jsonl"

Key = tuple[str, str, int]
"""Title of the table, name of the row, seed."""


class Kept:
    """The runs of one study in a folder, as far as the same code made them from the same files."""

    def __init__(self, folder: Path, study: str, digest: str) -> None:
        """Read what is there, and write it again without what does not count any more: `stale` lines.

        Args:
            folder: exists, and nobody else works in it.
            study: its title.
            digest: see `finding.digest`.

        Raises:
            FacError: the folder holds something else, or the file cannot be read or written.
        """
        self._path, self._study, self._digest = folder / FILE, study, digest
        self.found: dict[Key, Measured] = {}
        self.stale = 0
        lines: list[str] = []
        if not there(self._path):
            _require_empty(folder)
        elif not os.access(self._path, os.W_OK):
            raise FacError(f"cannot write `{self._path}`: it is read-only")
        else:
            lines = content(self._path, LOG, within=folder).decode(errors="replace").splitlines()
        for line in lines:
            of, digest_then, key, measured = _read(line)
            if of not in ("", study):
                raise FacError(
                    f"`{folder}` holds the results of another study, `{of}`: give another folder to `--out`"
                )
            if measured is not None and digest_then == digest:
                self.found[key] = measured
            else:
                self.stale += 1
        # also to hear now, not after the first run, that nothing can be written here
        text = "".join(f"{self._line(key, measured)}\n" for key, measured in self.found.items())
        write(self._path, text.encode())

    def add(self, key: Key, measured: Measured) -> None:
        """Keep a run.

        Raises:
            FacError: the file cannot be written.
        """
        self.found[key] = measured
        append(self._path, self._line(key, measured))

    def _line(self, key: Key, measured: Measured) -> str:
        found = {
            "study": self._study,
            "digest": self._digest,
            "key": key,
            "figures": dict(measured.figures),
            "curves": {name: list(values) for name, values in measured.curves.items()},
            "diverged": measured.diverged,
        }
        return json.dumps(found | {"sum": _sum(found)})


def _sum(found: Mapping[str, Any]) -> str:
    """Of a line, so that no changed number is taken for one that was measured."""
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def _read(line: str) -> tuple[str, str, Key, Measured | None]:
    """The study of a line, its digest, and what it says; None for one that was cut off, or changed since."""
    nothing = "", "", ("", "", 0), None
    try:
        found: dict[str, Any] = json.loads(line)
        if found.pop("sum") != _sum(found):
            return nothing
        table, row, seed = found["key"]
        curves = {name: tuple(map(float, values)) for name, values in found["curves"].items()}
        figures = {name: float(value) for name, value in found["figures"].items()}
        measured = Measured(figures, curves, bool(found["diverged"]))
        return str(found["study"]), str(found["digest"]), (str(table), str(row), int(seed)), measured
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return nothing


def _require_empty(folder: Path) -> None:
    names = [name for name in os.listdir(folder) if name != LOCK and not unfinished(name)]
    if names:
        raise FacError(f"`{folder}` is not empty and holds no study: give a new or empty folder to `--out`")
