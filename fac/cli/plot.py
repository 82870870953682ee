"""`fac plot`: what runs have logged, as a picture."""

from __future__ import annotations

import os
from pathlib import Path

import click

from fac.cli.output import is_spec, pass_on, say, write
from fac.cli.paths import PATH, TEXT
from fac.cli.pictures import STDOUT, picture_kind
from fac.diagnostics import FacError
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
    width: str | None,
    points: float | None,
    kind: str | None,
    bare: bool,
    light: bool,
) -> None:
    """Draw what RUNS, folders that `fac train` made, have logged: losses, accuracies and probes over steps.

    Runs of one spec, but for the seed, are drawn as their mean, and one standard deviation on either side. Of one spec
    each measure has a curve for each layer; of several, each name has a curve for each spec.
    """
    from fac.experiments.ended import told
    from fac.render import plot as drawing
    from fac.training import history

    kind, sheet = picture_kind(output, kind, drawing.FORMATS), drawing.sheet(width, points)
    if output != STDOUT and is_spec(output, ()):
        raise FacError(f"a picture would be written to `{output}`, which is called as a spec is")
    once = {os.path.realpath(run): run for run in reversed(runs)}
    read = [history.read(run) for run in reversed(once.values())]
    for run in read:
        if run.damaged:
            what = (
                "line of its log is no record and is"
                if run.damaged == 1
                else "lines of its log are no records and are"
            )
            say(f"`{run.path}`: {run.damaged} {what} left out", err=True)
        if not run.spec and len(read) > 1:
            say(
                f"`{run.path}`: without a spec that can be read it is no run of any other's setting", err=True
            )
        for line in told(run.path):
            say(f"`{run.path}`: {line}", err=True)
    groups = history.groups(read)
    trials = [
        drawing.Trial(
            label, tuple(tuple(record.flat() for record in run.records) for run in group), group[0].rule
        )
        for label, group in zip(history.labels(groups), groups, strict=True)
    ]
    figure = drawing.figure(trials, globs, topics=topics)
    for note in figure.notes:
        say(note, err=True)
    picture = drawing.render(figure, kind, bare=bare, light=light, sheet=sheet)
    if output == STDOUT:
        pass_on(picture)
    else:
        write(output, picture)
        say(f"drew `{output}`: {_counted(len(figure.panels), 'panel')} of {_counted(len(read), 'run')}")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number > 1)}"


COMMAND = plot
