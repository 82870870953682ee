"""What occurs in a picture and wants an explanation, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from fac.render.graph import words
from fac.render.graph.nets import Wiring
from fac.render.graph.pens import BUS, EXACT, SAMPLE, TIE, TRANSPOSED, UPDATE, VALUE, Pen, operator_pen
from fac.render.graph.picture import Words
from fac.render.graph.topology import Flowing, Operator, Topology

Sample = Pen | Words | str
"""A line, a word, or the look of a box."""
LARGEST = Pen("ink", SAMPLE, double=True)
"""The sample that says what a double line is."""


def occurring(topology: Topology, wired: Wiring) -> Iterator[tuple[Sample, str]]:
    """Samples with a text each."""
    yield VALUE, "values, forward"
    links = [link for link in topology.links if link.carries_error]
    if links:
        yield "error", "error of the layer over it"
    if any(station.learns for station in topology.stations):
        yield UPDATE, "teaches the weights of the layer"
    exact = {link.transposed for link in links if link.flowing is Flowing.EXACT}
    if True in exact:
        yield TRANSPOSED, "exact error: transposed weight, derivatives"
    if False in exact:
        yield EXACT, "exact error: no weight, derivatives only"
    operators = [link.operator for link in links if link.operator is not None]
    yield from _operators(operators)
    if any(net.bus and not net.collects for net in wired.below):
        yield BUS, "one error for several layers"
    if any(net.collects for net in wired.below):
        yield BUS, "several errors for one layer"
    if any(operator.tied for operator in operators):
        yield TIE, "tied to the weight of the layer"
    if any(operator.added for operator in operators):
        yield Words("+ …", 11.0), "added to the other errors that arrive there"
    yield from _boxes(topology)


def _operators(operators: list[Operator]) -> Iterator[tuple[Sample, str]]:
    seen: dict[tuple[str, tuple[str, ...]], Operator] = {}
    for operator in operators:
        seen.setdefault((operator.kind, operator.learning), operator)
    for operator in seen.values():
        pen = operator_pen(operator)
        name = "P of a subspace" if operator.kind == "subspace" else operator.kind
        rules = words.learned(operator)
        told = operator.symbols.startswith(name)
        text = (
            operator.symbols if told else name if operator.symbols == "P" else f"{operator.symbols}: {name}"
        )
        sample = Pen(pen.tone, SAMPLE if pen.double else 2.0, pen.dash, pen.double)
        yield sample, ", ".join(filter(None, (text, rules)))
    ranked = [operator for operator in operators if operator.rank is not None]
    if ranked:
        # Of what is in the picture, the example that says most: below its largest rank, without spans.
        example = min(ranked, key=lambda operator: (operator.whole, len(words.rank(operator))))
        rank, _, full = words.rank(example).partition(" / ")
        most = f" of at most {full}" if full else ""
        yield Words(f"r={words.rank(example)}", 10.0), f"rank {rank}{most}; wider lines have more"
    if any(operator.whole for operator in ranked):
        yield LARGEST, "the largest rank that its two ends allow"


def _boxes(topology: Topology) -> Iterator[tuple[Sample, str]]:
    stations = topology.stations
    looks = {reading.look for reading in topology.readings}
    if "subspace" in looks:
        yield "subspace", "subspace: s = P δ"
    if "targets" in looks:
        yield "targets", "targets in place of an error: nothing above has a say"
    if "missing" in looks:
        yield "missing", "a source that the spec does not have"
    if any(station.frozen for station in stations):
        yield "frozen", "frozen: keeps its weights"
    if any(station.starved for station in stations):
        yield "starved", "should learn, but no error arrives"
    if any(station.stacked for station in stations):
        like = "layers that differ in sizes" if topology.mixed else "equal layers"
        yield "stack", f"×N: {like}, one behind the other"
    if topology.groups:
        named = any(group.name for group in topology.groups)
        several = any(group.count > 1 for group in topology.groups)
        word = "block" if named else "group"
        yield "group", f"×N: the {word}, so many times" if several else "block of layers"
