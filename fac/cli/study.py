"""`fac study`: what a paper says, trained and measured here."""

from __future__ import annotations

from pathlib import Path

import click

from fac.cli.backends import not_empty
from fac.cli.output import echo, say
from fac.cli.paths import PATH
from fac.signals import ended_by, on_signals


@click.command()
@click.argument("name", required=False)
@click.option("--short", is_flag=True, help="The form of a few minutes: fewer rows, seeds and epochs.")
@click.option(
    "--out", type=PATH, help="Folder of the results. Default: `studies/NAME`, or `studies/NAME-short`."
)
@click.option("--backend", callback=not_empty, help="Default: the first usable of torch, onnx, reference.")
@click.pass_context
def study(
    context: click.Context, name: str | None, short: bool, out: Path | None, backend: str | None
) -> None:
    """Train and measure what a study's tables need, and write them as `results.md`.

    Without NAME the studies that come with fac are listed. A path, such as `./mine`, names a folder with a `study.py`
    of your own, which is run: it is a program, not a spec.

    Runs that are there already are not made again, so an interrupted study goes on. Exit status 1: something that
    the study claims did not come out.
    """
    from fac.cli.backends import chosen
    from fac.cli.progress import logged
    from fac.studies import finding, pictures
    from fac.studies.keeping import Kept
    from fac.studies.lab import Lab
    from fac.studies.report import FAILED, HELD, page
    from fac.studies.running import run
    from fac.training.loop import StoppedError
    from fac.writing import write

    if name is None:
        for known in finding.names():
            echo(f"{known:<16} {finding.read(finding.folder_of(known)).title}")
        return
    folder = finding.folder_of(name)
    found = finding.read(folder)
    with_backend = chosen(backend)
    out = out or Path("studies") / f"{folder.resolve().name}{'-short' * short}"
    out.mkdir(parents=True, exist_ok=True)
    kept = Kept(out, finding.digest(folder, with_backend))
    if kept.stale:
        say(f"{kept.stale} runs in `{out}` are of other code or other files: they are made anew", err=True)
    if kept.found:
        say(f"{len(kept.found)} runs are there already", err=True)
    with logged(), on_signals() as stop:
        try:
            outcomes = run(
                found.tables(short), Lab(folder, with_backend, stop), kept, lambda text: say(text, err=True)
            )
        except (StoppedError, KeyboardInterrupt):
            say(f"interrupted: `fac study {name}{' --short' * short}` goes on from here", err=True)
            context.exit(ended_by())
    text = page(
        found, outcomes, f"fac study {folder.resolve().name}{' --short' * short}", _made_on(with_backend.name)
    )
    for outcome in outcomes:
        picture = pictures.drawn(outcome)
        if picture is not None:
            write(out / pictures.name(outcome), picture)
    write(out / "results.md", text.encode())
    echo(text)
    claims = [holds for outcome in outcomes for _, holds in outcome.borne_out]
    say(f"{HELD} {sum(claims)}  {FAILED} {len(claims) - sum(claims)}  `{out / 'results.md'}`", err=True)
    if not all(claims):
        context.exit(1)


def _made_on(backend: str) -> str:
    """Backend, version, processor."""
    import platform
    from importlib.metadata import version

    return f"{backend}, fac {version('fac-compiler')}, {platform.machine()}"


COMMAND = study
