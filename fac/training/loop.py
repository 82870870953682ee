"""The trainer: passes over the training set, each followed by evaluation, probes, a log line, a checkpoint.

Written once against `Session`. How a pass trains is the business of its family; this module only asks a
family for its passes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from fac.backend import Array, Session
from fac.diagnostics import FacError
from fac.opening import there
from fac.program.lower import kind_of
from fac.spec.model import ModelSpec
from fac.training import checkpoint
from fac.training.agreement import fitted_anew, unlike
from fac.training.best import Best, Judge
from fac.training.checkpoint import Checkpoint
from fac.training.classes import unused_outputs
from fac.training.dataset import Dataset, Split, fingerprint
from fac.training.family import Family
from fac.training.fitting import read_anew
from fac.training.folder import RunFolder
from fac.training.logs import EpochRecord, Listener, StepRecord
from fac.training.met_again import met_again
from fac.training.metadata import DATA, LOSS_SUM, LOSS_SUMS, SAMPLES, Kept, kept, told
from fac.training.nonfinite import DivergedError, bad_array, explain, layer_of
from fac.training.outcome import Concern, concerns
from fac.training.prealign import prealign
from fac.training.recording import Recording
from fac.training.solving import Solving
from fac.training.stepping import NonFiniteError, Pass, Stepping
from fac.training.stored import Fed

_SUMS = (LOSS_SUM, LOSS_SUMS)


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a training."""

    epochs: int
    """Those that were made: fewer than the spec asks for, if it ended early."""
    steps: int
    train_loss: float
    """Mean over the last epoch."""
    test_loss: float
    """Of the state that the session has, as is the accuracy: of the best, if it is kept, or else of the last."""
    test_accuracy: float | None
    """In [0, 1]; None if the loss does not classify."""
    seconds: float
    """Wall time of this call, evaluations included."""
    step_ms: float
    """Median wall milliseconds of a training step; NaN, like `train_loss`, if none was made and the log is gone."""
    history: tuple[EpochRecord, ...]
    """One record per epoch; after a resume those of the earlier run too, as far as its log holds them."""
    concerns: tuple[Concern, ...]
    """Why the result is hardly one, though all numbers are finite; empty, as a rule."""
    start: EpochRecord | None
    """The network before the first step, as epoch 0; None after a resume if the log of that time is gone."""
    best: Best | None
    """The epoch whose state is kept (`train.keep`); None if that is the last one."""
    stopped: str | None
    """Why it ended before the last epoch of the spec, if it did."""

    @property
    def shown(self) -> EpochRecord:
        """The epoch whose state the session has."""
        best = self.best
        return next((r for r in self.history if best and r.epoch == best.epoch), self.history[-1])


class StoppedError(Exception):
    """Training ended early because it was asked to. The state is saved if there is a folder."""

    def __init__(self, step: int, epoch: int, out: Path | None = None) -> None:
        """Steps made so far, the epoch that they lead into, from 1, and the folder that has the state, if any."""
        super().__init__(f"stopped after step {step}, in epoch {epoch}")
        self.step, self.epoch, self.out = step, epoch, out


def train(
    session: Session,
    dataset: Dataset,
    spec: ModelSpec,
    out: RunFolder | None = None,
    listener: Listener | None = None,
    *,
    stop: Callable[[], bool] = lambda: False,
    since: Checkpoint | None = None,
    given: Kept | None = None,
) -> Report:
    """Train until all epochs of the spec are done, from wherever the session's state stands.

    Args:
        session: of an artifact compiled from `spec`.
        dataset: as loaded; it is checked against the session and reshaped here.
        spec: its `train` and `update` or `solve` sections count.
        out: where the log and the checkpoints go; None keeps nothing.
        listener: hears how it goes.
        stop: asked after each step; True saves the state and ends the training.
        since: the checkpoint that the session's state is from. Its data are compared with these: other values
            are said to the listener, because data may differ by rounding from machine to machine.
        given: of the data of another run, whose parameters this one starts from: what is other here is said.

    Raises:
        FacError: the data do not fit, are another number of samples than before, have other classes or columns, or
            are fewer than a batch; nothing is left to train; or a file cannot be written.
        DivergedError: a loss or a parameter is no longer finite. The session is back at its last good state, and
            the error has the epochs before.
        StoppedError: `stop` said so.
    """
    return Training(session, dataset, spec, out, listener, stop=stop, since=since, given=given).run()


