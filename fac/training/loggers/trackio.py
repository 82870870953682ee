"""Trackio: a run in a database on this machine, which `trackio show` shows."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from fac.diagnostics import FacError
from fac.spec.loggers import Logger
from fac.training.loggers.kind import About, LoggerKind, missing
from fac.training.loggers.runs import RunLog

FOLDER = "TRACKIO_DIR"


class Trackio(Logger):
    """A run of Trackio, in `trackio/` in the folder of the run, or where `TRACKIO_DIR` says."""

    kind: Literal["trackio"] = Field(
        "trackio", description="A run of Trackio, on this machine. Needs the extra `trackio`."
    )
    project: str | None = Field(None, description="The project. Default: the name of the spec.")


class _Run(RunLog):
    def __init__(self, logger: Trackio, about: About) -> None:
        trackio = _within(about.folder / "trackio")
        with _offline():
            # not `trackio.init`, which obeys variables that name a server
            run = trackio.Run(
                url=None,
                project=logger.project or about.name,
                client=None,
                name=about.folder.name,
                config=dict(about.spec),
                auto_log_cpu=False,
                auto_log_gpu=False,
            )
        super().__init__(run)

    def close(self) -> None:
        # it prints, and what is printed may be for a machine
        with redirect_stdout(StringIO()):
            super().close()


@contextmanager
def _offline() -> Iterator[None]:
    """A run asks the Hugging Face hub whose token lies on this machine, and keeps the name: not within."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _within(folder: Path) -> Any:
    """The package, which reads as it is loaded where its databases lie.

    Raises:
        FacError: it is not installed, or was loaded for another folder.
    """
    own, loaded = os.environ.get(FOLDER), "trackio" in sys.modules
    wanted = os.environ[FOLDER] = own or str(folder.absolute())
    try:
        import trackio
    except ImportError as error:
        raise missing("trackio") from error
    finally:
        if not own:
            del os.environ[FOLDER]
    if loaded and Path(trackio.TRACKIO_DIR).resolve() != Path(wanted).resolve():
        raise FacError(
            f"Trackio writes to one folder as long as a process lives, and here that is `{trackio.TRACKIO_DIR}`: set "
            f"`{FOLDER}` to a folder for all runs before the first, or train each in a process of its own"
        )
    return trackio


TRACKIO = LoggerKind("trackio", Trackio, _Run)
