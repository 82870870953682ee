"""A training, from a spec to a session and its data: the command line and Python begin one alike."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fac import source
from fac.backend import ONE, THREADS
from fac.build.disabling import without
from fac.build.threads import allowed
from fac.diagnostics import Diagnostic, FacError
from fac.experiments import passed
from fac.experiments.backends import chosen
from fac.lint.run import lint
from fac.lint.settings import Settings
from fac.pipeline import emit, load, lowered, precision_of
from fac.program.declared import unranked, unsettled
from fac.program.kinds import ScheduleKind
from fac.program.lower import kind_of
from fac.render.findings.full import full
from fac.source import Document
from fac.spec.data import Data, places
from fac.spec.loggers import logger_of
from fac.spec.schedules import schedule_of
from fac.training import data, folder
from fac.training.checkpoint import Checkpoint, require_spec
from fac.training.folder import RunFolder
from fac.training.holding import Held
from fac.training.loggers.kind import About
from fac.training.logs import Listener
from fac.training.loop import Training
from fac.training.metadata import BASE, ORIGIN, kept
from fac.training.places import kept_start, rebased, rebased_json, rebased_text, relative, start
from fac.training.plugged import kept as plugged
from fac.training.ranking import ranked
from fac.training.settling import settled
from fac.training.telling import telling
from fac.training.weights import listed
from fac.tuning import Mode, compiled_step, tuned
from fac.tuning import held as held_to

if TYPE_CHECKING:
    from fac.backend import Array, Artifact, Precision, Session
    from fac.program.program import Program
    from fac.spec.loggers import Logger
    from fac.spec.model import ModelSpec
    from fac.training.dataset import Dataset
    from fac.training.metadata import Kept


@dataclass(frozen=True, slots=True)
class Where:
    """What it runs on; None is the first backend that can be used, its first device, and its own precision."""

    backend: str | None = None
    device: str | None = None
    precision: Precision | None = None
    disable: tuple[str, ...] | None = None
    """The names of passes that are left out; None is those that a run leaves out that goes on, else none."""
    tune: Mode | None = None
    """How the ways are chosen that a backend leaves open; None is `auto`, or those that a run has gone that goes on."""
    compile: bool = False
    """Whether its step is compiled to machine code; that of a run that was so is, too."""


ANYWHERE = Where()


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be trained, and how."""

    document: Document
    program: Program
    data: Data | None
    """None where arrays are handed over instead."""
    artifact: Artifact
    backend: str
    device: str | None
    base: Path
    """The folder from which relative paths in `data:` start."""
    origin: Path
    """The folder from which they start in the spec that checkpoints carry."""
    findings: tuple[Diagnostic, ...]
    """What there is to say of the spec, and of what it starts with."""
    checkpoint: Checkpoint | None = None
    before: int | None = None
    """For how many epochs a run was meant that is to be longer now."""
    state: Mapping[str, Array] | None = None
    """What it starts with, if not with the state of the checkpoint or with initial values; see `starting`."""
    given: str = ""
    """Where that is from, as checkpoints carry it."""
    kept: Kept | None = None
    """Of the data of the run whose parameters it starts from."""
    log: str = ""
    """Of the epochs before it, if they were those of another run."""
    loggers: tuple[Logger, ...] = ()
    """Where its figures go beside those that the spec names."""
    starts: tuple[str, ...] = ()
    """What it starts with and what it does not, and what its data have settled, for people."""
    unranked: Document | None = None
    """The spec before its ranks were measured, if some were."""
    tune: Mode = "auto"
    """How the ways are chosen that the backend leaves open, ..."""
    choices: Mapping[str, str] | None = None
    """... unless they are these: those that the run has gone that it goes on from, by the names of knobs."""
    compile: bool = False
    """Whether its step is compiled to machine code, whatever else is chosen."""
    loaded: Dataset | None = None
    """What the spec names, where that had to be read to know what is trained, or what is handed over instead."""

    @property
    def spec(self) -> ModelSpec:
        """What is trained."""
        return self.program.spec

    @property
    def warnings(self) -> str:
        """The findings as text; empty if there are none."""
        return full(self.document, self.findings) if self.findings else ""

    def starting(self, arrays: Collection[str]) -> Job:
        """The same without what would be said if these arrays started as the spec draws them."""
        return replace(self, findings=tuple(finding for finding in self.findings if finding.holds(arrays)))

    def text(self, path: Path) -> str:
        """The spec as a folder keeps it: paths in it are right from there."""
        return rebased_text(self.document, self._rebased(path))

    def json(self, session: Session) -> str:
        """The spec as a checkpoint carries it."""
        return rebased_json(session.compiled.spec, self._rebased(self.origin))

    def _rebased(self, path: Path) -> dict[str, str]:
        return {} if self.data is None else rebased(self.data, self.base, path)

    def dataset(self) -> Dataset:
        """What the spec names.

        Raises:
            FacError: it cannot be loaded.
        """
        assert self.data is not None, "arrays are handed over"
        try:
            return data.load(self.data, self.base, self.artifact.precision)
        except FacError as error:
            named = (name for name in places(type(self.data)) if getattr(self.data, name) is not None)
            names = " ".join(f"--set data.{name}=PATH" for name in named)
            if self.checkpoint is None or not names:
                raise
            raise FacError(
                f"{error}; data that have moved are named with `{names}`, paths from `{self.base}`"
            ) from error


