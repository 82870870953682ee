"""Layers, the input, and the loss."""

from __future__ import annotations

from collections.abc import Iterator

from fac.program.program import INPUT, Node, Program
from fac.program.reading import draws
from fac.render.diff.align import Alignment
from fac.render.diff.difference import OTHER_STATE, Change, Item, Plain, Subject
from fac.render.diff.losses import losses
from fac.render.diff.models import described, differing, laws

ELSEWHERE = ("name", "from_", "trainable", "tie")
"""Fields of a layer that are no setting of its kind."""


class Network:
    """One network, as the comparison of layers needs it."""

    def __init__(self, program: Program) -> None:
        self.program = program
        names = (program.start, *(node.name for node in program.nodes))
        self.before = dict(zip(names[1:], names, strict=False))
        """What stands before each layer."""

    def sequential(self, node: Node) -> bool:
        """Whether a layer reads the one before it and nothing else."""
        return node.inputs == (self.before[node.name],)


def layers(old: Program, new: Program, alignment: Alignment) -> Iterator[Item]:
    """Layers that were added, removed, renamed, moved or changed."""
    one, other = Network(old), Network(new)
    for node in alignment.removed:
        facts = tuple(Change(key, value, None) for key, value in _facts(one, node))
        yield Item(Subject.of(layer=node.name), None, facts)
    partner = {after.name: before for before, after in alignment.pairs}
    for node in new.nodes:
        if node.name not in partner:
            facts = tuple(Change(key, None, value) for key, value in _facts(other, node))
            yield Item(None, Subject.of(layer=node.name), facts)
            continue
        before = partner[node.name]
        changes = tuple(_changes(one, other, before, node, alignment))
        if changes or (before.name != node.name and (_matters(one, before) or _matters(other, node))):
            note = OTHER_STATE if before.name != node.name and node.tensors and not changes else ""
            yield Item(Subject.of(layer=before.name), Subject.of(layer=node.name), changes, note)


def _facts(network: Network, node: Node) -> Iterator[tuple[str, Plain]]:
    settings = described(node.layer, ("name", "from_"))
    yield "layer", settings
    if not network.sequential(node):
        yield "from", node.inputs
    # Of most layers with weights a setting is the width of the output already.
    if node.shape is not None and not any((value,) == node.shape for value in settings.values()):
        yield "output", node.shape
    if node.parameters:
        yield "parameters", node.parameters
    yield "after", network.before[node.name]


def _matters(network: Network, node: Node) -> bool:
    """Whether anything depends on the name of a layer: its state, its masks, or someone who wrote it."""
    return bool(node.layer.name or node.state or draws(node, node.reads))


def _changes(
    one: Network, other: Network, before: Node, after: Node, alignment: Alignment
) -> Iterator[Change]:
    if after.name in alignment.moved:
        yield Change("after", one.before[before.name], other.before[after.name])
    # Two layers that read what stands before them differ in what that is only if layers came, went or moved.
    implied = one.sequential(before) and other.sequential(after)
    if not implied and tuple(map(alignment.called, before.inputs)) != after.inputs:
        yield Change("from", before.inputs, after.inputs)
    programs = one.program, other.program
    own = [
        *differing(before.layer, after.layer, programs, ELSEWHERE, "layer"),
        *laws(before.layer, after.layer, before.tensors, after.tensors),
    ]
    yield from own
    shared = (before.tie if before.shared else None), (after.tie if after.shared else None)
    if (shared[0] and alignment.called(shared[0])) != shared[1]:
        yield Change("tie", *shared)
    # What follows from another layer's shape is of interest where there are parameters, on either side.
    parametric = before.parametric or after.parametric
    if parametric and before.reads != after.reads:
        yield Change("input", _flat(before.reads), _flat(after.reads))
    if before.shape != after.shape and (own or parametric) and not _says(own, before, after):
        yield Change("output", before.shape, after.shape)
    if before.parameters != after.parameters:
        yield Change("parameters", before.parameters, after.parameters)


def _says(own: list[Change], before: Node, after: Node) -> bool:
    """Whether a setting is the width of the output already."""
    return any((change.old,) == before.shape and (change.new,) == after.shape for change in own)


def _flat(shapes: tuple[Plain, ...]) -> Plain:
    return shapes[0] if len(shapes) == 1 else shapes


def network(old: Program, new: Program, alignment: Alignment) -> Iterator[Item]:
    """The inputs and the losses."""
    for name in dict.fromkeys((*old.inputs, *new.inputs)):
        subject = Subject.of(section=name if name == INPUT else f"inputs.{name}")
        before, after = old.inputs.get(name), new.inputs.get(name)
        if before is None or after is None:
            fact = Change("shape", before.shape if before else None, after.shape if after else None)
            yield Item(subject if before else None, subject if after else None, (fact,))
        elif found := tuple(differing(before, after, (old, new))):
            yield Item(subject, subject, found)
    yield from losses(old, new, alignment)
