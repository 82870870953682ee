"""What these functions have in common: where they run, and who hears of them."""

from __future__ import annotations

import logging
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from fac import asked
from fac.experiments.job import Where
from fac.experiments.trainer import Heard, Watch
from fac.training.data import python
from fac.training.logs import EpochRecord, Listener
from fac.tuning import MODES, Mode

if TYPE_CHECKING:
    from fac.backend import Precision

LOG = logging.getLogger("fac")


class Logged(Listener):
    """Hears of a training for those who name nobody else."""

    def ended(self, record: EpochRecord) -> None:
        LOG.info("epoch %d: %s", record.epoch, record.to_json())

    def said(self, text: str) -> None:
        LOG.warning("%s", text)


class Watched(Watch):
    """Likewise of a comparison."""

    def training(self, label: str) -> AbstractContextManager[Heard]:
        return nullcontext((Logged(), lambda: False))


def where_of(
    backend: str | None,
    device: str | None,
    precision: Precision | None,
    disable: Collection[str] | None = None,
) -> Where:
    """Where something runs, compiled without these passes.

    Raises:
        FacError: one of these is no name, or the last are no names.
    """
    asked.name(backend, "backend", "torch")
    asked.name(device, "device", "cpu")
    asked.name(precision, "precision", "float64")
    disabled = None if disable is None else asked.texts(disable, "disable", "share_common")
    return Where(backend, device, precision, disabled)


def mode(tune: object) -> Mode | None:
    """One of `fac.tuning.MODES`, if it is given.

    Raises:
        FacError: it is something else.
    """
    asked.name(tune, "tune", "full")
    for known in (None, *MODES):
        if tune == known:
            return known
    raise asked.wrong("tune", tune, f"one of {', '.join(f'`{known}`' for known in MODES)}")


def allow(code: bool) -> None:
    """Whether specs may name functions, as `--allow-code` says."""
    if code:
        python.allow()
