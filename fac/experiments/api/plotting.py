"""`fac.plot`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from fac import asked
from fac.diagnostics import FacError
from fac.experiments.api.common import LOG
from fac.experiments.api.reporting import RunLike
from fac.experiments.plotting import plotted
from fac.experiments.reporting import of_paths
from fac.render import plot as drawing
from fac.render.kinds import picture_kind
from fac.writing import require_writable, write


def plot(
    runs: RunLike | Sequence[RunLike],
    output: str | os.PathLike[str] | None = None,
    *,
    what: str | Sequence[str] = (),
    show: str | Sequence[str] = (),
    arms: bool = False,
    labels: Sequence[str] = (),
    width: str | None = None,
    font_size: float | None = None,
    bare: bool = False,
    light: bool = False,
) -> bytes:
    """Draw losses, accuracies and probes over steps, as `fac plot` does.

    Args:
        runs: folders of runs, of comparisons and of sweeps; or trainings that were kept.
        output: where the picture is written: `.svg`, `.png` or `.pdf`. Without it the SVG is given.
        what: names are about that are drawn, such as `accuracy`; see `fac.render.plot.TOPICS`.
        show: names of `metrics.jsonl`, such as `*.error.cosine`.
        arms: whether arms that an audit has added to a comparison are drawn, too.
        labels: what settings are called, one for each.
        width: of the picture, such as `3.25in`.
        font_size: of its letters, in points.
        bare: without title and ground.
        light: SVG that stays light where its reader's setting is dark.

    Returns:
        The picture: the bytes of the file.

    Raises:
        FacError: there is nothing to draw, an argument means nothing, or the file cannot be written.
    """
    place = None if output is None else asked.path(output, "output")
    kind = "svg" if place is None else picture_kind(str(place), None, drawing.FORMATS, option=False)
    topics, globs = (_several(given, name) for given, name in ((what, "what"), (show, "show")))
    for topic in topics:
        if topic not in drawing.TOPICS:
            raise FacError(f"no topic is called `{topic}`; there are {', '.join(drawing.TOPICS)}")
    asked.name(width, "width", "3.25in")
    asked.of(font_size, (int, float, type(None)), "font_size", "points, such as 8")
    sheet = drawing.sheet(width, font_size)
    if place is not None:
        require_writable(place)
    found = plotted(of_paths(runs), arms=arms, labels=asked.texts(labels, "labels", "backprop"))
    figure = drawing.figure(found.trials, globs, topics=topics)
    for note in (*found.notes, *figure.notes):
        LOG.warning("%s", note)
    picture = drawing.render(figure, kind, bare=bare, light=light, sheet=sheet)
    if place is not None:
        write(place, picture)
    return picture


def _several(given: str | Sequence[str], name: str) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else asked.texts(given, name, "loss")
