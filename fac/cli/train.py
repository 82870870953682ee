"""`fac train`: one training, kept in a folder from which it can be resumed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from math import isfinite, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fac.cli.backends import not_empty
from fac.cli.output import echo, say
from fac.cli.paths import PATH
from fac.cli.runs import say_changes
from fac.diagnostics import plain
from fac.escaping import visible
from fac.render.json_text import json_text
from fac.signals import ended_by, on_signals

if TYPE_CHECKING:
    from fac.backend import Compiled, Precision, Session
    from fac.experiments.job import Begun, Job
    from fac.training.holding import Held
    from fac.training.logs import EpochRecord
    from fac.training.loop import Report
    from fac.training.nonfinite import DivergedError


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
    from fac.experiments.job import Where, continued, document_of, folder_of, new
    from fac.training import folder
    from fac.training.loop import Report, StoppedError
    from fac.training.nonfinite import DivergedError

    where = Where(backend, device, precision)
    with ExitStack() as held:
        if resume is None:
            assert spec is not None
            job = new(document_of(spec, overrides), folder_of(spec), where)
            place = held.enter_context(folder.claim(out, job.spec.name, job.text))
        else:
            place, found = held.enter_context(folder.resumed(resume))
            say_changes(found)
            job = continued(found, place.path, spec, overrides, where)
        if job.warnings:
            echo(job.warnings + "\n", err=True)
        try:
            ready, report = _trained(job, place, as_json)
            path = place.path
        except StoppedError as stopped:
            reached = f"after step {stopped.step}, in epoch {stopped.epoch}"
            say(f"stopped {reached}; go on with `fac train --resume {stopped.out}`", err=True)
            context.exit(ended_by())
        except KeyboardInterrupt:
            context.exit(ended_by())
    if as_json:
        echo(json_text(summary(job, ready.session, report, path)))
    elif isinstance(report, Report):
        echo(_closing(job, ready.session, report, path))
    if isinstance(report, DivergedError):
        raise report


def _trained(job: Job, held: Held, as_json: bool) -> tuple[Begun, Report | DivergedError]:
    """With the last good state, and what became of the training."""
    from fac.cli.progress import logged, shown
    from fac.experiments.job import begun
    from fac.training.nonfinite import DivergedError

    with logged():
        ready = begun(job, held)
    for remark in ready.remarks:
        say(plain(remark), err=True)
    with shown(err=as_json) as listener, on_signals() as stop:
        try:
            return ready, ready.train(listener, stop)
        except DivergedError as error:
            return ready, error


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
    if ended is not None and ended.history[-1].validation:
        found["validation"] = dict(ended.history[-1].validation)
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
    if held := report.history[-1].validation:
        accuracy = f"validation accuracy {100 * held['accuracy']:.1f} %, " if "accuracy" in held else ""
        result += f"; {accuracy}validation loss {held['loss']:.4g}"
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
