"""`fac plot`: what runs have logged, as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from fac.cli.output import is_spec, pass_on, say, write
from fac.cli.paths import PATH, TEXT
from fac.diagnostics import FacError
from fac.render.kinds import STDOUT, picture_kind
from fac.render.plot.topics import TOPICS


@click.command(short_help="Draw losses, accuracies and probes of runs over their steps.")
@click.argument("runs", nargs=-1, required=True, type=PATH)
@click.option(
    "-o",
    "--output",
    required=True,
    type=TEXT,
    metavar="FILE",
    help="The picture; the suffix says how: .svg, .png or .pdf. `-` is standard output.",
)
@click.option(
    "--show",
    "globs",
    multiple=True,
    metavar="GLOB",
    help="Names of `metrics.jsonl` to draw, such as '*.error.cosine'. Repeatable. Default: losses, accuracy, probes.",
)
@click.option(
    "--what",
    "topics",
    multiple=True,
    type=click.Choice(TOPICS),
    help="What names are about that are drawn, of all layers. Repeatable.",
)
@click.option("--arms", is_flag=True, help="Draw what the audit of a comparison has added to it, too.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="TEXT",
    help="What a setting is called, in their order; once for each. Default: its row, or what tells it apart.",
)
@click.option("--width", metavar="LENGTH", help="Of the picture, such as 3.25in or 8cm, for a paper.")
@click.option("--font-size", "points", type=float, metavar="PT", help="Of its letters, in points.")
@click.option("--format", "kind", metavar="KIND", help="svg, png or pdf. Default: the suffix.")
@click.option("--bare", is_flag=True, help="Without title and ground, for a paper.")
@click.option("--light", is_flag=True, help="SVG that stays light where the reader's setting is dark.")
def plot(
    runs: tuple[Path, ...],
    output: str,
    globs: tuple[str, ...],
    topics: tuple[str, ...],
    arms: bool,
    labels: tuple[str, ...],
    width: str | None,
    points: float | None,
    kind: str | None,
    bare: bool,
    light: bool,
) -> None:
    """Draw what RUNS have logged: losses, accuracies and probes over steps.

    RUNS are folders of `fac train`, of `fac compare --out`, whose rows are drawn, and of `fac sweep`, of which the
    best are. Runs of one spec, but for the seed, are drawn as their mean, and one standard deviation on either side. Of
    one spec each measure has a curve for each layer; of several, each name has a curve for each spec.
    """
    from fac.experiments.plotting import plotted
    from fac.render import plot as drawing
    from fac.writing import require_writable

    kind, sheet = picture_kind(output, kind, drawing.FORMATS), drawing.sheet(width, points)
    if output != STDOUT and is_spec(output, ()):
        raise FacError(f"a picture would be written to `{output}`, which is called as a spec is")
    if output != STDOUT:
        require_writable(Path(output))
    found = plotted(runs, arms=arms, labels=labels)
    for note in found.notes:
        say(note, err=True)
    figure = drawing.figure(found.trials, globs, topics=topics)
    for note in figure.notes:
        say(note, err=True)
    picture = drawing.render(figure, kind, bare=bare, light=light, sheet=sheet)
    if output == STDOUT:
        pass_on(picture)
    else:
        write(output, picture)
        say(f"drew `{output}`: {_counted(len(figure.panels), 'panel')} of {_counted(found.runs, 'run')}")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number > 1)}"


COMMAND = plot
