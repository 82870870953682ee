"""Mermaid text: what Markdown on code-hosting sites draws, in a README, a pull request or a step summary."""

from __future__ import annotations

from collections.abc import Iterable

from fac import escaping
from fac.program.program import Program
from fac.render.graph import words
from fac.render.graph.fold import folded
from fac.render.graph.nets import errors_at, feeding
from fac.render.graph.pens import BUS, TONES, Pen, pen_of
from fac.render.graph.read import topology
from fac.render.graph.topology import Flowing, Key, Link, Station, Topology

MOST_LINKS, MOST_TEXT = 480, 48_000
"""A little under what Mermaid draws without settings of its own: 500 edges, 50,000 characters."""
READABLE = 14
"""Stations that a chart shows at a size that can be read: it has one line, however long, and the page a width."""
LABEL, COMMENT = 400.0, 2000.0
"""Widths that longer texts are cut to."""
LOOKS = {
    "frozen": "fill:#e3f1fb,stroke:#0072b2,stroke-dasharray:3 3,color:#1f2328",
    "starved": "fill:#ffffff,stroke:#b3261e,color:#b3261e",
    "missing": "fill:#ffffff,stroke:#b3261e,stroke-dasharray:4 3,color:#b3261e",
    "targets": "fill:#ffffff,stroke:#57606a,color:#1f2328",
    "subspace": "fill:#fff8e6,stroke:#c08400,color:#1f2328",
    "joint": "fill:#57606a,stroke:#57606a,color:#57606a",
}


def mermaid(program: Program) -> str:
    """A Mermaid flowchart of any program, with or without findings. Long networks are folded."""
    shown = folded(topology(program), READABLE)
    text = _Chart(shown).text() if len(shown.links) <= MOST_LINKS else ""
    if text and len(text) <= MOST_TEXT:
        return text
    size = f"{len(program.nodes)} layers, {len(program.routes)} routes"
    lines = size, "too many for Mermaid", "fac show SPEC -o graph.svg draws them"
    return f'flowchart LR\n  s0["{_joined(lines)}"]\n'


class _Chart:
    """Two lanes, each a subgraph of its own direction: links between the two would undo that."""

    def __init__(self, shown: Topology) -> None:
        self.topology = shown
        self.lines: list[str] = []
        self.pens: dict[Pen, list[int]] = {}
        self.looks: dict[str, list[str]] = {}
        self.links = 0

    def text(self) -> str:
        """The whole chart."""
        self.lines = ["flowchart TB"]
        self._forward()
        lanes = ["forward"]
        if any(link.carries_error for link in self.topology.links):
            self._errors()
            self.lines.append("  forward ~~~ errors")
            lanes.append("errors")
        # Without a fill, what a page has for a ground shows: sites draw charts on light and on dark ones.
        lanes += [f"g{group.first}" for group in self.topology.groups]
        self.lines += [f"  style {lane} fill:none,stroke:#8b949e" for lane in lanes]
        for look, names in self.looks.items():
            self.lines += [f"  classDef {look} {LOOKS[look]}", f"  class {','.join(names)} {look}"]
        for pen, numbers in self.pens.items():
            self.lines.append(f"  linkStyle {','.join(map(str, numbers))} {_style(pen)}")
        self.lines += [f"  %% {_quoted(note, COMMENT)}" for note in self.topology.notes]
        return "\n".join(self.lines) + "\n"

    # -- lanes -----------------------------------------------------------------------------------------------

    def _forward(self) -> None:
        self.lines += ['  subgraph forward["values"]', "    direction LR"]
        inside = {group.first: group for group in self.topology.groups}
        last = {group.last for group in self.topology.groups}
        for index, station in enumerate(self.topology.stations):
            if index in inside:
                self.lines.append(f'    subgraph g{index}["{_quoted(words.group(inside[index]))}"]')
            self._station(index, station)
            if index in last:
                self.lines.append("    end")
        for link in self.topology.links:
            if link.flowing is Flowing.VALUE:
                self._link(f"s{link.source}", "==>", f"s{link.target}", (), pen_of(link))
        self.lines.append("  end")

    def _station(self, index: int, station: Station) -> None:
        text = [words.title(self.topology, station), *words.facts(self.topology, station)]
        open_, close = ("[", "]") if station.role == "layer" else ("([", "])")
        self.lines.append(f'    s{index}{open_}"{_joined(text)}"{close}')
        look = "frozen" if station.frozen else "starved" if station.starved else ""
        if look:
            self.looks.setdefault(look, []).append(f"s{index}")

    def _errors(self) -> None:
        self.lines += ['  subgraph errors["errors δ"]', "    direction RL"]
        for index in reversed(errors_at(self.topology)):
            station = self.topology.stations[index]
            times = [f"×{len(station.chains)}"] if len(station.chains) > 1 else []
            self.lines.append(f'    e{index}(["{_joined([f"δ {words.calling(station)}", *times])}"])')
        self.names: dict[Key, str] = {}
        for number, reading in enumerate(self.topology.readings):
            self.names[reading.name] = f"p{number}"
            self.lines.append(f'    p{number}["{_joined(filter(None, words.reading_lines(reading)))}"]')
            self.looks.setdefault(reading.look, []).append(f"p{number}")
        buses, single = feeding(self.topology)
        for link in single:
            text = () if link.flowing is Flowing.READING else words.label(link)
            self._link(self._end(link.source), "-->", self._end(link.target), text, pen_of(link))
        for number, links in enumerate(buses):
            self._bus(number, links)
        self.lines.append("  end")

    def _bus(self, number: int, links: list[Link]) -> None:
        """A chain of points, from each of which one link branches off: stars of many links are not readable."""
        before = self._end(links[0].source)
        for at, link in enumerate(links):
            joint = f"j{number}x{at}"
            self.lines.append(f'    {joint}((" "))')
            self.looks.setdefault("joint", []).append(joint)
            self._link(before, "---", joint, (), BUS)
            self._link(joint, "-->", self._end(link.target), words.label(link), pen_of(link))
            before = joint

    # -- parts -----------------------------------------------------------------------------------------------

    def _end(self, key: Key) -> str:
        return self.names[key] if isinstance(key, str) else f"e{key}"

    def _link(self, source: str, arrow: str, target: str, text: Iterable[str], pen: Pen) -> None:
        label = ", ".join(text)
        shown = f'|"{_quoted(label)}"|' if label else ""
        self.lines.append(f"    {source} {arrow}{shown} {target}")
        self.pens.setdefault(pen, []).append(self.links)
        self.links += 1


def _style(pen: Pen) -> str:
    dash = f",stroke-dasharray:{pen.dash}" if pen.dash else ""
    # Ink would not be seen on a dark page.
    tone = "edge" if pen.tone == "ink" else pen.tone
    return f"stroke:{TONES[tone][0]},stroke-width:{pen.width:g}px{dash}"


def _joined(lines: Iterable[str]) -> str:
    return "<br/>".join(map(_quoted, lines))


def _quoted(text: str, room: float = LABEL) -> str:
    """Text within quotes, as long as there is room."""
    return escaping.mermaid(words.shortened(text, room, 11))
