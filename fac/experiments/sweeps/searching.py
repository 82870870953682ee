"""What is tried next, and whether a trial goes on: Optuna's samplers and pruner.

A sampler draws trials in rounds, and learns from a round when all of it is over, in the order of its numbers; so does
the pruner. Each trial is drawn by a generator of its own. So nothing depends on which trial ends first, or on how many
are made at a time, and a search that goes on draws what it would have drawn.

`journal.log` is the journal of Optuna's `JournalStorage`. It is replaced as a whole before and after each round.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import MedianPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import TrialState

from fac.diagnostics import FacError
from fac.experiments.sweeps.spaces import Dimension, Point
from fac.experiments.sweeps.trying import Curve, Tried
from fac.opening import LOG, content, there
from fac.writing import write

JOURNAL = "journal.log"
ROUND = 6
"""Trials of a rule that are drawn together."""
WARM = 2
"""No trial is pruned before this epoch, from 1 ..."""
STARTUP = 5
"""... nor before so many are complete."""
DIVERGED = "diverged"
"""What the journal says of a trial whose numbers ceased to be finite: to Optuna it was pruned, and has no value."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A trial of the round that is not over."""

    number: int
    point: Point


class Journal(BaseJournalBackend):
    """The lines of the journal, in memory until they are saved."""

    def __init__(self, path: Path) -> None:
        """Read it, if it is there.

        Raises:
            FacError: it is no journal.
        """
        self.path = path
        text = content(path, LOG, within=path.parent).decode(errors="replace") if there(path) else ""
        try:
            self.logs: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
        except (ValueError, RecursionError) as error:
            raise _no_journal(path) from error

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """See `BaseJournalBackend`."""
        return self.logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """See `BaseJournalBackend`."""
        self.logs += logs

    def save(self) -> None:
        """Replace the file.

        Raises:
            FacError: it cannot be written.
        """
        lines = (json.dumps(log, separators=(",", ":")) for log in self.logs)
        write(self.path, "".join(f"{line}\n" for line in lines).encode())


def opened(path: Path) -> tuple[Journal, JournalStorage]:
    """The journal of a folder, and what it tells.

    Raises:
        FacError: it is no journal.
    """
    journal = Journal(path / JOURNAL)
    try:
        return journal, JournalStorage(journal)
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, AssertionError) as error:
        raise _no_journal(journal.path) from error


class Search:
    """The search for the settings of one rule."""

    def __init__(
        self,
        journal: Journal,
        storage: JournalStorage,
        name: str,
        direction: str,
        space: Sequence[Dimension],
        points: Sequence[Point] | None,
        trials: int,
        sampler: str,
        seed: int,
    ) -> None:
        """Begin it, or go on.

        Args:
            journal: see `opened`, as `storage`.
            storage: keeps it.
            name: of the rule, or row.
            direction: `maximize` or `minimize`.
            space: what is searched through.
            points: all of it, where it holds no more than are to be tried.
            trials: how many are.
            sampler: `tpe` or `random`.
            seed: of the sampler.
        """
        self.journal, self.storage = journal, storage
        self.trials = len(points) if points is not None else trials
        self.sampler, self.seed = sampler, seed
        self.distributions = {dimension.path: _distribution(dimension) for dimension in space}
        self.points = points
        with _quiet():
            self.study = optuna.create_study(
                storage=storage,
                study_name=name,
                direction="maximize" if direction == "maximize" else "minimize",
                load_if_exists=True,
                sampler=_sampler(sampler, seed, 0),
            )

    @property
    def told(self) -> list[int]:
        """The numbers of the trials whose round is over."""
        over = (TrialState.COMPLETE, TrialState.PRUNED)
        return [trial.number for trial in self.study.get_trials(deepcopy=False, states=over)]

    def point(self, number: int) -> Point:
        """The settings of a trial that was drawn."""
        params = self.study.get_trials(deepcopy=False)[number].params
        return {path: params[path] for path in self.distributions}

    def round(self) -> list[Drawn]:
        """The trials that are to be made: those that were drawn already, or else the next ones; none if it is over."""
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if not running:
            done = len(self.study.get_trials(deepcopy=False))
            for number in range(done, min(done + ROUND, self.trials)):
                self.study.sampler = _sampler(self.sampler, self.seed, number)
                if self.points is not None:
                    self.study.enqueue_trial(dict(self.points[number]))
                self.study.ask(self.distributions)
            self.journal.save()
            running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [Drawn(trial.number, self.point(trial.number)) for trial in running]

    def tell(self, found: Mapping[int, Tried]) -> None:
        """What came of a round, by the numbers of its trials."""
        study = self.storage.get_study_id_from_name(self.study.study_name)
        for number in sorted(found):
            tried = found[number]
            trial = self.storage.get_trial_id_from_study_id_trial_number(study, number)
            if tried.state == DIVERGED:
                self.storage.set_trial_user_attr(trial, DIVERGED, tried.problem)
                self.study.tell(number, state=TrialState.PRUNED)
                continue
            for epoch, value in tried.curve.items():
                self.storage.set_trial_intermediate_value(trial, epoch, value)
            if tried.state == "complete":
                self.study.tell(number, tried.value)
            else:
                self.study.tell(number, state=TrialState.PRUNED)
        self.journal.save()


class Pruner:
    """Whether a trial ends early: Optuna's `MedianPruner`, held against trials that were complete before it began."""

    def __init__(self, direction: str, others: Sequence[Curve]) -> None:
        """`others`: the values of those, after each epoch."""
        towards: Literal["maximize", "minimize"] = "maximize" if direction == "maximize" else "minimize"
        with _quiet():
            study = optuna.create_study(
                direction=towards, pruner=MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=WARM)
            )
        for curve in others:
            study.add_trial(optuna.create_trial(value=curve[max(curve)], intermediate_values=dict(curve)))
        self.trial = study.ask()

    def prunes(self, epoch: int, value: float) -> bool:
        """Whether it ends with this epoch, after which it has this value."""
        self.trial.report(value, epoch)
        return self.trial.should_prune()


def _sampler(name: str, seed: int, number: int) -> BaseSampler:
    """One for a trial alone, so that what it draws depends on no other draw."""
    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    return RandomSampler(seed=own) if name == "random" else TPESampler(seed=own, multivariate=True)


def _distribution(dimension: Dimension) -> BaseDistribution:
    values: tuple[Any, ...] = dimension.values
    if dimension.form == "choice":
        return CategoricalDistribution(values)
    if dimension.form == "int":
        return IntDistribution(*values)
    low, high = values
    return FloatDistribution(low, high, log=dimension.form == "log")


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna logs that it has made a study, which is nobody's question here."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _no_journal(path: Path) -> FacError:
    return FacError(
        f"`{path}` is not the journal of a sweep: bring back a copy of it, or give another folder to `--out`"
    )
