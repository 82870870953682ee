"""`fac train`: one training, kept in a folder from which it can be resumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from math import isfinite, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fac.cli.backends import not_empty
from fac.cli.output import echo, say
from fac.cli.paths import PATH
from fac.cli.runs import say_changes
from fac.diagnostics import FacError, plain
from fac.escaping import visible
from fac.render.json_text import json_text
from fac.signals import ended_by, on_signals

if TYPE_CHECKING:
    from fac.backend import Artifact, Compiled, Precision, Session
    from fac.source import Document
    from fac.spec.data import Data
    from fac.spec.model import ModelSpec
    from fac.training.checkpoint import Checkpoint
    from fac.training.folder import RunFolder
    from fac.training.holding import Held
    from fac.training.logs import EpochRecord
    from fac.training.loop import Report
    from fac.training.nonfinite import DivergedError


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be trained, and how."""

    document: Document
    spec: ModelSpec
    data: Data
    artifact: Artifact
    backend: str
    device: str | None
    base: Path
    """The folder from which relative paths in `data:` start."""
    origin: Path
    """The folder from which they start in the spec that checkpoints carry."""
    checkpoint: Checkpoint | None = None
    before: int | None = None
    """For how many epochs a run was meant that is to be longer now."""


@click.command()
@click.argument("spec", required=False)
@click.option("--backend", callback=not_empty, help="Default: the first usable of torch, onnx, reference.")
@click.option("--device", callback=not_empty, help="Such as `cpu` or `cuda`. Default: the backend's first.")
@click.option("--precision", type=click.Choice(("float32", "float64")), help="Default: the backend's own.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the spec; repeatable.")
@click.option("--out", type=PATH, help="Folder of the run. Default: `runs/NAME-1`, ...")
@click.option("--resume", type=PATH, metavar="DIR", help="Continue the run in a folder.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object; progress goes to stderr.")
@click.pass_context
def train(
    context: click.Context,
    spec: str | None,
    backend: str | None,
    device: str | None,
    precision: Precision | None,
    overrides: tuple[str, ...],
    out: Path | None,
    resume: Path | None,
    as_json: bool,
) -> None:
    """Train SPEC and keep its state, its log and its spec in a folder.

    Ctrl-C ends a training after the current step; `fac train --resume DIR` goes on exactly there. With
    `--set train.epochs=N` it trains longer than was meant.

    On a busy machine small networks train fastest with OMP_NUM_THREADS=1.
    """
    if resume is None and spec is None:
        raise click.UsageError("name a spec, or a run with `--resume DIR`")
    if resume is not None and out is not None:
        raise click.UsageError("`--resume` goes on in the folder of the run: leave out `--out`")
    from fac.training import folder
    from fac.training.loop import Report, StoppedError
    from fac.training.nonfinite import DivergedError

    with ExitStack() as held:
        if resume is None:
            assert spec is not None
            job = _prepared(spec, overrides, backend, device, precision)
            place = held.enter_context(folder.claim(out, job.spec.name, partial(_kept_text, job)))
        else:
            place, found = held.enter_context(folder.resumed(resume))
            job = _continued(found, place.path, spec, overrides, backend, device, precision)
        try:
            session, kept, report = _trained(job, place, as_json)
            path = kept.path
        except StoppedError as stopped:
            reached = f"after step {stopped.step}, in epoch {stopped.epoch}"
            say(f"stopped {reached}; go on with `fac train --resume {stopped.out}`", err=True)
            context.exit(ended_by())
        except KeyboardInterrupt:
            context.exit(ended_by())
    if as_json:
        echo(json_text(summary(job, session, report, path)))
    elif isinstance(report, Report):
        echo(_closing(job, session, report, path))
    if isinstance(report, DivergedError):
        raise report


