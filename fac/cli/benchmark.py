"""`fac study` of a benchmark: a sweep for each task, and the file, page and picture of what came of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fac.cli.compare import watching
from fac.cli.output import echo, say, write
from fac.diagnostics import FacError
from fac.signals import ended_by

if TYPE_CHECKING:
    from fac.backend import Backend
    from fac.studies import Benchmark

RESULTS = "results.md"


def benchmarked(
    context: click.Context,
    found: Benchmark,
    folder: Path,
    out: Path,
    backend: Backend,
    command: tuple[str, str],
    *,
    short: bool,
    jobs: int | None,
) -> None:
    """Make what is left of it, and write results after each task.

    Args:
        context: ends with exit status 1 if a claim did not come out, 2 if a training could not be made.
        found: what `study.py` says.
        folder: of the study.
        out: keeps all of it.
        backend: trains.
        command: that makes it, and that goes on after an interruption.
        short: whether it is the short form.
        jobs: see `fac sweep`.
    """
    from fac.experiments.job import Where
    from fac.studies.benchmarks import entries
    from fac.studies.benchmarks.machine import machine
    from fac.studies.benchmarks.running import contend, ready, tasks_of
    from fac.training.holding import alone_in

    where, made_on = Where(backend.name), machine(("fac-compiler", "numpy", "optuna", backend.name))
    tasks = tasks_of(found, short=short)
    results = {task.title: entries.missing(task, "it is not made yet") for task in tasks}

    def keep() -> str:
        return _write(out, entries.text(found, [*results.values()], command[0], made_on))

    with alone_in(out):
        if not entries.require_own(out, found):
            keep()
        begun = [(task, ready(found, task, folder, where)) for task in tasks]
        for task, at in begun:
            if isinstance(at, FacError):
                say(f"`{task.title}` is left out: {at}", err=True)
                results[task.title] = entries.missing(
                    task, "its data are not on the machine that made this page"
                )
                continue
            say(f"{task.title}: {len(at.rules)} rules", err=True)
            sweep = contend(at, where, out=out, jobs=jobs, watch=watching())
            for note in sweep.notes:
                say(note, err=True)
            comparison = sweep.comparison
            if comparison is None or comparison.made < comparison.meant:
                failed = any(course.failures for course in sweep.courses)
                keep()
                say(f"{'not whole' if failed else 'interrupted'}: `{command[1]}` goes on from here", err=True)
                context.exit(2 if failed else ended_by())
            results[task.title] = entries.entry(at, sweep)
            keep()
        text = keep()
    echo(text)
    _end(context, [*results.values()], out)


def _write(out: Path, text: str) -> str:
    """The file of results, and what is made of it: the page, which is given back, and the picture."""
    from fac.studies.benchmarks.entries import FILE, read
    from fac.studies.benchmarks.page import PICTURE, page
    from fac.studies.benchmarks.picture import drawn

    write(str(out / FILE), text.encode())
    found = read(out / FILE)
    made, picture = page(found), drawn(found)
    if picture is not None:
        write(str(out / PICTURE), picture)
    write(str(out / RESULTS), made)
    return made


def _end(context: click.Context, results: Sequence[Mapping[str, Any]], out: Path) -> None:
    from fac.studies.report import FAILED, HELD

    claims = [claim["holds"] for task in results for claim in task.get("claims", ())]
    say(f"{HELD} {sum(claims)}  {FAILED} {len(claims) - sum(claims)}  `{out / RESULTS}`", err=True)
    if any(row["failed"] for task in results for row in task.get("rows", ())):
        context.exit(2)
    if not all(claims):
        context.exit(1)