@dataclass(frozen=True, slots=True)
class Begun:
    """A training that is ready for its next step."""

    job: Job
    session: Session
    dataset: Dataset
    kept: RunFolder | None
    remarks: tuple[str, ...]
    """What was chosen for speed, if anything was, and why a run does not go on just as it would have."""
    since: Checkpoint | None
    """What it goes on from, with the state that the session has."""

    @contextmanager
    def told(self, listener: Listener | None = None) -> Iterator[Listener]:
        """A listener that tells the loggers, too, that the spec and the job name.

        Raises:
            FacError: a logger cannot be opened, or nothing is kept, so that there is no folder for it.
        """
        spec, heard = self.job.spec, listener or Listener()
        loggers = (*map(logger_of, spec.train.loggers), *self.job.loggers)
        if not loggers:
            yield heard
            return
        if self.kept is None:
            raise FacError("loggers write beside a run that is kept: give a folder, `out`")
        plain = spec.model_dump(mode="json", by_alias=True)
        with telling(heard, loggers, About(spec.name, plain, self.kept.path, self.session.steps)) as told:
            yield told

    def training(
        self, listener: Listener | None = None, stop: Callable[[], bool] = lambda: False
    ) -> Training:
        """The same with its data fitted, and no step made."""
        return Training(
            self.session,
            self.dataset,
            self.job.spec,
            self.kept,
            listener,
            stop=stop,
            since=self.since,
            given=self.job.kept,
        )


def document_of(spec: str, overrides: Iterable[str], within: Path | None = None) -> Document:
    """The spec in a file with settings changed; see `fac.source.read`."""
    return source.override(source.read(spec, within), overrides)