def _trained(job: Job, held: Held, as_json: bool) -> tuple[Session, RunFolder, Report | DivergedError]:
    """A session with the last good state, the folder, and what became of the training."""
    from fac.build.threads import allowed
    from fac.cli.progress import logged, shown
    from fac.spec.data import places
    from fac.training import data
    from fac.training.folder import RunFolder
    from fac.training.loop import train
    from fac.training.metadata import BASE
    from fac.training.nonfinite import DivergedError
    from fac.training.places import rebased, rebased_json, relative
    from fac.training.plugged import kept as plugged

    try:
        with logged():
            dataset = data.load(job.data, job.base, job.artifact.precision)
    except FacError as error:
        names = " ".join(f"--set data.{name}=PATH" for name in places(type(job.data)))
        if job.checkpoint is None or not names:
            raise
        raise FacError(
            f"{error}; data that have moved are named with `{names}`, paths from `{job.base}`"
        ) from error
    session = job.artifact.open(job.checkpoint.state if job.checkpoint else None, job.device)
    path = held.path
    about = {
        "backend": job.backend,
        "device": session.device,
        "precision": session.precision,
        BASE: relative(job.origin, path),
        "spec": rebased_json(session.compiled.spec, rebased(job.data, job.base, job.origin)),
        "threads": str(allowed()),
        **plugged(job.spec),
    }
    kept = RunFolder(held, about, _kept_text(job, path))
    if job.checkpoint:
        for remark in _remarks(job, job.checkpoint, about):
            say(plain(remark), err=True)
    with shown(err=as_json) as listener, on_signals() as stop:
        try:
            report = train(session, dataset, job.spec, kept, listener, stop=stop, since=job.checkpoint)
        except DivergedError as error:
            return session, kept, error
        return session, kept, report


def _kept_text(job: Job, folder: Path) -> str:
    """The spec as a folder keeps it: paths in it are right from there."""
    from fac.training.places import rebased, rebased_text

    return rebased_text(job.document, rebased(job.data, job.base, folder))


def _remarks(job: Job, found: Checkpoint, about: Mapping[str, str]) -> Iterator[str]:
    """Why a run does not go on just as it would have."""
    from fac.spec.schedules import Cosine, schedule_of

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
    if job.before is not None:
        text = f"training for {job.spec.train.epochs} epochs instead of {job.before}"
        update = job.spec.update
        if update is not None and isinstance(schedule_of(update.schedule), Cosine):
            text += (
                f": from here on the learning rate is that of a cosine over {job.spec.train.epochs} epochs, so the "
                f"result is not that of {job.spec.train.epochs} epochs in one go"
            )
        yield text


def _prepared(
    spec: str,
    overrides: tuple[str, ...],
    backend: str | None,
    device: str | None,
    precision: Precision | None,
) -> Job:
    """A new training."""
    return _job(_document(spec, overrides), _folder(spec), backend, device, precision)


def _continued(
    found: Checkpoint,
    resume: Path,
    spec: str | None,
    overrides: tuple[str, ...],
    backend: str | None,
    device: str | None,
    precision: Precision | None,
) -> Job:
    """The training of a folder, on the backend and device that it ran on unless told otherwise."""
    from dataclasses import replace

    from fac.training import folder
    from fac.training.checkpoint import require_spec
    from fac.training.places import kept_start, start

    say_changes(found)
    document = (
        _document(str(resume / folder.SPEC), overrides, within=resume)
        if spec is None
        else _document(spec, overrides)
    )
    known: Any = found.about
    job = _job(
        document,
        start(found) if spec is None else _folder(spec),
        known.get("backend") if backend is None else backend,
        known.get("device") if device is None and backend is None else device,
        precision or (found.precision if backend is None else None),
    )
    try:
        before = require_spec(found, job.artifact.compiled, job.spec)
    except FacError as error:
        if spec is not None or overrides:
            raise
        raise FacError(
            f"{error}; the state holds its own spec, and `{resume / folder.SPEC}` is written anew where it is gone"
        ) from error
    base = kept_start(found, job.data) if spec is None else job.base
    return replace(job, base=base, checkpoint=found, before=before)


