"""One trial: a training whose result on validation data is what counts, and that ends early where others did better."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING

from fac.diagnostics import FacError
from fac.experiments import ended, made_with, outcomes
from fac.experiments.forms import Belonging
from fac.experiments.rows import Run
from fac.experiments.sealing import Count, Form, UnsoundError, sealed, unsealed
from fac.opening import MANIFEST, content, there
from fac.training.folder import METRICS, logged
from fac.training.holding import LOCK, alone_in
from fac.training.logs import EpochRecord, Listener
from fac.training.logs import Plan as Course
from fac.writing import write

if TYPE_CHECKING:
    from fac.experiments.trainer import Trainer
    from fac.source import Document
    from fac.training.logs import Progress, StepRecord

RISEN = "risen"
"""The kind of concern that says so, see `fac.training.outcome`."""
PRUNED = "pruned.json"
"""There once a trial was ended early."""
Curve = Mapping[int, float]
"""What validation data gave after each epoch."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be found."""

    metric: str
    """Of `validation_…`: `accuracy`, which is to be high, or `loss`, which is to be low."""

    @property
    def name(self) -> str:
        """As a column of `metrics.jsonl`."""
        return f"validation_{self.metric}"

    @property
    def direction(self) -> str:
        """As Optuna calls it."""
        return "maximize" if self.metric == "accuracy" else "minimize"

    def of(self, record: EpochRecord) -> float:
        """What an epoch gave; NaN if it has no such number."""
        return record.validation.get(self.metric, nan)

    def text(self, value: float) -> str:
        """A value for people."""
        return f"{100 * value:.1f} %" if self.metric == "accuracy" else f"{value:.4g}"


@dataclass(frozen=True, slots=True)
class Tried:
    """A trial that is over."""

    state: str
    """`complete`, `pruned` or `diverged`."""
    curve: Curve
    problem: str = ""
    kept: int | None = None
    """The epoch whose state it offers (`train.keep`); None if that is the last one."""
    risen: str = ""
    """How it ran away, if its loss ended far above that of the untrained network. No word of test data."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of what computed as it ended."""

    @property
    def value(self) -> float:
        """After the epoch whose state it offers; NaN if there is none."""
        return self.curve.get(self.epochs if self.kept is None else self.kept, nan)

    @property
    def epochs(self) -> int:
        """How many were made."""
        return max(self.curve, default=0)


class PrunedForm(Form):
    """What the file of a trial holds that was ended early."""

    epoch: Count
    log: str
    """The digest of its log."""
    belongs: Belonging
    versions: dict[str, str]


class PrunedError(Exception):
    """A trial is over before its last epoch."""

    def __init__(self, epoch: int) -> None:
        """After which one."""
        super().__init__(f"pruned after epoch {epoch}")
        self.epoch = epoch


class _Judge(Listener):
    """Ends a training at an epoch after which others, that are complete, were better: their median."""

    def __init__(self, goal: Goal, others: Sequence[Curve], path: Path, listener: Listener) -> None:
        from fac.experiments.sweeps.searching import Pruner

        self.goal, self.path, self.listener = goal, path, listener
        self.pruner = Pruner(goal.direction, others)
        self.epochs = 0

    def began(self, plan: Course) -> None:
        self.epochs = plan.epochs
        self.listener.began(plan)
        for record in logged(self.path):
            # a line that the state does not know of is of an epoch that is made again
            if record is not None and 0 < record.step <= plan.done:
                self._judge(record)

    def started(self, record: EpochRecord) -> None:
        self.listener.started(record)

    def noted(self, record: StepRecord) -> None:
        self.listener.noted(record)

    def moved(self, progress: Progress) -> None:
        self.listener.moved(progress)

    def ended(self, record: EpochRecord) -> None:
        self.listener.ended(record)
        self._judge(record)

    def stopped(self, text: str) -> None:
        self.listener.stopped(text)

    def said(self, text: str) -> None:
        self.listener.said(text)

    def _judge(self, record: EpochRecord) -> None:
        if record.epoch < self.epochs and self.pruner.prunes(record.epoch, self.goal.of(record)):
            raise PrunedError(record.epoch)


def make(
    trainer: Trainer,
    document: Document,
    path: Path,
    belongs: Belonging,
    goal: Goal,
    others: Sequence[Curve] | None,
    *,
    listener: Listener,
    stop: Callable[[], bool],
) -> None:
    """Make what is left of a trial; see `fac.experiments.outcomes.make`.

    Args:
        trainer: has the data.
        document: the spec with the settings of the trial.
        path: its folder.
        belongs: which trial it is.
        goal: what is to be found.
        others: trials that it is held against; None prunes nothing.
        listener: hears how it goes.
        stop: see `outcomes.make`.
    """
    heard = listener if others is None else _Judge(goal, others, path, listener)
    try:
        outcomes.make(trainer, document, path, belongs, listener=heard, stop=stop)
    except PrunedError as pruned:
        found = {
            "epoch": pruned.epoch,
            "log": ended.log_digest(path),
            "belongs": belongs.model_dump(),
            "versions": made_with.versions(),
        }
        write(path / PRUNED, sealed(found))


def read(path: Path, goal: Goal, belongs: Belonging) -> Tried | None:
    """The trial in a folder; None if it is not over.

    Raises:
        ForeignError: it is another one.
        FacError: what lies there is no trial, or its log has changed, by which it is judged.
    """
    if there(path / LOCK):  # it was killed as it ended
        with alone_in(path):
            pass
    if there(path / PRUNED):
        return _pruned(path, goal, belongs)
    run = ended.read(path, belongs)
    if run is None:
        return None
    if run.said:
        raise _altered(path, run.said[-1])
    return _over(run, goal)


def _pruned(path: Path, goal: Goal, belongs: Belonging) -> Tried:
    try:
        found = unsealed(content(path / PRUNED, MANIFEST, within=path), PrunedForm)
    except UnsoundError as error:
        raise FacError(
            f"`{path / PRUNED}` is not what a trial wrote that ended early, {error}: remove it, and the trial goes on"
        ) from error
    ended.require_own(path, found.belongs, belongs)
    if ended.log_digest(path) != found.log:
        raise _altered(path, f"its `{METRICS}` is not as the training left it")
    curve = _curve([record for record in logged(path) if record is not None], goal)
    return Tried("pruned", curve, versions=found.versions)


def _altered(path: Path, why: str) -> FacError:
    return FacError(
        f"`{path}`: {why}, and a trial is judged by it: bring back a copy of it, or give another folder to `--out`"
    )


def _over(run: Run, goal: Goal) -> Tried:
    curve = _curve(run.history, goal)
    if run.diverged:
        return Tried("diverged", curve, run.problem, versions=run.versions)
    best = None if run.report is None else run.report.best
    concerns = () if run.report is None else run.report.concerns
    risen = next((_grown(concern.figures) for concern in concerns if concern.kind == RISEN), "")
    found = Tried(
        "complete", curve, kept=None if best is None else best.epoch, risen=risen, versions=run.versions
    )
    if not isfinite(found.value):
        return replace(found, state="diverged", problem=f"its {goal.name} is no number", kept=None)
    return found


def _grown(figures: Mapping[str, float]) -> str:
    now, before = (figures.get(name, nan) for name in ("train_loss", "untrained_loss"))
    return f"the loss rose to {now:.4g} on training samples, from {before:.4g} of the untrained network"


def _curve(records: Sequence[EpochRecord], goal: Goal) -> Curve:
    return {record.epoch: goal.of(record) for record in records if record.epoch}
