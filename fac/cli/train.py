"""`fac train`: one training, kept in a folder from which it can be resumed."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fac.cli.backends import not_empty
from fac.cli.output import echo, say
from fac.cli.passes import disabling
from fac.cli.paths import PATH
from fac.cli.runs import say_changes
from fac.diagnostics import plain
from fac.render.json_text import json_text
from fac.signals import ended_by, on_signals

if TYPE_CHECKING:
    from fac.backend import Precision
    from fac.experiments.job import Begun, Job, Where
    from fac.experiments.running import Done
    from fac.training.holding import Held
    from fac.training.nonfinite import DivergedError
    from fac.tuning import Mode


@click.command()
@click.argument("spec", required=False)
@click.option("--backend", callback=not_empty, help="Default: the first usable of torch, onnx, reference.")
@click.option("--device", callback=not_empty, help="Such as `cpu` or `cuda`. Default: the backend's first.")
@click.option("--precision", type=click.Choice(("float32", "float64")), help="Default: the backend's own.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the spec; repeatable.")
@disabling
@click.option(
    "--all-passes",
    is_flag=True,
    help="With --resume or --fork: leave out no pass, also where the run did, or had fewer.",
)
@click.option(
    "--tune",
    type=click.Choice(("auto", "off", "full")),
    help="How ways are chosen that differ in speed and in rounding: as measured on this machine before, or else usual "
    "ones (auto, the default); usual ones (off); or measured now (full). See docs/tuning.md.",
)
@click.option(
    "--compile",
    "compiled",
    is_flag=True,
    help="Have `torch.compile` and a C++ compiler make the step, which takes half a minute: for networks heavy in work "
    "number by number, such as dropout. See docs/running.md.",
)
@click.option("--out", type=PATH, help="Folder of the run. Default: `runs/NAME-1`, ...")
@click.option("--resume", type=PATH, metavar="DIR", help="Continue the run in a folder.")
@click.option(
    "--init",
    type=PATH,
    metavar="FILE|RUN",
    help="Start from parameters: of a .safetensors or .pt file, or of a run.",
)
@click.option("--init-partial", is_flag=True, help="Take what fits of these, and leave the rest.")
@click.option("--fork", type=PATH, metavar="RUN", help="Go on from the state of a run, in another folder.")
@click.option(
    "--log",
    "logs",
    multiple=True,
    metavar="NAME",
    help="Log to `tensorboard`, `wandb` or `trackio`, too, beside those of the spec; repeatable.",
)
@click.option(
    "--audit", is_flag=True, help="In the end also look whether its figures mean something: docs/audit.md."
)
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object; progress goes to stderr.")
@click.pass_context
def train(
    context: click.Context,
    spec: str | None,
    backend: str | None,
    device: str | None,
    precision: Precision | None,
    overrides: tuple[str, ...],
    disable: tuple[str, ...],
    all_passes: bool,
    tune: Mode | None,
    compiled: bool,
    out: Path | None,
    resume: Path | None,
    init: Path | None,
    init_partial: bool,
    fork: Path | None,
    logs: tuple[str, ...],
    audit: bool,
    as_json: bool,
) -> None:
    """Train SPEC and keep its state, its log and its spec in a folder.

    Ctrl-C ends a training after the current step; `fac train --resume DIR` goes on exactly there. With
    `--set train.epochs=N` it trains longer than was meant.

    `--init` begins with step 0 and the parameters of a file. `--fork RUN` is that run from where it stands, with
    its own spec or another one, in a new folder.

    On a busy machine small networks train fastest with OMP_NUM_THREADS=1.
    """
    if resume is None and fork is None and spec is None:
        raise click.UsageError("name a spec, or a run with `--resume DIR`")
    if sum(place is not None for place in (resume, init, fork)) > 1:
        raise click.UsageError("`--resume`, `--init` and `--fork` each say where to start: name one of them")
    if init_partial and init is None:
        raise click.UsageError("`--init-partial` says how to take what `--init` names: add that")
    if resume is not None and out is not None:
        raise click.UsageError("`--resume` goes on in the folder of the run: leave out `--out`")
    if all_passes and disable:
        raise click.UsageError("`--all-passes` leaves out none, and `--disable-pass` one: name one of them")
    if all_passes and resume is None and fork is None:
        raise click.UsageError(
            "`--all-passes` is for a run that goes on, `--resume` or `--fork`: others have all of them"
        )
    from fac.cli.closing import closing, summary
    from fac.experiments.job import Later, Where, continued
    from fac.experiments.running import Done, require_gradients
    from fac.training import folder
    from fac.training.loop import StoppedError
    from fac.training.nonfinite import DivergedError
    from fac.training.telling import named

    left_out = disable if disable or all_passes else None
    where, loggers = Where(backend, device, precision, left_out, tune, compiled), named(logs)
    with ExitStack() as held:
        if resume is None:
            job = _new(spec, overrides, where, init, fork, partial=init_partial)
            place = held.enter_context(folder.claim(out, job.spec.name, job.text))
        else:
            place, found = held.enter_context(folder.resumed(resume))
            say_changes(found)
            job = continued(Later(found, place.path, spec, overrides, where))
        if audit:
            require_gradients(job.spec)
        job = replace(job, loggers=loggers)
        if job.warnings:
            echo(job.warnings + "\n", err=True)
        for line in job.starts:
            say(plain(line), err=True)
        try:
            ready, made = _trained(job, place, audit=audit, as_json=as_json)
            path = place.path
        except StoppedError as stopped:
            reached = f"after step {stopped.step}, in epoch {stopped.epoch}"
            say(f"stopped {reached}; go on with `fac train --resume {stopped.out}`", err=True)
            context.exit(ended_by())
        except KeyboardInterrupt:
            context.exit(ended_by())
    if as_json:
        echo(json_text(summary(job, ready.session, made, path)))
    elif isinstance(made, Done):
        echo(closing(job, ready.session, made, path))
    if isinstance(made, DivergedError):
        raise made


def _new(
    spec: str | None,
    overrides: tuple[str, ...],
    where: Where,
    init: Path | None,
    fork: Path | None,
    *,
    partial: bool,
) -> Job:
    """A training in a folder of its own."""
    from fac.experiments.job import Later, document_of, new

    if fork is None:
        assert spec is not None
        job = new(document_of(spec, overrides), where)
        return job if init is None else _given(job, init, partial)
    from fac.experiments.starting import forked
    from fac.training import checkpoint

    found = checkpoint.load(fork)
    say_changes(found)
    return forked(Later(found, fork, spec, overrides, where))


def _given(job: Job, init: Path, partial: bool) -> Job:
    from fac.experiments.starting import UnmatchedError, given

    try:
        return given(job, init, partial=partial)
    except UnmatchedError as error:
        for line in error.lines:
            say(plain(line), err=True)
        raise


def _trained(job: Job, held: Held, *, audit: bool, as_json: bool) -> tuple[Begun, Done | DivergedError]:
    """With the last good state, and what became of the training."""
    from fac.cli.progress import logged, shown
    from fac.experiments.job import begun
    from fac.experiments.running import run
    from fac.training.nonfinite import DivergedError

    with logged():
        ready = begun(job, held)
    for remark in ready.remarks:
        say(plain(remark), err=True)
    with shown(err=as_json) as listener, on_signals() as stop:
        try:
            return ready, run(ready, listener, stop, audit=audit)
        except DivergedError as error:
            return ready, error


COMMAND = train