def _folder(spec: str) -> Path:
    """Where relative paths in the file of a spec start."""
    return Path() if spec == "-" else Path(spec).parent


def _document(spec: str, overrides: tuple[str, ...], within: Path | None = None) -> Document:
    from fac import source

    return source.override(source.read(spec, within), overrides)


def _job(
    document: Document, base: Path, backend: str | None, device: str | None, precision: Precision | None
) -> Job:
    from fac.cli.backends import chosen
    from fac.lint.run import lint
    from fac.lint.settings import Settings
    from fac.pipeline import emit, lowered
    from fac.render.findings.full import full
    from fac.training.data import declared

    program = lowered(document)
    spec = program.spec
    # Comments of the spec hold here, too; what a team wants of its specs is for `fac check` to say.
    warnings = lint(document, Settings())
    if warnings:
        echo(full(document, warnings) + "\n", err=True)
    section = declared(spec.data, document.name)
    with_backend = chosen(backend)
    artifact = emit(program, with_backend, precision, document)
    return Job(document, spec, section, artifact, with_backend.name, device, base, base)


def parameters(compiled: Compiled) -> int:
    """How many numbers the forward pass reads."""
    return sum(prod(slot.shape) for slot in compiled.state if slot.parameter)


def summary(job: Job, session: Session, report: Report | DivergedError, path: Path) -> dict[str, Any]:
    """What `--json` prints. Of a training that diverged only `metrics.jsonl` has figures, those of its good epochs."""
    from fac.training.loop import Report

    ended = report if isinstance(report, Report) else None
    found = {
        "spec": job.spec.name,
        "spec_hash": session.compiled.spec_hash,
        "backend": job.backend,
        "device": session.device,
        "precision": session.precision,
        "seed": job.spec.train.seed,
        "epochs": job.spec.train.epochs,
        "steps": session.steps,
    }
    for name in ("test_accuracy", "test_loss", "train_loss", "seconds", "step_ms"):
        found[name] = getattr(ended, name, None)
    if ended is not None and ended.history[-1].losses:
        found["losses"] = dict(ended.history[-1].losses)
        found["train_losses"] = dict(ended.history[-1].train_losses)
    return found | {
        "parameters": parameters(session.compiled),
        "out": str(path),
        "problem": None if ended else str(report),
        "warnings": [concern.flat() for concern in ended.concerns] if ended else [],
    }


def _each(record: EpochRecord) -> Iterator[str]:
    """What the sum is made of, if it is one."""
    for name, loss in record.losses.items():
        if name.endswith(".loss"):
            of, trained = name.removesuffix(".loss"), record.train_losses.get(name)
            accuracy = record.losses.get(f"{of}.accuracy")
            rate = "" if accuracy is None else f", accuracy {100 * accuracy:.1f} %"
            before = "" if trained is None else f"train loss {trained:.4g}, "
            yield f"  {of}: {before}test loss {loss:.4g}{rate}"


def _closing(job: Job, session: Session, report: Report, path: Path) -> str:
    result = f"test loss {report.test_loss:.4g}"
    if report.test_accuracy is not None:
        result = f"test accuracy {100 * report.test_accuracy:.1f} %, {result}"
    where = f"{job.backend} ({session.device}, {session.precision})"
    speed = f"{report.seconds:.1f} s"
    if isfinite(report.step_ms) and job.spec.solve is None:
        speed += f", {report.step_ms:.2f} ms per step"
    lines = (
        f"`{job.spec.name}` on {where}: {result}; {speed}",
        *_each(report.history[-1]),
        *(f"warning: {concern.message}" for concern in report.concerns),
        f"state, log and spec are in `{path}`",
    )
    return "\n".join(map(visible, lines))


COMMAND = train
