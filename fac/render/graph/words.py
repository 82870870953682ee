"""The words of a picture, and how much room they need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import prod
from os.path import commonprefix
from string import digits
from unicodedata import combining, east_asian_width

from fac.checks.places import has_weights
from fac.program.lower import kind_of
from fac.program.program import Node, Program
from fac.render.graph.topology import Flowing, Group, Link, Operator, Reading, Span, Station, Topology
from fac.spec.model import Input

NARROW = {
    **dict.fromkeys("'ijlIJ", 0.3),
    **dict.fromkeys(" ,./:;\\|f", 0.36),
    **dict.fromkeys('-()[]t!r"', 0.44),
    **dict.fromkeys("*_`sz?cLFk", 0.58),
}
WIDE = {
    **dict.fromkeys("KAVBRXZCU", 0.74),
    **dict.fromkeys("HNDG&OQw#+<=>^~→×", 0.84),
    **dict.fromkeys("M%mW@…", 1.0),
}
ADVANCE = {**NARROW, **WIDE}
"""Widths in units of the font size, after DejaVu Sans: what fits in this wide face fits in others."""
BOLD = 1.1
MISSING = "no such source"
AS_ERROR = "as an error"
STARVED = "no error arrives"
FROZEN = "frozen"
BREAKS = " ._…"
"""Where names are cut, if they have to be."""
LISTED = 12
"""How many layers a tooltip names."""


def width(text: str, size: float, bold: bool = False) -> float:
    """An upper bound for the width of a line of text."""
    total = sum(ADVANCE.get(c, 0.66) if c.isascii() or c in ADVANCE else _foreign(c) for c in text)
    return total * size * (BOLD if bold else 1)


def _foreign(character: str) -> float:
    if combining(character):
        return 0
    return 1.05 if east_asian_width(character) in "WF" else 0.8


def shortened(text: str, room: float, size: float, bold: bool = False) -> str:
    """The text, or its two ends around an ellipsis if it needs more room: numbers stand at the end of names."""
    if width(text, size, bold) <= room:
        return text
    most = len(text) - 1
    # Names can be of any length, and no glyph is so slim that more of them would fit.
    most = min(most, int(room / (0.3 * size)) + 1)
    for keep in range(most, 1, -1):
        before, after = text[: keep - keep // 2], text[len(text) - keep // 2 :]
        if width(f"{before}…{after}", size, bold) <= room:
            return f"{_whole(before, text).rstrip('.')}…{_whole(after[::-1], text[::-1])[::-1].lstrip('.')}"
    return "…"


def _whole(start: str, text: str) -> str:
    """The start of a text without the part of a word at its end, if half of it or more is left."""
    if text[len(start)] in BREAKS or start[-1] in BREAKS:
        return start
    kept = max(start.rfind(c) for c in BREAKS) + 1
    return start[:kept] if 2 * kept >= len(start) else start


def named(names: Sequence[str], run: bool = False) -> str:
    """One name, or a few of several.

    Args:
        names: one or more.
        run: whether no other layer stands between the first and the last: `fc2 … fc9`. If names have gaps between
            them, that would say more than there is: they are written `fc2, 9, …, 142`. Layers of copies of a block
            are written `block.0…9.fc`.
    """
    if len(names) == 1:
        return names[0]
    before, numbers, after = _numbers(names)
    next_to = bool(numbers) and all(int(b) - int(a) == 1 for a, b in pairwise(numbers))
    if next_to and before.endswith("."):  # copies of a block
        return f"{before}{numbers[0]}…{numbers[-1]}{after}"
    if run or next_to:
        return f"{names[0]} … {names[-1]}"
    few = numbers or names
    few = [few[0], few[1], *(["…"] if len(few) > 3 else []), *few[2:][-1:]]
    return f"{before}{', '.join(few)}{after}"


def _numbers(names: Sequence[str]) -> tuple[str, list[str], str]:
    """The only numbers in which names differ, with what stands before and after them; none if they differ in more."""
    before = commonprefix(names).rstrip(digits)  # noqa: RUF071
    after = commonprefix([name[::-1] for name in names])[::-1].lstrip(digits)  # noqa: RUF071
    found = [name[len(before) : len(name) - len(after)] for name in names]
    return (before, found, after) if all(n.isascii() and n.isdigit() for n in found) else ("", [], "")


def calling(station: Station) -> str:
    """What a station is called: after its first layer, which is told by its kind if nobody named it."""
    if station.role != "layer":
        return station.input or station.role
    heads = [chain[0] for chain in station.chains]
    if _by_kind(station):
        return kind(station.head)
    return named([head.name for head in heads], station.stacked)


def _by_kind(station: Station) -> bool:
    """Whether a station is called by its kind: nobody named it, and no other one would be called the same."""
    return station.head.layer.name is None and not has_weights(station.head) and not station.alike


def told_apart(topology: Topology) -> Topology:
    """The topology with those stations marked that would be called the same by their kinds."""
    layers = [station for station in topology.stations if station.role == "layer"]
    times = Counter(kind(station.head) for station in layers if _by_kind(station))
    stations = (
        replace(s, alike=s.role == "layer" and _by_kind(s) and times[kind(s.head)] > 1)
        for s in topology.stations
    )
    return replace(topology, stations=tuple(stations)) if max(times.values(), default=0) > 1 else topology


def title(topology: Topology, station: Station) -> str:
    """What a station is called within the frame that it stands in; what makes the output of a block, by its kind."""
    if not station.within:
        return calling(station)
    names = dict.fromkeys(_relative(station, chain[0], i) for i, chain in enumerate(station.chains))
    block = station.head.name in topology.program.outputs
    return kind(station.head) if _by_kind(station) or block else named(list(names))


def _relative(station: Station, node: Node, repetition: int) -> str:
    """A name without that of the frame; nothing for the layer that bears the name of the block."""
    if not station.within:
        return node.name
    return node.name.removeprefix(station.within[repetition]).removeprefix(".")


def group(of: Group) -> str:
    """What stands over a frame: the name of a block, and how many times it stands there."""
    return " ".join(filter(None, (of.name, f"×{of.count}" if of.count > 1 else "")))


def place(topology: Topology, key: int | str) -> str:
    """The name of an end of a link."""
    return key if isinstance(key, str) else calling(topology.stations[key])


def kind(node: Node) -> str:
    """The kind of a layer."""
    return str(kind_of("fac.layers", node.layer).name)


def facts(topology: Topology, station: Station) -> list[str]:
    """The lines under the name of a station."""
    if station.role == "loss":
        return _losses(topology.program)
    if station.role == "input":
        return [_fed(topology.program.inputs[station.input]), *_followers(station, 0)]
    lines = [_sized(topology, station), *_followers(station, 1)]
    lines += _shares(station)
    if station.frozen:
        lines.append(FROZEN)
    if station.starved:
        lines.append(STARVED)
    return lines


def _losses(program: Program) -> list[str]:
    """The kind of a loss; of several, each with its factor and with the layer that it reads."""
    kinds = [str(kind_of("fac.losses", objective.loss).name) for objective in program.losses]
    if len(kinds) == 1:
        return kinds
    factors = ("" if objective.scale == 1 else f"{objective.scale:g} " for objective in program.losses)
    reads = (objective.of for objective in program.losses)
    return [f"{factor}{kind} of {of}" for factor, kind, of in zip(factors, kinds, reads, strict=True)]


def _fed(of: Input) -> str:
    """The shape of an input, and what it holds if not real numbers."""
    held = "mask" if of.mask else f"of {of.classes}" if of.classes else ""
    return " ".join(filter(None, (shape(of.shape), held)))


def _shares(station: Station) -> list[str]:
    """Whose parameters the layers of a station share."""
    nodes = [node for chain in station.chains for node in chain]
    owners = list(dict.fromkeys(node.owner for node in nodes if node.shared))
    if not owners:
        return []
    own = {node.name for node in nodes}
    return ["shared parameters"] if own.issuperset(owners) else [f"parameters of {named(owners)}"]


def _followers(station: Station, start: int) -> list[str]:
    """The layers of a station from one on; with names where the spec gives some, for routes speak of them."""
    chains = [chain[start:] for chain in station.chains]
    kinds = dict.fromkeys(tuple(map(kind, chain)) for chain in chains)
    if not any(kinds):
        return []
    if len(kinds) > 1:
        return [" / ".join(", ".join(chain) or "-" for chain in kinds)]
    words = []
    for word, nodes in zip(next(iter(kinds)), zip(*chains, strict=True), strict=True):
        given = [_relative(station, node, i) for i, node in enumerate(nodes) if node.layer.name is not None]
        names = list(dict.fromkeys(given))
        words.append(f"{word} {named(names, station.stacked)}" if len(given) == len(nodes) else word)
    return [", ".join(words)]


def _sized(topology: Topology, station: Station) -> str:
    """`148 × linear 64 → 64`."""
    heads = [chain[0] for chain in station.chains]
    word = kind(heads[0])
    words = [f"{len(heads)} ×"] if station.stacked else []
    words += [word] if word != title(topology, station) else []
    if has_weights(heads[0]):
        words += [_sizes(_read(topology, head) for head in heads), "→"]
    words.append(_sizes(head.shape for head in heads))
    return " ".join(words)


def _read(topology: Topology, node: Node) -> tuple[int, ...] | None:
    name = node.inputs[0] if node.inputs else ""
    if name in topology.program.inputs:
        return topology.program.inputs[name].shape
    found = topology.program.by_name.get(name)
    return None if found is None else found.shape


def _sizes(shapes: Iterable[tuple[int, ...] | None]) -> str:
    found = list(dict.fromkeys(shapes))
    if len(found) == 1:
        return shape(found[0])
    known = [s for s in found if s is not None]
    if any(len(s) > 1 for s in known):  # more channels mostly have fewer places: how many numbers says little
        return f"{shape(known[0])} … {shape(known[-1])}"
    sizes = [prod(s) for s in known]
    return f"{min(sizes)}–{max(sizes)}" if sizes else "?"


def shape(of: tuple[int, ...] | None) -> str:
    """`28x28`, or a question mark."""
    return "?" if of is None else "x".join(map(str, of)) or "1"


# -- operators ---------------------------------------------------------------------------------------------------


def label(link: Link) -> list[str]:
    """What stands beside the line of a route: its operator, its rank, how many such routes there are."""
    if link.operator is None:
        return []
    operator = link.operator
    lines = [f"{'+ ' if operator.added else ''}{_factor(operator)}{operator.symbols}"]
    if operator.rank is not None:
        lines.append(f"r={rank(operator)}")
    if link.count > 1:
        lines.append(f"×{link.count}")
    return lines


def rank(operator: Operator) -> str:
    """`8 / 10`: the rank, and the largest that there could be."""
    return " / ".join(_range(span) for span in (operator.rank, operator.full) if span is not None)


def _range(span: Span) -> str:
    return str(span[0]) if span[0] == span[1] else f"{span[0]}–{span[1]}"


def _factor(operator: Operator) -> str:
    return "" if operator.scale == 1 else f"{operator.scale:g} "


def learned(operator: Operator) -> str:
    """How the matrices of an operator change."""
    if not operator.learning:
        return ""
    same = operator.learning if len(set(operator.learning)) > 1 else operator.learning[:1]
    return "fixed" if same == ("fixed",) else f"learned: {' / '.join(same)}"


def sentence(topology: Topology, link: Link) -> str:
    """What a link says, for tooltips and for readers who cannot see the picture."""
    source, target = place(topology, link.source), place(topology, link.target)
    if link.flowing is Flowing.VALUE:
        return f"{source} → {target}"
    if link.operator is None:
        return f"error of {source} to {target}, exact{', through the transposed weight' * link.transposed}"
    parts = [f"{_factor(link.operator)}{link.operator.symbols}"]
    parts += [f"rank {rank(link.operator)}"] if link.operator.rank else []
    parts += [text] if (text := learned(link.operator)) else []
    if link.flowing is Flowing.READING:
        return f"error of {source} read by {target}: {', '.join(parts)}"
    way = f"error of {source} to {target}"
    if link.operator.added:
        way += ", added to other errors there"
    parts += [f"{link.count} routes"] if link.count > 1 else []
    return f"{way}: {', '.join(parts)}"


def story(topology: Topology, station: Station) -> str:
    """All about a station, for its tooltip."""
    if station.role != "layer":
        return ", ".join([station.role, *facts(topology, station)])
    lines = [_listed([chain[0].name for chain in station.chains]), *facts(topology, station)]
    size = sum(node.parameters for chain in station.chains for node in chain)
    return "\n".join([*lines, f"{size:,} parameters"] if size else lines)


def _listed(names: list[str]) -> str:
    more = len(names) - LISTED
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:LISTED])} and {more} more"


def reading_lines(reading: Reading) -> list[str]:
    """The lines of the box of a subspace."""
    if reading.operator is None:
        return [reading.name, AS_ERROR if reading.targets else MISSING]
    reads = ["reads targets"] if reading.targets else []
    return [reading.name, f"P r={rank(reading.operator)}", learned(reading.operator), *reads]


def headline(topology: Topology) -> str:
    """The line under the title."""
    program = topology.program
    layers = len(program.weighted)
    size = sum(node.parameters for node in program.nodes)
    routes = len(program.routes)
    parts = [_many(layers, "layer with weights", "layers with weights"), f"{size:,} parameters"]
    return ", ".join([*parts, _many(routes, "route", "routes") if routes else "all errors exact"])


def _many(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"
