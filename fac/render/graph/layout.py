"""From a topology to a picture: the forward lane, the lane of errors under it, and the lines around them.

A long network is written like music: in rows that are read one after the other, where a line that leaves one row
at its edge comes in again at the edge of the next. Lines that are not straight run level in tracks above or below
all boxes, and turn off to a box in its own column: no line can meet a box that it does not belong to.
"""

from __future__ import annotations

from fac.render.graph import words
from fac.render.graph.boxes import boxes, group_labels
from fac.render.graph.columns import EDGE, TEXT
from fac.render.graph.legend import Legend
from fac.render.graph.level import draw_tracks
from fac.render.graph.picture import Label, Picture, Rect, Words
from fac.render.graph.rows import LINE, Grid
from fac.render.graph.straight import Drawing, draw_straight
from fac.render.graph.topology import Topology

NARROWEST, WIDEST = 760.0, 1400.0
"""Of a picture, as far as its words and not its boxes decide on it."""
HEAD = 44.0
TOLD = 40
"""Links that the description in words lists."""


def laid_out(topology: Topology, bare: bool = False) -> Picture:
    """The picture of a topology, folded or not; `bare` without title and legend."""
    grid = Grid(topology, EDGE if bare else EDGE + HEAD)
    drawing = Drawing(grid)
    draw_straight(drawing)
    draw_tracks(drawing)
    labels = *group_labels(grid), *drawing.labels
    title = Words(topology.program.spec.name, 16.0, True)
    summary = Words(words.headline(topology), TEXT, tone="quiet")
    story = _story(topology)
    if bare:
        ends = grid.right + EDGE, grid.bottom + EDGE
        boxed = tuple(boxes(grid))
        return Picture(*ends, title.text, summary.text, story, boxed, tuple(drawing.wires), labels, True)
    needed = max(words.width(w.text, w.size, w.bold) for w in (title, summary)) + 2 * EDGE
    width = max(NARROWEST, min(needed, WIDEST), grid.right + EDGE)
    legend = Legend(topology, grid.wired)
    bottom = legend.place(EDGE, grid.bottom + 26, width - EDGE)
    heading = tuple(
        Words(words.shortened(w.text, width - 2 * EDGE, w.size, w.bold), w.size, w.bold, w.tone)
        for w in (title, summary)
    )
    head = Label(Rect(EDGE, EDGE - 8, width - 2 * EDGE, 2 * LINE + 6), heading, title=title.text)
    return Picture(
        width,
        bottom + EDGE,
        title.text,
        summary.text,
        story,
        (*boxes(grid), *legend.boxes),
        (*drawing.wires, *legend.wires),
        (head, *labels, *legend.labels),
    )


def _story(topology: Topology) -> str:
    told = [words.sentence(topology, link) for link in topology.links if link.carries_error]
    more = [f"and {len(told) - TOLD} more"] if len(told) > TOLD else []
    return "; ".join([*told[:TOLD], *more])
