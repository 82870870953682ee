"""One run of a comparison that is kept: a folder as `fac train` writes it, and what came of it once it is over.

What is there is the same whenever it was interrupted, so wall-clock times lie in a file of their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, fields, replace
from math import nan
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from fac.audit import Measured
from fac.diagnostics import FacError
from fac.experiments.job import begun, new
from fac.experiments.rows import TIMES, Run
from fac.opening import LOG, MANIFEST, content, there
from fac.render.json_text import json_text
from fac.training import folder
from fac.training.best import Best
from fac.training.checkpoint import require_spec
from fac.training.folder import RunFolder, logged
from fac.training.logs import EpochRecord
from fac.training.loop import Report
from fac.training.nonfinite import DivergedError
from fac.training.outcome import Concern
from fac.writing import append, write

if TYPE_CHECKING:
    from fac.experiments.trainer import Trainer
    from fac.source import Document
    from fac.training.logs import Listener

OUTCOME = "outcome.json"
TIMED = "times.jsonl"
_APART = ("history", "concerns", "start", "best", *TIMES)


class _Timeless(RunFolder):
    """A folder whose log has no times."""

    def append(self, record: EpochRecord) -> None:
        """Log an epoch, and its times elsewhere."""
        times = {"epoch": record.epoch, **{name: getattr(record, name) for name in TIMES}}
        append(self.path / TIMED, json_text(times), self.held.descriptor)
        super().append(replace(record, seconds=nan, step_ms=nan))


def make(
    trainer: Trainer, document: Document, path: Path, listener: Listener, stop: Callable[[], bool]
) -> None:
    """Train what is left of a run, and keep what came of it.

    Args:
        trainer: has the data.
        document: the spec, with its seed.
        path: of the folder, which is new or holds a part of this run.
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
            job = replace(job, checkpoint=found)
        else:
            held = stack.enter_context(folder.claim(path, job.spec.name, job.text))
        try:
            dataset = trainer.dataset(document, job.program)
            ready = begun(job, held, dataset, _Timeless)
            with ready.told(listener) as heard:
                training = ready.training(heard, stop)
                report = training.run()
            looked = trainer.looked(training, job.program)
            outcome = _flat(report) | {"audit": None if looked is None else asdict(looked)}
        except DivergedError as error:
            outcome = {"report": None, "problem": error.why, "concerns": [], "audit": None}
        write(held.path / OUTCOME, (json_text(outcome, indent=1) + "\n").encode(), held.descriptor)


def read(path: Path, seed: int) -> Run | None:
    """The run in a folder; None if it is not over.

    Raises:
        FacError: what lies there is no outcome of a run.
    """
    if not there(path / OUTCOME) or not there(path / folder.STATE):
        return None
    times = _times(path)
    try:
        found = json.loads(content(path / OUTCOME, MANIFEST, within=path))
        records = tuple(
            replace(record, seconds=seconds, step_ms=step_ms)
            for record in logged(path)
            if record is not None
            for seconds, step_ms in [times.get(record.epoch, (nan, nan))]
        )
        history = tuple(record for record in records if record.epoch)
        if found["report"] is None:
            return Run(seed, None, history, str(found["problem"]), diverged=True)
        return Run(seed, _report(found, records, history), history, audit=_looked(found["audit"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FacError(f"`{path / OUTCOME}` is not what came of a run: remove it, and call again") from error


def _flat(report: Report) -> dict[str, Any]:
    figures = {
        field.name: getattr(report, field.name) for field in fields(Report) if field.name not in _APART
    }
    concerns = [
        {"kind": c.kind, "message": c.message, "figures": dict(c.figures), "of": c.of}
        for c in report.concerns
    ]
    figures["best"] = None if report.best is None else asdict(report.best)
    return {"report": figures, "problem": None, "concerns": concerns}


def _report(
    found: Mapping[str, Any], records: tuple[EpochRecord, ...], history: tuple[EpochRecord, ...]
) -> Report:
    figures: dict[str, Any] = {
        field.name: nan if found["report"][field.name] is None and field.type == "float" else value
        for field in fields(Report)
        if field.name not in _APART
        for value in [found["report"][field.name]]
    }
    concerns = tuple(Concern(**concern) for concern in found["concerns"])
    best = None if found["report"]["best"] is None else Best(**found["report"]["best"])
    lasted = [record.seconds for record in history]
    steps = [record.step_ms for record in history if record.step_ms == record.step_ms]
    return Report(
        **figures,
        history=history,
        concerns=concerns,
        start=next((record for record in records if record.epoch == 0), None),
        best=best,
        seconds=sum(lasted),
        step_ms=median(steps) if steps else nan,
    )


def _looked(found: Mapping[str, Any] | None) -> Measured | None:
    """As JSON has it, where no number is null."""
    if found is None:
        return None
    parts = {name: found[name] for name in ("scale", "routed", "true", "cosine")}
    numbers = {
        name: {key: nan if v is None else float(v) for key, v in of.items()} for name, of in parts.items()
    }
    return Measured(**numbers, stacked=nan if found["stacked"] is None else float(found["stacked"]))


def _times(path: Path) -> dict[int, tuple[float, float]]:
    """Seconds, and milliseconds of a step, of each epoch, as it was made last."""
    if not there(path / TIMED):
        return {}
    found: dict[int, tuple[float, float]] = {}
    for line in content(path / TIMED, LOG, within=path).decode(errors="replace").splitlines():
        try:
            epoch = json.loads(line)
            found[epoch["epoch"]] = float(epoch["seconds"]), float(epoch["step_ms"])
        except (ValueError, KeyError, TypeError, RecursionError):
            continue  # cut off, as the last line may be
    return found
