"""Ending what is kept early, and what of a folder has to be equal whenever that was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fac.experiments.trainer import Heard, Watch
from fac.training.logs import Listener


def files(folder: str | Path) -> dict[str, bytes]:
    """All that depends on neither the clock nor a process: Optuna's journal has times."""
    found = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in found
        if not path.name.startswith("times.") and path.name != "journal.log"
    }


class Stopping(Watch):
    """Ends a comparison or a sweep after so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    @contextmanager
    def training(self, label: str) -> Iterator[Heard]:
        yield Listener(), self.stop

    def stop(self) -> bool:
        self.left -= 1
        return self.left < 0