def new(
    document: Document,
    where: Where,
    *,
    base: Path | None = None,
    origin: Path | None = None,
    dataset: Dataset | None = None,
    kept: Kept | None = None,
    given: Mapping[str, Array] | None = None,
) -> Job:
    """A new training. Its data are loaded where only they tell what is trained.

    Args:
        document: the spec.
        where: it runs.
        base: where relative paths in it start, if it has come from elsewhere than its file.
        origin: where they start in the spec that checkpoints carry, if not there.
        dataset: the data, where they are handed over, so that the spec need not name any.
        kept: of the data of a run that goes on.
        given: parameters that it starts from, where ranks are measured.

    Raises:
        FacError: there is no such backend, or the spec has errors, or names no data; or these cannot be loaded, or do
            not fit; or a run that goes on leaves a rank to be measured.
    """
    program = lowered(document)
    # Comments of the spec hold here, too; what a team wants of its specs is for `fac check` to say.
    findings = lint(document, Settings())
    section = None if dataset is not None else data.declared(program.spec.data, document.name)
    backend = chosen(where.backend)
    program = without(program, where.disable or (), backend)
    start = document.folder if base is None else base
    told: tuple[str, ...] = ()
    before: Document | None = None
    if unsettled(program) or unranked(program):
        precision = where.precision or precision_of(program, backend)
        if section is not None:
            dataset = data.load(section, start, precision)
        assert dataset is not None, "either is given"
        document, told = settled(document, program, dataset, precision, kept)
        program = without(lowered(document), where.disable or (), backend)
        if unranked(program):
            if kept is not None:
                raise FacError(
                    "a rank that is `auto` is measured before the first step, and this run is past it: write numbers, "
                    "such as those in the spec of the run"
                )
            before = document
            document, ranks = ranked(document, program, dataset, backend, precision, where.device, given)
            # only now there is something to say of them
            program = without(lowered(document), where.disable or (), backend)
            findings, told = lint(document, Settings()), (*told, *ranks)
    artifact = emit(program, backend, where.precision, document)
    return Job(
        document,
        program,
        section,
        artifact,
        backend.name,
        where.device,
        start,
        start if origin is None else origin,
        findings,
        starts=told,
        unranked=before,
        tune=where.tune or "auto",
        compile=where.compile,
        loaded=dataset,
    )


@dataclass(frozen=True, slots=True)
class Later:
    """What goes on from the checkpoint of a run."""

    found: Checkpoint
    path: Path
    """The folder of that run."""
    spec: str | None
    """The file of another spec; None for that of the run."""
    overrides: tuple[str, ...]
    """Settings that change."""
    where: Where
    """It runs; by default where the run did."""
    dataset: Dataset | None = None
    """The data, where they are handed over, so that the spec need not name any."""

    def job(self) -> Job:
        """Whatever the spec is.

        Raises:
            FacError: as in `new`.
        """
        found, where = self.found, self.where
        document = (
            document_of(str(self.path / folder.SPEC), self.overrides, within=self.path)
            if self.spec is None
            else document_of(self.spec, self.overrides)
        )
        known: Any = found.about
        there = Where(
            known.get("backend") if where.backend is None else where.backend,
            known.get("device") if where.device is None and where.backend is None else where.device,
            where.precision or (found.precision if where.backend is None else None),
        )
        there = replace(
            there,
            tune=where.tune,
            compile=where.compile,
            disable=passed.left_out(known, chosen(there.backend)) if where.disable is None else where.disable,
        )
        base = origin = None
        if self.spec is None:
            section, origin = load(document).data, start(found)
            base = origin if section is None or self.dataset is not None else kept_start(found, section)
        job = new(document, there, base=base, origin=origin, dataset=self.dataset, kept=kept(found.about))
        went = passed.choices(known, job.backend) if where.tune is None else None
        return replace(job, checkpoint=found, choices=went)


def continued(later: Later) -> Job:
    """The training of a folder.

    Raises:
        FacError: the state does not belong to the spec, which must have the same network; or as in `new`.
    """
    job, found = later.job(), later.found
    try:
        before = require_spec(found, job.artifact.compiled, job.spec)
    except FacError as error:
        if later.spec is not None or later.overrides:
            raise
        raise FacError(
            f"{error}; the state holds its own spec, and `{later.path / folder.SPEC}` is written anew where it is gone"
        ) from error
    origin = found.about.get(ORIGIN, "")
    return replace(job.starting(found.state if origin else ()), before=before, given=origin)


