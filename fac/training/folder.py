"""The folder of a run: its spec, its log and its latest checkpoint. All that `--resume` needs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path

from fac.backend import Array
from fac.diagnostics import FacError
from fac.training import checkpoint
from fac.training.checkpoint import Checkpoint, unwritable, write_atomic
from fac.training.logs import EpochRecord

SPEC = "spec.fac.yaml"
STATE = "state.safetensors"
METRICS = "metrics.jsonl"


class RunFolder:
    """An existing folder that belongs to one run."""

    def __init__(self, path: Path, about: Mapping[str, str]) -> None:
        """Take the folder as it is.

        Args:
            path: from `claim`, or of a run that resumes.
            about: what checkpoints say of the run beside its spec, such as the backend.
        """
        self.path, self.about = path, dict(about)

    @property
    def state(self) -> Path:
        """The latest checkpoint; at the end the final state."""
        return self.path / STATE

    def write_spec(self, text: str) -> None:
        """Keep the text of the spec.

        Raises:
            FacError: the file cannot be written.
        """
        write_atomic(self.path / SPEC, text.encode())

    def save(self, state: Mapping[str, Array], about: Mapping[str, str]) -> None:
        """Replace the checkpoint.

        Raises:
            FacError: it cannot be written; the one before is still there.
        """
        checkpoint.save(self.state, state, {**about, **self.about})

    def append(self, record: EpochRecord) -> None:
        """Log an epoch.

        Raises:
            FacError: the log cannot be written.
        """
        path = self.path / METRICS
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(record.to_json() + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise unwritable(path, error) from error

    def rewind(self, epochs: int) -> list[EpochRecord]:
        """The records of the first `epochs` epochs. Later ones are dropped: their steps will be made again.

        Raises:
            FacError: the log cannot be read or written.
        """
        path = self.path / METRICS
        if not path.exists():
            return []
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            raise FacError(f"cannot read `{path}`: {(error.strerror or str(error)).lower()}") from error
        records = [r for r in map(_record, lines) if r is not None and r.epoch <= epochs]
        if len(records) < len(lines):
            write_atomic(path, "".join(r.to_json() + "\n" for r in records).encode())
        return records


def claim(path: Path | None, name: str) -> Path:
    """Make the folder of a new run, or take an existing one without a run.

    Args:
        path: as the user gave it; None picks the first free of `runs/NAME-1`, `runs/NAME-2`, ...
        name: of the spec.

    Raises:
        FacError: the folder cannot be made or written to, or holds a run already.
    """
    if path is None:
        return _numbered(Path("runs"), re.sub(r"[^\w.-]+", "-", name).strip(".") or "run")
    try:
        path.mkdir(parents=True, exist_ok=True)
        held = [file for file in (SPEC, STATE, METRICS) if (path / file).exists()]
        if not held:
            _try_to_write(path)
    except OSError as error:
        raise unwritable(path, error) from error
    if held:
        raise FacError(
            f"`{path}` already holds `{held[0]}`: continue that run with `--resume {path}`, "
            "or give another folder to `--out`"
        )
    return path


def resumed(path: Path) -> Checkpoint:
    """The latest checkpoint of a run.

    Raises:
        FacError: the folder holds no run, or its checkpoint is damaged.
    """
    missing = [file for file in (SPEC, STATE) if not (path / file).is_file()]
    if missing:
        raise FacError(f"`{path}` holds no run to resume: there is no `{missing[0]}`")
    return checkpoint.load(path / STATE)


def abandon(path: Path) -> None:
    """Remove the folder of a run that did not begin, if it is empty."""
    with suppress(OSError):
        path.rmdir()  # which the system refuses if anything is in it


def _numbered(parent: Path, stem: str) -> Path:
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            path = parent / f"{stem}-{number}"
            try:
                path.mkdir()  # fails if it exists, so two runs that start at once get two folders
            except FileExistsError:
                continue
            return path
    except OSError as error:
        raise unwritable(parent, error) from error
    raise AssertionError("numbers do not end")


def _try_to_write(path: Path) -> None:
    """An unwritable folder is better known before the data are fetched than after the first epoch."""
    probe = path / f".fac.{os.getpid()}"
    probe.touch()
    probe.unlink()


def _record(line: str) -> EpochRecord | None:
    try:
        return EpochRecord.from_json(line)
    except ValueError:
        return None  # the last line of a run that was killed while writing it
