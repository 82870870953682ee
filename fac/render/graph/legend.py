"""The legend: what occurs in a picture, and nothing else, with what the picture could not show."""

from __future__ import annotations

from collections.abc import Iterator

from fac.render.graph import words
from fac.render.graph.nets import Wiring
from fac.render.graph.pens import BUS, DOUBLE, EXACT, TIE, UPDATE, VALUE, Pen, operator_pen
from fac.render.graph.picture import Box, Label, Rect, Wire, Words
from fac.render.graph.topology import Flowing, Operator, Topology

SAMPLE = 40.0
SIZE = 11.0
LINE = 24.0
APART = 22.0
NOTES = 6
"""Notes that are printed; more are counted."""

Sample = Pen | Words | str
"""A line, a word, or the look of a box."""


class Legend:
    """Samples with a text each, set like words in lines."""

    def __init__(self, topology: Topology, wired: Wiring) -> None:
        self.topology, self.wired = topology, wired
        self.boxes: list[Box] = []
        self.wires: list[Wire] = []
        self.labels: list[Label] = []

    def place(self, left: float, top: float, right: float) -> float:
        """Place everything between two edges, from `top` on, and return where it ends."""
        found = list(self._entries())
        widest = max(words.width(text, SIZE) for _, text in found)
        cell = min(right - left, SAMPLE + 10 + widest + APART)
        across = max(1, int((right - left + APART) / cell))
        for i, (sample, text) in enumerate(found):
            x, y = left + i % across * cell, top + i // across * LINE
            room = cell - SAMPLE - 10 - APART + 1
            self._sample(sample, x, y)
            shown = words.shortened(text, room, SIZE)
            self.labels.append(Label(Rect(x + SAMPLE + 10, y + 5, room, 14), (Words(shown, SIZE),)))
        return self._notes(left, top + -(-len(found) // across) * LINE, right)

    def _notes(self, left: float, y: float, right: float) -> float:
        notes = list(dict.fromkeys(self.topology.notes))
        if len(notes) > NOTES:
            notes = [*notes[: NOTES - 1], f"and {len(notes) - NOTES + 1} more such notes"]
        for note in notes:
            text = words.shortened(note, right - left, SIZE)
            room = Rect(left, y + 4, words.width(text, SIZE), 14)
            self.labels.append(Label(room, (Words(text, SIZE, tone="alarm"),), title=note))
            y += 17
        return y

    def _sample(self, sample: Sample, x: float, y: float) -> None:
        middle = y + LINE / 2
        if isinstance(sample, Words):
            self.labels.append(Label(Rect(x, y + 5, SAMPLE, 14), (sample,), "middle"))
            return
        if isinstance(sample, str):
            text = (Words("δ", 10.0),) if sample == "error" else ()
            tall = 18.0 if sample == "group" else 15.0
            look = "layer" if sample == "stack" else sample
            rect = Rect(x + 4, middle - tall / 2, SAMPLE - 12, tall)
            self.boxes.append(Box(rect, look, text, stacked=sample == "stack"))
            return
        vertical = sample == UPDATE
        line = ((x + 20, y + 19), (x + 20, y + 12)) if vertical else ((x, middle), (x + SAMPLE, middle))
        tips = (((x + 20, y + 5), "u"),) if vertical else ()
        dots = ((x + SAMPLE / 2, middle),) if sample == BUS else ()
        self.wires.append(Wire((line,), sample, tips, dots))

    # -- what occurs -----------------------------------------------------------------------------------------

    def _entries(self) -> Iterator[tuple[Sample, str]]:
        yield VALUE, "values, forward"
        links = [link for link in self.topology.links if link.carries_error]
        if links:
            yield "error", "error of the layer above it"
        if any(station.learns for station in self.topology.stations):
            yield UPDATE, "teaches the weights of the layer"
        if any(link.flowing is Flowing.EXACT for link in links):
            yield EXACT, "exact error: transposed weight, derivatives"
        operators = [link.operator for link in links if link.operator is not None]
        yield from self._operators(operators)
        if any(net.bus and not net.collects for net in self.wired.below):
            yield BUS, "one error for several layers"
        if any(net.collects for net in self.wired.below):
            yield BUS, "several errors for one layer"
        if any(operator.tied for operator in operators):
            yield TIE, "tied to the weight of the layer"
        if any(operator.added for operator in operators):
            yield Words("+ …", SIZE), "added to what comes from above"
        yield from self._boxes()

    def _operators(self, operators: list[Operator]) -> Iterator[tuple[Sample, str]]:
        seen: dict[tuple[str, tuple[str, ...]], Operator] = {}
        for operator in operators:
            seen.setdefault((operator.kind, operator.learning), operator)
        for operator in seen.values():
            pen = operator_pen(operator)
            name = "P of a subspace" if operator.kind == "subspace" else operator.kind
            rules = words.learned(operator)
            text = f"{operator.symbols}: {name}" if operator.symbols not in (name, "P") else name
            yield (
                Pen(pen.tone, DOUBLE if pen.double else 2.0, pen.dash, pen.double),
                ", ".join(filter(None, (text, rules))),
            )
        if any(operator.rank is not None and not operator.whole for operator in operators):
            yield Words("r=2 / 9", 10.0), "rank 2 of at most 9; wider lines have more"
        whole = [operator for operator in operators if operator.whole]
        if whole:
            yield Pen("ink", DOUBLE, double=True), "full rank"

    def _boxes(self) -> Iterator[tuple[Sample, str]]:
        stations = self.topology.stations
        if any(reading.operator for reading in self.topology.readings):
            yield "subspace", "subspace: s = P δ"
        if any(not reading.operator for reading in self.topology.readings):
            yield "missing", "a source that the spec does not have"
        if any(station.frozen for station in stations):
            yield "frozen", "frozen: keeps its weights"
        if any(station.starved for station in stations):
            yield "starved", "should learn, but no error arrives"
        if any(station.stacked for station in stations):
            like = "layers that differ in sizes" if self.topology.mixed else "equal layers"
            yield "stack", f"×N: {like}, one behind the other"
        if self.topology.groups:
            yield "group", "×N: the group, so many times"