def begun(
    job: Job,
    held: Held | None = None,
    dataset: Dataset | None = None,
    keeping: type[RunFolder] = RunFolder,
) -> Begun:
    """Load the data, and open a session with the state that the training goes on from.

    Args:
        job: the training.
        held: the folder that keeps it; None keeps nothing.
        dataset: the data, where they are loaded already.
        keeping: how the folder keeps it.

    Raises:
        FacError: the data cannot be loaded, the device is not there, or memory is too small.
    """
    found = dataset or job.loaded or job.dataset()
    job, told = _settled(job)
    since = job.checkpoint
    before = since.state if since else None
    session = job.artifact.open(
        before if job.state is None else job.state, job.device, derive=job.state is not None
    )
    remarks = () if since or job.state is not None else tuple(_random_bases(job.program))
    if since and job.state is not None:
        remarks = tuple(_anew(session, since))
        since = replace(since, state=session.state())
    remarks = (*told, *remarks)
    if held is None:
        return Begun(job, session, found, None, remarks, since)
    path = held.path
    about = {
        "backend": job.backend,
        "device": session.device,
        "precision": session.precision,
        BASE: relative(job.origin, path),
        "spec": job.json(session),
        "threads": _threads(job.artifact, session.device),
        **plugged(job.spec),
        **passed.kept(job.artifact, session.device),
        **({ORIGIN: job.given} if job.given else {}),
    }
    if since:
        remarks += tuple(_remarks(job, since, about))
    return Begun(job, session, found, keeping(held, about, job.text(path), job.log), remarks, since)


def _threads(artifact: Artifact, device: str) -> str:
    """On how many a session computes: on what there are, or on one by choice."""
    return ONE if artifact.chosen(device).get(THREADS) == ONE else str(allowed())


def _settled(job: Job) -> tuple[Job, tuple[str, ...]]:
    """The training by the ways that are chosen, and what to say of them."""
    backend = chosen(job.backend)
    device = job.device or backend.devices()[0]
    if job.choices is not None:
        artifact, lines = held_to(job.artifact, job.choices, job.device)
    else:
        oracle = partial(emit, job.program, backend, "float64")
        made = tuned(job.artifact, job.backend, device, job.tune, oracle)
        artifact, lines = made.artifact, made.lines
    if job.compile:
        artifact = compiled_step(artifact, job.backend, device)
    return replace(job, artifact=artifact), lines


def _random_bases(program: Program) -> Iterator[str]:
    """Adapters of a training that starts from nothing."""
    bases = [f"`{layer.base}`" for layer in program.adapted if layer.adapter.freeze]
    if bases:
        yield (
            f"adapters stand beside frozen weights that nobody has trained, {listed(bases)}: start from trained ones, "
            "`--init FILE`"
        )


def _anew(session: Session, since: Checkpoint) -> Iterator[str]:
    """What the state of another spec did not hold."""
    if session.derived:
        yield f"  begun anew ({len(session.derived)}): {listed(f'`{name}`' for name in session.derived)}"
    if session.steps != since.step:
        yield f"  what the update keeps is new, so that this begins with step {session.steps}"


def _remarks(job: Job, found: Checkpoint, about: Mapping[str, str]) -> Iterator[str]:
    keys = ("backend", "device", "precision")
    there = [found.about.get(key, about[key]) for key in keys]
    here = [about[key] for key in keys]
    if there != here:
        yield (
            f"this run was on {there[0]} ({there[1]}, {there[2]}) and goes on on {here[0]} ({here[1]}, {here[2]}): "
            "equal up to rounding, not bit for bit"
        )
    threads = found.about.get("threads", about["threads"])
    if threads != about["threads"] and threads.isdecimal():
        yield (
            f"this run was on {threads} thread{'s' * (threads != '1')} and goes on on {about['threads']}: "
            f"equal up to rounding, not bit for bit; `OMP_NUM_THREADS={threads}` makes it so"
        )
    exact = [knob.name for knob in job.artifact.knobs(about["device"]) if knob.exact]
    yield from passed.remarks(found.about, about, exact)
    if job.before is not None:
        epochs, update = job.spec.train.epochs, job.spec.update
        text = f"training for {epochs} epochs instead of {job.before}"
        schedule = schedule_of("constant" if update is None else update.schedule)
        kind: ScheduleKind = kind_of("fac.schedules", schedule)
        if kind.stretches(schedule, job.before, epochs):
            text += (
                f": from here on the learning rate is that of `{kind.name}` over {epochs} epochs, so the result is not "
                f"that of {epochs} epochs in one go"
            )
        yield text
