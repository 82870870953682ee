"""One run of a comparison that is kept: a folder as `fac train` writes it, and what came of it once it is over.

What is there is the same whenever it was interrupted, so wall-clock times lie in a file of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING

from fac.experiments import ended, passed
from fac.experiments.ended import TIMED
from fac.experiments.job import begun, new
from fac.experiments.rows import TIMES
from fac.opening import there
from fac.render.json_text import json_text
from fac.training import folder
from fac.training.checkpoint import require_spec
from fac.training.folder import RunFolder
from fac.training.logs import EpochRecord
from fac.training.nonfinite import DivergedError
from fac.writing import append

if TYPE_CHECKING:
    from fac.experiments.forms import Belonging
    from fac.experiments.trainer import Trainer
    from fac.source import Document
    from fac.training.logs import Listener


class _Timeless(RunFolder):
    """A folder whose log has no times."""

    def append(self, record: EpochRecord) -> None:
        """Log an epoch, and its times elsewhere."""
        times = {"epoch": record.epoch, **{name: getattr(record, name) for name in TIMES}}
        append(self.path / TIMED, json_text(times), self.held.descriptor)
        super().append(replace(record, seconds=nan, step_ms=nan))


def make(
    trainer: Trainer,
    document: Document,
    path: Path,
    belongs: Belonging,
    *,
    listener: Listener,
    stop: Callable[[], bool],
) -> None:
    """Train what is left of a run, and keep what came of it.

    Args:
        trainer: has the data.
        document: the spec, with its seed.
        path: of the folder, which is new or holds a part of this run.
        belongs: which training it is.
        listener: hears how it goes.
        stop: see `fac.training.loop.train`.

    Raises:
        StoppedError: `stop` said so; the state is kept.
        FacError: the folder holds another run or is in use, or the run cannot be made.
    """
    with ExitStack() as stack:
        job = new(document, trainer.where, dataset=trainer.handed)
        if there(path / folder.STATE):
            held, found = stack.enter_context(folder.resumed(path))
            require_spec(found, job.artifact.compiled, job.spec)
            job = replace(job, checkpoint=found, choices=passed.choices(found.about, job.backend))
        else:
            held = stack.enter_context(folder.claim(path, job.spec.name, job.text))
        try:
            dataset = trainer.dataset(document, job.program)
            ready = begun(job, held, dataset, _Timeless)
            with ready.told(listener) as heard:
                training = ready.training(heard, stop)
                report = training.run()
            ended.keep(held, report, trainer.looked(training, job.program), belongs=belongs)
        except DivergedError as error:
            ended.keep(held, error, belongs=belongs)
