"""`fac report`: what runs have left behind, as one page."""

from __future__ import annotations

from pathlib import Path

import click

from fac.cli.backends import not_empty
from fac.cli.output import pass_on, say, write
from fac.cli.paths import PATH, TEXT
from fac.render.kinds import STDOUT


@click.command(short_help="Write one HTML file of what runs have left behind.")
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN|FOLDER...")
@click.option(
    "-o",
    "--output",
    required=True,
    type=TEXT,
    metavar="FILE",
    help="The page, .html or .htm; `-` is standard output.",
)
@click.option("--title", default="", help="Default: what the specs are called.")
@click.option(
    "--no-samples", is_flag=True, help="Measure no network: no confusions, no samples of high loss."
)
@click.option("--backend", default="reference", callback=not_empty, show_default=True, help="Which measures.")
def report(runs: tuple[Path, ...], output: str, title: str, no_samples: bool, backend: str) -> None:
    """Write a page of RUNs: what was run, results, curves, cost, confusions, samples of high loss, findings, specs.

    RUN is a folder of `fac train`, `fac compare --out` or `fac sweep`, or one that holds some. The page needs no
    network and no script. The same folders give the same page.
    """
    from fac.cli.progress import logged
    from fac.experiments.reporting import reported, require_page
    from fac.pipeline import find_backend
    from fac.writing import require_writable

    if output != STDOUT:
        require_page(output)
        require_writable(Path(output))
    find_backend(backend)
    with logged():
        found = reported(
            runs,
            title=title,
            measure=not no_samples,
            backend=backend,
            watch=lambda run: say(f"measuring `{run}` on its test data", err=True),
        )
    for note in found.notes:
        say(note, err=True)
    if output == STDOUT:
        pass_on(found.html)
        return
    write(output, found.html)
    say(
        f"wrote `{output}`: {_counted(found.runs, 'run')} of {_counted(len(found.settings), 'setting')}, "
        f"{len(found.html.encode()):,} bytes"
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


COMMAND = report
