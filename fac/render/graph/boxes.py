"""The boxes of a picture: layers, their errors, subspaces and groups."""

from __future__ import annotations

from collections.abc import Iterator

from fac.render.graph import words
from fac.render.graph.columns import FRAME, TEXT, Column, subspace_words
from fac.render.graph.picture import Box, Label, Rect, Words
from fac.render.graph.rows import HEADER, LINE, PILL, Grid, Row
from fac.render.graph.topology import Group, Reading, Station


def boxes(grid: Grid) -> Iterator[Box]:
    """All boxes; those of groups, which hold others, come first."""
    for group in grid.topology.groups:
        yield from _frame(grid, group)
    for reading in grid.topology.readings:
        yield _subspace(grid, reading)
    for row in grid.rows:
        for column in row.columns:
            if column.station is not None:
                yield from _station(row, column, grid.topology.stations[column.station], grid)


def group_labels(grid: Grid) -> Iterator[Label]:
    """What each group is called, and how many times it stands there."""
    for group in grid.topology.groups:
        frame = next(_frame(grid, group)).rect
        text = words.shortened(words.group(group), frame.width - 8, TEXT, True)
        room = Rect(frame.x + 4, frame.y + 2, words.width(text, TEXT, True), LINE)
        yield Label(room, (Words(text, TEXT, True),), title=_times(group))


def _frame(grid: Grid, group: Group) -> Iterator[Box]:
    """One for each row that the group stands in, open where it goes on."""
    for row in grid.rows:
        if held := grid.held(group, row):
            first, last = held[0], held[-1]
            opens = "l" * (first.station != group.first) + "r" * (last.station != group.last)
            x, y = first.x - first.left - FRAME, row.box - HEADER
            rect = Rect(x, y, last.x + last.right + FRAME - x, row.branches - y)
            yield Box(rect, "group", title=_times(group), opens=opens)


def _times(group: Group) -> str:
    times = f"{group.count} times" if group.count > 1 else ""
    return ", ".join(filter(None, (group.name, times)))


def _subspace(grid: Grid, reading: Reading) -> Box:
    story = ", ".join(words.reading_lines(reading))
    return Box(grid.subspace(reading.name), reading.look, subspace_words(reading), story)


def _station(row: Row, column: Column, station: Station, grid: Grid) -> Iterator[Box]:
    look = "layer" if station.role == "layer" else "end"
    look = "frozen" if station.frozen else "starved" if station.starved else look
    rect = Rect(column.box_left, row.box, column.box, row.tall)
    yield Box(rect, look, column.words, words.story(grid.topology, station), station.stacked)
    if column.pill:
        pill = Rect(column.pill_left, row.pill, column.pill, PILL)
        yield Box(pill, "error", (Words("δ", TEXT),), f"error of {words.calling(station)}", station.stacked)