class Training:
    """One call of `train`, in two: the data are fitted first."""

    def __init__(
        self,
        session: Session,
        dataset: Dataset,
        spec: ModelSpec,
        out: RunFolder | None = None,
        listener: Listener | None = None,
        *,
        stop: Callable[[], bool] = lambda: False,
        since: Checkpoint | None = None,
        given: Kept | None = None,
    ) -> None:
        """See `train`."""
        self.began = perf_counter()
        self.session, self.spec, self.out, self.stop = session, spec, out, stop
        self.listener, self.since = listener or Listener(), since
        compiled = session.compiled
        before = None if since is None else kept(since.about)
        data, told_of = fitted_anew(dataset, compiled.feeds, session.precision, before, training=True)
        self.data = data
        """As the network reads them."""
        self.family = _family(session, data.train, spec)
        anew = read_anew(dataset, compiled.feeds)
        again = () if _told_before(spec) else met_again(data)
        foreseen = (*unused_outputs(data, compiled.feeds), *again)
        for line in (*told_of, *([anew] if anew else ()), *(unlike(data, given) if given else ()), *foreseen):
            self.listener.said(line)
        self.test = Fed(session, data.test)
        self.validation = None if data.validation is None else Fed(session, data.validation)
        self.split = data.train
        about = {**compiled.about, **told(data)}
        if out or since:
            about[SAMPLES] = str(len(self.split))
            known = ("float32", session.precision)
            about |= {key: fingerprint(self.split, p) for key, p in DATA.items() if p in known}
        self.record = Recording(out, about, self.listener)
        self.good: Mapping[str, Array] = session.state()
        self.finest: Mapping[str, Array] | None = None
        """The best state, once this call has come to one."""
        self.step_ms: list[float] = []
        self.start: EpochRecord | None = None
        # a folder of its own begins anew: there is no best state in it
        new = since is None or (out is not None and not out.begun)
        self.judge = Judge(spec.train, {} if since is None or new else since.about)
        if self.judge.wanted:
            self.judge.require(None if self.validation is None else self.validation.evaluated())

    def run(self) -> Report:
        """All that is left of it; see `train`."""
        since, record = self.since, self.record
        if since:
            record.kept = since.step if self.out is None or self.out.begun else None
            self._compare_data(since.about)
        bad = bad_array(self.good)
        if bad is not None:
            layer = layer_of(self.session, bad)
            raise DivergedError(
                f"`{bad}` of layer `{layer}` is not finite before the first step of this training"
            )
        new = self.out is not None and not self.out.begun
        if since and new and self.family.done >= self.family.epochs:
            raise FacError(
                f"nothing is left to train: {self.family.done} epochs are done; ask for more, as by "
                f"`--set train.epochs={self.family.done + self.family.epochs}`"
            )
        if self.out and since and not new and self.out.says_otherwise(since, record.about):
            # before any step: a spec of more epochs than the checkpoint's can be resumed, the reverse cannot
            self.out.write_spec()
        if self.session.steps == 0 and self.spec.train.prealign is not None and since is None:
            self._prealign()
        if self.session.steps == 0 or new:
            self._keep({key: since.about[key] for key in _SUMS if key in since.about} if since else {})
        self.start, history = record.history(self.family.done, self.session.steps)
        over = self.family.done < self.family.epochs and self.judge.over(self.family.done)
        plan = replace(self.family.plan, goes_by=tuple(self.judge.wanted), over=over or "")
        self.listener.began(plan)
        self._foresee()
        if self.session.steps == 0:
            self._begin()
        # only where the epoch has begun: another program may have carried the state on since
        begun = self.session.steps % self.family.steps_per_epoch
        carried = self._sums(since.about) if since and begun else {}
        while self.family.done < self.family.epochs and not self.judge.over(self.family.done):
            history.append(self._epoch(carried, history))
            carried = {}
            self.listener.ended(history[-1])
        if not history and not self.out:
            raise FacError(f"nothing is left to train: all {self.family.epochs} epochs are done")
        return self._report(history, told=bool(over))

    def _begin(self) -> None:
        """Tell how the network begins."""
        found = self.session.evaluate(self.family.fixed())
        losses = {name: value for name, value in found.items() if name.endswith(".loss")}
        self.start = self._record(self.family.rate(0), {"loss": found["loss"], **losses}, 0.0, 0.0)
        self.record.epoch(self.start)
        self.listener.started(self.start)

    def _foresee(self) -> None:
        """Say what comes to nothing, where nobody knew how many samples there are before these were read."""
        if _foreseen(self.spec) or self.session.compiled.solution is not None:
            return
        anchor: Any = self.spec.train.anchor
        steps, every = self.family.epochs * self.family.steps_per_epoch, self.spec.train.accumulate
        if anchor is not None and anchor.every > steps:
            text = f"`train.anchor` has no effect before step {anchor.every}, and the training ends with step {steps}"
            self.listener.said(f"warning: {text}")
        if steps % every:
            text = f"`train.accumulate` is {every}, and of {steps} batches the last {steps % every} fill no update"
            self.listener.said(f"warning: {text}")

    def _prealign(self) -> None:
        assert isinstance(self.family, Stepping)
        rows = self.family.rows(0)
        prealign(self.session, self.spec, {name: array[rows] for name, array in self.split.arrays.items()})
        self.good = self.session.state()

    def _compare_data(self, about: Mapping[str, str]) -> None:
        """What was trained on so far, and what is to be trained on now."""
        now = self.record.about
        before = about.get(SAMPLES, now[SAMPLES])
        if before != now[SAMPLES]:
            raise FacError(
                f"this run began with {before} training samples and now there are {now[SAMPLES]}, so its "
                "epochs cannot go on: bring back the data of that time, or train anew in another folder"
            )
        if any(about[key] != now[key] for key in DATA if key in about and key in now):
            self.listener.said(
                "warning: the training data are not those that this run began with; "
                "what follows is not what it would have been"
            )

    def _sums(self, about: Mapping[str, str]) -> dict[str, float]:
        """What a checkpoint within an epoch says of its losses; NaN of those that it says nothing of."""
        named = {term.told("loss"): nan for term in self.session.compiled.losses if term.name}
        named |= {name: float(value) for name, value in json.loads(about.get(LOSS_SUMS, "{}")).items()}
        return {"loss": float(about.get(LOSS_SUM, "0")), **named}

    def _epoch(self, carried: Mapping[str, float], before: Sequence[EpochRecord]) -> EpochRecord:
        done = self._pass(carried, before)
        self.step_ms += done.step_ms
        if not done.finished:
            total, *named = done.sums.items()
            self._keep({LOSS_SUM: repr(total[1])} | ({LOSS_SUMS: json.dumps(dict(named))} if named else {}))
            raise StoppedError(self.session.steps, self.family.done + 1, self.out.path if self.out else None)
        means = {name: value / self.family.steps_per_epoch for name, value in done.sums.items()}
        record = self._record(done.lr, means, done.seconds, median(done.step_ms))
        # the checkpoint last: if the machine dies before it, a resume makes the line and the best state again
        self.record.epoch(record)
        if self.judge.heard(record):
            self.finest = self.good
            self.record.best(self.good, self.judge.told())
        self._keep({})
        return record

    def _record(self, lr: float, train: Mapping[str, float], seconds: float, step_ms: float) -> EpochRecord:
        """The last epoch, with the state as it is now."""
        found = self.test.evaluated()
        losses = {name: value for name, value in found.items() if name not in ("loss", "accuracy")}
        return EpochRecord(
            epoch=self.family.done,
            step=self.session.steps,
            lr=lr,
            train_loss=train["loss"],
            test_loss=found["loss"],
            test_accuracy=found.get("accuracy"),
            seconds=seconds,
            step_ms=step_ms,
            probes=self.family.probed(),
            losses=losses,
            validation={} if self.validation is None else self.validation.evaluated(),
            train_losses={name: value for name, value in train.items() if name != "loss"},
        )

    def _pass(self, carried: Mapping[str, float], before: Sequence[EpochRecord]) -> Pass:
        """One pass, or the news of where it went wrong."""
        try:
            done = self.family.run(self.listener, self.stop, carried, self._noted)
            if bad_array(self.session.live) is not None:
                raise NonFiniteError(self.session.steps - 1)
        except NonFiniteError as found:
            self.listener.said("numbers are no longer finite: looking for the layer where it began")
            raise DivergedError(
                self._diverged(found), before, self._last_good(), step=found.step + 1
            ) from found
        self.good = {}  # before the copy, so that only one lies beside the state
        self.good = self.session.state()
        return done

    def _diverged(self, found: NonFiniteError) -> str:
        if isinstance(self.family, Stepping):
            text = explain(self.family, self.good, found)
        else:
            what = (
                "a parameter is"
                if found.loss is None
                else f"the loss on the training samples is {found.loss},"
            )
            text = f"{what} not finite after all layers are solved"
        return f"{text}; {self.family.remedy}"

    def _last_good(self) -> str:
        if self.out is None:
            return ""
        return f"; `{self.out.state}` holds the last good state, from step {self.session.steps}"

    def _keep(self, more: Mapping[str, str]) -> None:
        self.record.keep(self.good, self.session.steps, {**self.judge.told(), **more})

    def _noted(self, record: StepRecord) -> None:
        self.record.step(record)
        self.listener.noted(record)

    def _report(self, history: list[EpochRecord], *, told: bool) -> Report:
        if not history or history[-1].epoch != self.family.done:
            # the log is gone: what only the steps themselves could tell is not known any more
            history.append(self._record(self.family.rate(self.session.steps - 1), {"loss": nan}, nan, nan))
        last, steps, stopped = history[-1], self.session.steps, None
        if self.family.done < self.family.epochs:
            stopped = self.judge.over(self.family.done)
            if stopped and not told:
                self.listener.stopped(stopped)
        best = self.judge.kept
        shown = None if best is None else self._chosen(best, history)
        if shown is None:
            best, shown = None, last
        return Report(
            epochs=last.epoch,
            steps=steps,
            train_loss=last.train_loss,
            test_loss=shown.test_loss,
            test_accuracy=shown.test_accuracy,
            seconds=perf_counter() - self.began,
            step_ms=median(self.step_ms or [last.step_ms]),
            history=tuple(history),
            concerns=concerns(
                self.family,
                [(kind_of("fac.losses", loss), loss) for loss in self.spec.minimised],
                self.test.split,
                train={"loss": shown.train_loss, **shown.train_losses},
                tested={"loss": shown.test_loss, "accuracy": shown.test_accuracy, **shown.losses},
            ),
            start=self.start,
            best=best,
            stopped=stopped,
        )

    def _chosen(self, best: Best, history: Sequence[EpochRecord]) -> EpochRecord | None:
        """The best epoch, whose state the session gets; None if that is gone."""
        if best.epoch == history[-1].epoch:
            return history[-1]
        state = self.finest
        if state is None and self.out is not None and there(self.out.path / checkpoint.BEST):
            state = checkpoint.load(self.out.path / checkpoint.BEST).state
        if state is None:
            self.listener.said(f"the best state, {best}, is gone: what is told is of the last one")
            return None
        self.session.load_state(state)
        known = next((record for record in history if record.epoch == best.epoch), None)
        return known or self._record(self.family.rate(self.session.steps - 1), {"loss": nan}, nan, nan)


def _told_before(spec: ModelSpec) -> bool:
    """Whether `fac check` knows that samples are met again."""
    return spec.data is not None and bool(kind_of("fac.data", spec.data).trained_on(spec.data))


def _foreseen(spec: ModelSpec) -> bool:
    """Whether `fac check` knows how many samples there are."""
    facts = None if spec.data is None else kind_of("fac.data", spec.data).known(spec.data)
    return facts is not None and facts.train is not None


def _family(session: Session, split: Split, spec: ModelSpec) -> Family:
    """How the spec trains."""
    solution = session.compiled.solution
    return Stepping(session, split, spec) if solution is None else Solving(session, split, solution)
