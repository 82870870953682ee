"""What a training leaves in its folder: the checkpoint, the best state, the log of epochs and that of steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from fac.backend import Array
from fac.diagnostics import FacError
from fac.training.folder import METRICS, RunFolder
from fac.training.logs import EpochRecord, Listener, StepRecord


class Recording:
    """The folder of one training, or none: then nothing is kept."""

    def __init__(self, out: RunFolder | None, about: Mapping[str, str], listener: Listener) -> None:
        """`about` is what every checkpoint says; the listener hears what is gone."""
        self.out, self.about, self.listener = out, dict(about), listener
        self.kept: int | None = None
        """After how many steps the state was that the folder holds."""

    def keep(self, state: Mapping[str, Array], step: int, more: Mapping[str, str]) -> None:
        """Replace the checkpoint by a state after so many steps, which says `more` than others.

        Raises:
            FacError: it cannot be written.
        """
        if self.out:
            with self._resumable():
                self.out.save(state, {**self.about, **more})
            self.kept = step

    def best(self, state: Mapping[str, Array], more: Mapping[str, str]) -> None:
        """Replace the best state likewise."""
        if self.out:
            with self._resumable():
                self.out.save_best(state, {**self.about, **more})

    def epoch(self, record: EpochRecord) -> None:
        """Log an epoch."""
        if self.out:
            with self._resumable():
                self.out.append(record)

    def step(self, record: StepRecord) -> None:
        """Log a step."""
        if self.out:
            with self._resumable():
                self.out.note(record)

    def history(self, done: int, steps: int) -> tuple[EpochRecord | None, list[EpochRecord]]:
        """What the logs hold of the time before: how the network began, and so many epochs.

        What is logged of later epochs and steps is dropped.

        Raises:
            FacError: a log cannot be read or written.
        """
        if self.out is None:
            return None, []
        found = self.out.rewind(done, steps)
        start = next((record for record in found if record.epoch == 0), None)
        history = [record for record in found if record.epoch]
        gone = done - len(history)
        if gone > 0:
            lines = (
                "the line of 1 earlier epoch is" if gone == 1 else f"the lines of {gone} earlier epochs are"
            )
            self.listener.said(f"{lines} gone from `{self.out.path / METRICS}`; the state is whole")
        return start, history

    @contextmanager
    def _resumable(self) -> Iterator[None]:
        """Say what is there to go on from, where something cannot be written."""
        try:
            yield
        except FacError as error:
            if self.kept is None or self.out is None or not isinstance(error.__cause__, OSError):
                raise
            text = f"{error}; the state after step {self.kept} is kept: mend that, and go on"
            raise FacError(f"{text} with `fac train --resume {self.out.path}`") from error.__cause__
