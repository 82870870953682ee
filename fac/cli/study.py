"""`fac study`: what a paper says, trained and measured here."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from fac.cli.backends import not_empty
from fac.cli.output import echo, say, write
from fac.cli.paths import PATH
from fac.diagnostics import FacError
from fac.signals import ended_by, on_signals

RESULTS = "results.md"


@click.command()
@click.argument("name", required=False)
@click.option("--short", is_flag=True, help="The form of a few minutes: fewer rows, seeds and epochs.")
@click.option(
    "--out", type=PATH, help="Folder of the results. Default: `studies/NAME`, or `studies/NAME-short`."
)
@click.option("--backend", callback=not_empty, help="Default: the first usable of torch, onnx, reference.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    help="Of a benchmark: so many processes train at a time, of one thread each.",
)
@click.pass_context
def study(
    context: click.Context,
    name: str | None,
    short: bool,
    out: Path | None,
    backend: str | None,
    jobs: int | None,
) -> None:
    """Train and measure what a study's tables need, and write them as `results.md`.

    Without NAME the studies that come with fac are listed. A path, such as `./mine`, names a folder with a `study.py`
    of your own, which is run: it is a program, not a spec.

    Runs that are there already are not made again, so an interrupted study goes on. Exit status 1: something that
    the study claims did not come out.
    """
    from fac.cli.benchmark import benchmarked
    from fac.cli.progress import logged
    from fac.experiments.backends import chosen
    from fac.studies import Benchmark, finding
    from fac.studies.keeping import Kept
    from fac.studies.lab import Lab
    from fac.studies.pictures import drawn
    from fac.studies.report import FAILED, HELD, page
    from fac.studies.running import run, tables_of
    from fac.training.holding import alone_in
    from fac.training.loop import StoppedError

    if name is None:
        for known in finding.names():
            echo(f"{known:<16} {finding.read(finding.folder_of(known)).title}")
        return
    folder = finding.folder_of(name)
    found = finding.read(folder)
    with_backend = chosen(backend)
    where = [*(["--backend", backend] if backend else []), *(["--jobs", str(jobs)] if jobs else [])]
    command = shlex.join(["fac", "study", name, *["--short"] * short, *where])
    again = command if out is None else f"{command} --out {shlex.quote(str(out))}"
    out = out or Path("studies") / f"{folder.resolve().name}{'-short' * short}"
    if isinstance(found, Benchmark):
        benchmarked(context, found, folder, out, with_backend, (command, again), short=short, jobs=jobs)
        return
    if jobs is not None:
        raise click.BadParameter(
            "this study measures row by row, in one process: leave it out", param_hint="'--jobs'"
        )
    tables = tables_of(found, short=short)
    with alone_in(out):
        _require_files(out, [table.file for table in tables if table.curves])
        kept = Kept(out, found.title, finding.digest(folder, with_backend))
        if kept.stale:
            lines = "1 line" if kept.stale == 1 else f"{kept.stale} lines"
            say(f"{lines} in `{out}` are of other code or other files: those runs are made anew", err=True)
        if kept.found:
            say(f"{len(kept.found)} runs are there already", err=True)
        with logged(), on_signals() as stop:
            try:
                outcomes = run(
                    tables, Lab(folder, with_backend, stop), kept, lambda text: say(text, err=True)
                )
            except (StoppedError, KeyboardInterrupt):
                say(f"interrupted: `{again}` goes on from here", err=True)
                context.exit(ended_by())
        text = page(found, outcomes, command, _made_on(with_backend.name))
        for outcome in outcomes:
            picture = drawn(outcome)
            if picture is not None:
                write(str(out / outcome.table.file), picture)
        write(str(out / RESULTS), text)
    echo(text)
    claims = [holds for outcome in outcomes for _, holds in outcome.borne_out]
    say(f"{HELD} {sum(claims)}  {FAILED} {len(claims) - sum(claims)}  `{out / RESULTS}`", err=True)
    if not all(claims):
        context.exit(1)


def _require_files(out: Path, pictures: Sequence[str]) -> None:
    """Refuse, before anything is trained, what could not be written in the end.

    Raises:
        FacError: what lies in the place of a result is no file, or may not be written.
    """
    for name in (RESULTS, *pictures):
        place = out / name
        if os.path.lexists(place) and (
            place.is_symlink() or not place.is_file() or not os.access(place, os.W_OK)
        ):
            raise FacError(
                f"`{place}` is no file that may be written: move it away, or give another folder to `--out`"
            )


def _made_on(backend: str) -> str:
    """Backend, version, processor."""
    import platform
    from importlib.metadata import version

    return f"{backend}, fac {version('fac-compiler')}, {platform.machine()}"


COMMAND = study
