"""DOT text for those who have Graphviz: stations in a row, their errors below, buses as chains of points."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from fac import escaping
from fac.render.graph import words
from fac.render.graph.nets import errors_at, feeding, wiring
from fac.render.graph.occurring import LARGEST, occurring
from fac.render.graph.pens import BUS, TIE, TONES, UPDATE, Pen, pen_of
from fac.render.graph.picture import Words
from fac.render.graph.topology import Flowing, Key, Link, Station, Topology

DASHED = {"": "solid", "1.5 3": "dotted", "2 3": "dotted"}
DRAWN = {"solid": "———", "dashed": "– – –", "dotted": "· · · ·"}


def dot(topology: Topology, bare: bool = False) -> str:
    """The text of the file; `bare` without title and legend, on no ground."""
    return _Graph(topology).text(bare)


class _Graph:
    """Every edge is written from left to right, so that Graphviz keeps the order; `dir=back` turns its arrow."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.lines: list[str] = []
        self.beside: dict[int, list[str]] = defaultdict(list)
        """What stands in one column with a station."""
        self.names: dict[Key, str] = {}
        self.ground = ""

    def text(self, bare: bool) -> str:
        """The whole graph."""
        name = self.topology.program.spec.name
        around = 'bgcolor="transparent"' if bare else f"labelloc=b, labeljust=l, label=<{self._caption()}>"
        self.ground = "" if bare else ' bgcolor="white"'
        self.lines = [
            f"digraph {_quoted(name)} {{",
            f'  graph [rankdir=LR, fontname="Helvetica", fontsize=11, {around}];',
            '  node [shape=box, style=rounded, fontname="Helvetica", fontsize=11];',
            '  edge [fontname="Helvetica", fontsize=10, arrowsize=0.7];',
        ]
        for index, station in enumerate(self.topology.stations):
            self._station(index, station)
        for index in errors_at(self.topology):
            self._error(index)
        for number, reading in enumerate(self.topology.readings):
            self._reading(number, reading.name, words.reading_lines(reading), reading.below)
        for link in self.topology.links:
            if link.flowing is Flowing.VALUE:
                self._edge(f"s{link.source}", f"s{link.target}", pen_of(link), weight="8")
        self._links()
        self._columns()
        return "\n".join([*self.lines, "}"]) + "\n"

    def _columns(self) -> None:
        """What stands in one column with each station, and the frames of groups around those columns."""
        opened = {group.first: group for group in self.topology.groups}
        closed = {group.last for group in self.topology.groups}
        for index in range(len(self.topology.stations)):
            if index in opened:
                label = _quoted(words.group(opened[index]))
                self.lines.append(f"  subgraph cluster_{index} {{ label={label}; labelloc=t; style=dashed;")
            if self.beside[index] or any(g.first <= index <= g.last for g in self.topology.groups):
                self.lines.append(f"  {{ rank=same; {'; '.join([f's{index}', *self.beside[index]])} }}")
            if index in closed:
                self.lines.append("  }")

    def _caption(self) -> str:
        """Title and legend in one label: a legend that were a node would push others aside."""
        name, facts = self.topology.program.spec.name, words.headline(self.topology)
        head = f'<font point-size="14"><b>{escaping.xml(name) or " "}</b></font><br/>{escaping.xml(facts)}'
        rows = []
        for sample, text in occurring(self.topology, wiring(self.topology)):
            if isinstance(sample, Pen) and sample not in (TIE, LARGEST):
                line = DRAWN.get(DASHED.get(sample.dash, "dashed"))
                rows.append((f'<font color="{TONES[sample.tone][0]}"><b>{line}</b></font>', text))
            elif isinstance(sample, Words):
                rows.append((escaping.xml(sample.text), text))
        cells = "".join(f'<tr><td>{a}</td><td align="left">{escaping.xml(b)}</td></tr>' for a, b in rows)
        top = f'<tr><td colspan="2" align="left" balign="left">{head}</td></tr>'
        return f'<table border="0" cellspacing="0" cellpadding="2">{top}{cells}</table>'

    def _station(self, index: int, station: Station) -> None:
        text = [words.title(self.topology, station), *words.facts(self.topology, station)]
        look = (
            ', style="rounded,dashed"' if station.frozen else ', color="#b3261e"' if station.starved else ""
        )
        look += ", peripheries=2" if len(station.chains) > 1 else ""
        self.lines.append(f"  s{index} [label={_quoted(*text)}{look}];")

    def _error(self, index: int) -> None:
        station = self.topology.stations[index]
        times = f" ×{len(station.chains)}" if len(station.chains) > 1 else ""
        self.lines.append(f"  e{index} [shape=oval, label={_quoted(f'δ{times}')}];")
        self.beside[index].append(f"e{index}")
        if station.learns:
            self._edge(f"s{index}", f"e{index}", UPDATE, dir="back")
        else:
            self.lines.append(f"  s{index} -> e{index} [style=invis];")

    def _reading(self, number: int, name: str, text: Iterable[str], below: Key) -> None:
        self.names[name] = f"p{number}"
        self.lines.append(
            f'  p{number} [color="{TONES["subspace"][0]}", label={_quoted(*filter(None, text))}];'
        )
        if isinstance(below, int):
            self.beside[below].append(f"p{number}")

    def _links(self) -> None:
        buses, single = feeding(self.topology)
        for link in single:
            source, target = self._end(link.source), self._end(link.target)
            text = ", ".join(words.label(link)) if link.flowing is not Flowing.READING else ""
            if isinstance(link.source, int) and isinstance(link.target, int) and link.source > link.target:
                near = link.source - link.target == 1
                more = {} if near else {"constraint": "false"}
                self._edge(target, source, pen_of(link), text, dir="back", **more)
            else:
                self._edge(source, target, pen_of(link), text, constraint="false")
        for number, links in enumerate(buses):
            self._bus(number, links)

    def _bus(self, number: int, links: list[Link]) -> None:
        source = links[0].source
        before = f"b{number}"
        at = next((r.below for r in self.topology.readings if r.name == source), source)
        self._point(before, at)
        self._edge(self._end(source), before, BUS, dir="none")
        for link in links:
            joint = f"b{number}x{link.target}"
            self._point(joint, link.target)
            self._edge(joint, before, BUS, dir="none")
            text = ", ".join(words.label(link))
            self._edge(self._end(link.target), joint, pen_of(link), text, dir="back")
            before = joint

    def _point(self, name: str, at: Key) -> None:
        self.lines.append(f"  {name} [shape=point, width=0.08];")
        if isinstance(at, int):
            self.beside[at].append(name)

    def _end(self, key: Key) -> str:
        return self.names[key] if isinstance(key, str) else f"e{key}"

    def _edge(self, left: str, right: str, pen: Pen, text: str = "", **more: str) -> None:
        colour = TONES[pen.tone][0]
        facts = {"color": colour, "penwidth": f"{pen.width / 2:.3g}", "style": DASHED.get(pen.dash, "dashed")}
        listed = ", ".join(f"{key}={_quoted(value)}" for key, value in (facts | more).items())
        # A ground under the words hides the lines that cross them.
        table = (
            f'<table border="0" cellpadding="1"{self.ground}><tr><td>{escaping.xml(text)}</td></tr></table>'
        )
        self.lines.append(f"  {left} -> {right} [{listed}{f', label=<{table}>' if text else ''}];")


def _quoted(*lines: str) -> str:
    """A quoted string of DOT, line below line."""
    text = "\\n".join(map(escaping.dot, lines))
    return f'"{text}"'
