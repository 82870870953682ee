"""Which files a command line stands for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from fac.diagnostics import FacError
from fac.lint.settings import STDIN_NAME, Lookup
from fac.opening import inside, there

SUFFIXES = (".fac.yaml", ".fac.yml", ".fac.json")
COMPARISONS = (".compare.yaml", ".compare.yml", ".compare.json")
"""Files that declare comparisons."""
STDIN = "-"
MADE: tuple[tuple[str, ...], ...] = (
    ("state.safetensors", "metrics.jsonl"),
    ("plan.json", "runs"),
    ("sweep.json",),
)
"""What lies in folders that `fac train`, `fac compare` and `fac sweep` make, whose specs are copies."""


class Files:
    """The files that all arguments stand for, each once."""

    def __init__(
        self,
        paths: tuple[str, ...],
        lookup: Lookup,
        stdin_name: str = STDIN_NAME,
        suffixes: tuple[str, ...] = SUFFIXES,
    ) -> None:
        self.paths = paths
        self.suffixes = suffixes
        self.lookup = lookup
        self.stdin_name = stdin_name
        self.unreadable: list[tuple[str, str]] = []
        """Arguments that stand for no file, and why."""
        self.excluded: list[str] = []
        """Arguments that settings exclude. What is excluded of a folder needs no mention ..."""
        self.emptied: list[str] = []
        """... unless nothing is left of it."""
        self.made: list[str] = []
        """Folders below the arguments that fac made: their specs are copies, and left out."""
        self.within: dict[str, str] = {}
        """The folder on the command line that holds a file, if the file itself is not named."""

    def __iter__(self) -> Iterator[str]:
        """In the order of the arguments, those of a folder in the order of the alphabet."""
        seen: set[str] = set()
        named = {os.path.abspath(path) for path in self.paths}
        for path in self.paths:
            try:
                found = self._specs(path)
            except FacError as error:
                self.unreadable.append((path, str(error)))
                continue
            except RecursionError:
                message = f"the folders in `{path}` are nested too deep: name the ones to check"
                self.unreadable.append((path, message))
                continue
            for file in found:
                same = file if file == STDIN else os.path.realpath(file)
                if file != path and os.path.abspath(file) not in named:
                    self.within[file] = path
                    if os.path.islink(file) and not inside(same, path):
                        same = file  # it is refused: what it leads to is not thereby seen
                if same not in seen:
                    seen.add(same)
                    yield file

    def _specs(self, path: str) -> list[str]:
        """The files that one argument stands for.

        Raises:
            FacError: a folder holds no spec, or one in it cannot be read.
        """
        if path == STDIN or not os.path.isdir(path):
            name = self.stdin_name if path == STDIN else path
            if self._excluded(name):
                self.excluded.append(name)
                return []
            return [path]
        found: list[Path] = []
        skipped, before = False, len(self.made)
        for folder, folders, files in os.walk(path, onerror=_unreadable):
            # Hidden folders hold what tools keep for themselves, virtual environments for one.
            visible = [name for name in folders if not name.startswith(".")]
            allowed = [name for name in visible if not self._excluded(os.path.join(folder, name))]
            folders[:] = [name for name in allowed if not _made(os.path.join(folder, name))]
            self.made += sorted(os.path.join(folder, name) for name in {*allowed} - {*folders})
            specs = [name for name in files if name.endswith(self.suffixes) and not name.startswith(".")]
            kept = [name for name in specs if not self._excluded(os.path.join(folder, name))]
            skipped |= len(allowed) < len(visible) or len(kept) < len(specs)
            found += [Path(folder, name) for name in kept]
        if not found and not skipped and len(self.made) > before:
            raise FacError(
                f"`{path}` holds no spec but copies in folders that fac made, such as `{self.made[before]}`: name the "
                "spec that these were made of, or one of them"
            )
        if not found and not skipped:
            raise FacError(f"no `*.fac.yaml`, `*.fac.yml` or `*.fac.json` is in the folder `{path}`")
        if not found:
            self.emptied.append(path)
        return [str(file) for file in sorted(found)]

    @property
    def left_out(self) -> str:
        """What there is to say of folders that fac made; empty if there are none."""
        if not self.made:
            return ""
        many = "1 folder" if len(self.made) == 1 else f"{len(self.made)} folders"
        return (
            f"{many} that fac made (runs, comparisons, sweeps) {'is' if len(self.made) == 1 else 'are'} left out, such "
            f"as `{self.made[0]}`: what is in one is a copy; name it to have it read"
        )

    def _excluded(self, path: str) -> bool:
        try:
            return self.lookup.of(path).excludes(path)
        except FacError:
            return False  # wrong settings are told where a file needs them


def _made(folder: str) -> bool:
    """Whether fac made it, known by what lies in it."""
    return any(all(there(os.path.join(folder, name)) for name in names) for names in MADE)


def _unreadable(error: OSError) -> None:
    reason = (error.strerror or str(error)).lower()
    raise FacError(f"the folder `{error.filename}` cannot be read: {reason}") from error
