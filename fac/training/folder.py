"""The folder of a run: its latest checkpoint, its best state if it keeps one, its logs and its spec.

A folder is a run once it has a checkpoint, whose first one comes together with the spec. The checkpoint holds all
that `--resume` needs; the log may go, and a spec that is gone is written again from the checkpoint. So whatever an
interruption leaves behind either resumes or can be taken by a new run.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from math import inf
from pathlib import Path
from typing import BinaryIO

from fac.backend import Array
from fac.diagnostics import FacError
from fac.opening import LOG, content, opened, there, unreadable
from fac.opening import SPEC as SPEC_FILE
from fac.opening import STEPS as STEPS_LOG
from fac.pipeline import load
from fac.render.yaml import dump
from fac.training import checkpoint
from fac.training.checkpoint import Checkpoint
from fac.training.holding import Held, alone_in
from fac.training.logs import EpochRecord, StepRecord
from fac.training.metadata import BASE
from fac.training.places import rebased, rebased_json, start
from fac.writing import append, cut, make_parents, settle, staged, unwritable, write

SPEC = "spec.fac.yaml"
STATE = checkpoint.FILE
METRICS = "metrics.jsonl"
STEPS = "steps.jsonl"
BLOCK, LONGEST = 1 << 20, 10_000_000
"""Bytes of it that are read at a time, and of a line of it."""
OUTCOME = "outcome.json"
"""What came of the training, once it is over; see `fac.experiments.ended`."""


class RunFolder:
    """An existing folder that belongs to one run."""

    def __init__(self, held: Held, about: Mapping[str, str], spec: str = "", log: str = "") -> None:
        """Take the folder as it is.

        Args:
            held: from `claim` or `resumed`.
            about: what checkpoints say of the run beside its spec, such as the backend.
            spec: text of the spec, which the first checkpoint brings along.
            log: text of the log so far, which comes with it, too.
        """
        self.held, self.about, self.spec, self.log = held, dict(about), spec, log

    @property
    def path(self) -> Path:
        """Where the folder is now.

        Raises:
            FacError: it is gone.
        """
        return self.held.path

    @property
    def state(self) -> Path:
        """The latest checkpoint; at the end the final state."""
        return self.path / STATE

    @property
    def begun(self) -> bool:
        """Whether it has a checkpoint."""
        return self.held.anywhere(lambda path: there(path / STATE))

    def says_otherwise(self, since: Checkpoint, about: Mapping[str, str]) -> bool:
        """Whether checkpoints from now on carry another spec, or another way to its data, than that one does."""
        now = {**about, **self.about}
        return any(since.about.get(key) != now.get(key) for key in ("spec", BASE))

    def write_spec(self) -> None:
        """Replace the text of the spec, if there is one.

        Raises:
            FacError: the file cannot be written.
        """
        if self.spec:
            write(self.path / SPEC, self.spec.encode(), self.held.descriptor)

    def save(self, state: Mapping[str, Array], about: Mapping[str, str]) -> None:
        """Replace the checkpoint.

        Raises:
            FacError: it cannot be written; the one before is still there.
        """
        about, at = {**about, **self.about}, self.held.descriptor

        def begin(path: Path) -> None:
            # together: a folder with a spec alone could neither be resumed nor be told from a user's own
            with staged(path, at=at) as place:
                checkpoint.save(place / STATE, state, about)
                write(place / SPEC, self.spec.encode())
                if self.log:
                    write(place / METRICS, self.log.encode())

        if self.spec and not self.held.anywhere(lambda path: there(path / SPEC)):
            self.held.anywhere(begin)
        else:
            checkpoint.save(self.state, state, about, at)

    def save_best(self, state: Mapping[str, Array], about: Mapping[str, str]) -> None:
        """Replace the best state, which stands beside the checkpoint.

        Raises:
            FacError: it cannot be written; the one before is still there.
        """
        checkpoint.save(self.path / checkpoint.BEST, state, {**about, **self.about}, self.held.descriptor)

    def append(self, record: EpochRecord) -> None:
        """Log an epoch.

        Raises:
            FacError: the log cannot be written.
        """
        append(self.path / METRICS, record.to_json(), self.held.descriptor)

    def note(self, record: StepRecord) -> None:
        """Log a step.

        Raises:
            FacError: the log cannot be written.
        """
        append(self.path / STEPS, record.to_json(), self.held.descriptor)

    def rewind(self, epochs: int, steps: int) -> list[EpochRecord]:
        """The records of the first `epochs` epochs. Later ones are dropped: their steps will be made again.

        So are those of steps after the first `steps`.

        Raises:
            FacError: a log cannot be read or written.
        """
        sooner = self.held.anywhere(lambda path: _sooner(path, steps))
        if sooner is not None:
            cut(self.path / STEPS, sooner, self.held.descriptor)
        found = self.held.anywhere(logged)
        # how a network begins is told anew where it has made no step: a fork may begin with another one
        records = [r for r in found if r is not None and r.epoch <= epochs and (r.epoch or steps)]
        if len(records) < len(found):
            kept = "".join(r.to_json() + "\n" for r in records).encode()
            write(self.path / METRICS, kept, self.held.descriptor)
        return records


def logged(folder: Path) -> list[EpochRecord | None]:
    """What the lines of a log say; None for one that is no record, as the last of a run that was killed may be.

    Raises:
        FacError: it cannot be read.
    """
    if not there(folder / METRICS):
        return []
    text = content(folder / METRICS, LOG, within=folder).decode(errors="replace")
    return [_record(line) for line in text.splitlines()]


def _sooner(folder: Path, steps: int) -> int | None:
    """Of how many bytes the log of steps is up to the last line of the first `steps`; None if it ends there.

    It is read from its end, however long it is.
    """
    place = folder / STEPS
    if not there(place):
        return None
    try:
        with opened(place, STEPS_LOG, within=folder) as file:
            size = os.fstat(file.fileno()).st_size
            for end, line in _backwards(file, size):
                if _step(line) <= steps:
                    return end if end < size else None
    except OSError as error:
        raise unreadable(f"`{place}`", error) from error
    return 0 if size else None


def _backwards(file: BinaryIO, size: int) -> Iterator[tuple[int, str]]:
    """Lines of a file from the last one on, each with the place behind its end."""
    start, rest = size, b""
    while start:
        end = start + len(rest)
        start = max(0, start - BLOCK)
        file.seek(start)
        block = file.read(end - len(rest) - start) + rest
        if len(block) > LONGEST:
            raise FacError(
                f"`{STEPS}` has a line of more than {LONGEST:,} bytes, which no run wrote: remove the file, and the "
                "run goes on without it"
            )
        lines = block.splitlines(keepends=True)
        rest = lines.pop(0) if start and lines else b""
        for line in reversed(lines):
            yield end, line.decode(errors="replace")
            end -= len(line)


def _step(line: str) -> float:
    """Of which step a line is; infinite for one that is no record."""
    try:
        step = json.loads(line)["step"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return inf
    return step if type(step) is int else inf


@contextmanager
def claim(path: Path | None, name: str, spec: Callable[[Path], str] = lambda _: "") -> Iterator[Held]:
    """Hold the folder of a new run: one that is made here, or an existing one without a run.

    Args:
        path: as the user gave it; None picks the first free of `runs/NAME-1`, `runs/NAME-2`, ...
        name: of the spec.
        spec: its text in a folder. One that holds just this text is one where the run did not get further.

    Raises:
        FacError: the folder cannot be made or written to, holds a run already, or is in use.
    """
    made: list[Path] = []
    if path is None:
        # Names of files end at 255 bytes, of which a letter may take four.
        made = _numbered(Path("runs"), re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60] or "run")
        path = made[0]
    with alone_in(path, made) as held:
        held.anywhere(lambda path: _require_no_run(path, spec(path)))
        yield held


@contextmanager
def resumed(path: Path) -> Iterator[tuple[Held, Checkpoint]]:
    """Hold the folder of a run that goes on, from the checkpoint that this gives beside it.

    Raises:
        FacError: the folder holds no run or is in use, or its checkpoint is damaged.
    """
    if there(path) and not path.is_dir():
        raise FacError(f"`{path}` is a file: name the folder of the run")
    settle(path)
    if not there(path / STATE):
        raise FacError(f"`{path}` holds no run to resume: there is no `{STATE}`")
    with alone_in(path) as held:
        # read only now: until the folder was ours, another process may have replaced it
        found = held.anywhere(checkpoint.load)
        if "spec" in found.about and not held.anywhere(lambda path: there(path / SPEC)):
            write(held.path / SPEC, _restored(found).encode(), held.descriptor)
        yield held, found


def _restored(found: Checkpoint) -> str:
    """The text of a spec that is gone, from its checkpoint."""
    known = json.loads(found.about["spec"])
    try:
        data = load(known).data
    except FacError:
        data = None  # of a plug-in that has gone since; the resume says so with the places in this text
    changes = {} if data is None else rebased(data, start(found), found.place.parent)
    return dump(json.loads(rebased_json(found.about["spec"], changes)))


def _require_no_run(path: Path, spec: str) -> None:
    if there(path / STATE):
        raise FacError(
            f"`{path}` already holds `{STATE}`: continue that run with `--resume {path}`, "
            "or give another folder to `--out`"
        )
    for name in (METRICS, STEPS, OUTCOME, checkpoint.BEST):
        if there(path / name):
            raise FacError(f"`{path}` holds the `{name}` of another run: give another folder to `--out`")
    if there(path / SPEC) and content(path / SPEC, SPEC_FILE, within=path) != spec.encode():
        raise FacError(
            f"`{path}` holds another `{SPEC}`, which this run would replace: give another folder to `--out`"
        )


def _numbered(parent: Path, stem: str) -> list[Path]:
    """A new folder, and `parent` if that is new, too."""
    made: list[Path] = []
    try:
        for number in count(1):
            path = parent / f"{stem}-{number}"
            made += make_parents(
                path
            )  # each time: another run that came to nothing may just have removed them
            with suppress(FileExistsError, FileNotFoundError):
                path.mkdir()  # fails if it exists, so two runs that start at once get two folders
                return [path, *made]
    except UnicodeEncodeError as error:
        raise FacError(
            f"the names of files have no such letters here as `{stem}` has: name a folder with `--out`, or use UTF-8"
        ) from error
    except OSError as error:
        raise unwritable(parent, error) from error
    raise AssertionError("numbers do not end")


def _record(line: str) -> EpochRecord | None:
    try:
        return EpochRecord.from_json(line)
    except ValueError:
        return None
