"""The legend: what occurs in a picture, and nothing else, with what the picture could not show."""

from __future__ import annotations

from fac.render.graph import words
from fac.render.graph.nets import Wiring
from fac.render.graph.occurring import Sample, occurring
from fac.render.graph.pens import BUS, UPDATE
from fac.render.graph.picture import Box, Label, Rect, Wire, Words
from fac.render.graph.topology import Topology

SAMPLE = 40.0
"""Width of a line; a word may need more."""
SIZE = 11.0
BESIDE = 10.0
"""Between a sample and its text."""
LINE = 24.0
APART = 22.0
NOTES = 6
"""Notes that are printed; more are counted."""


class Legend:
    """Samples with a text each, set like words in lines."""

    def __init__(self, topology: Topology, wired: Wiring) -> None:
        self.topology, self.wired = topology, wired
        self.boxes: list[Box] = []
        self.wires: list[Wire] = []
        self.labels: list[Label] = []

    def place(self, left: float, top: float, right: float) -> float:
        """Place everything between two edges, from `top` on, and return where it ends."""
        found = list(occurring(self.topology, self.wired))
        broad = [words.width(s.text, s.size) for s, _ in found if isinstance(s, Words)]
        self.broad = max(SAMPLE, *broad) if broad else SAMPLE
        widest = max(words.width(text, SIZE) for _, text in found)
        cell = min(right - left, self.broad + BESIDE + widest + APART)
        across = max(1, int((right - left + APART) / cell))
        for i, (sample, text) in enumerate(found):
            x, y = left + i % across * cell, top + i // across * LINE
            room = cell - self.broad - BESIDE - APART + 1
            self._sample(sample, x, y)
            shown = words.shortened(text, room, SIZE)
            self.labels.append(Label(Rect(x + self.broad + BESIDE, y + 5, room, 14), (Words(shown, SIZE),)))
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
            self.labels.append(Label(Rect(x, y + 5, self.broad, 14), (sample,), "middle"))
            return
        x += (self.broad - SAMPLE) / 2
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
