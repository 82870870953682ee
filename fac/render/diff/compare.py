"""Two programs side by side: every section of a difference, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fac.program.program import Program
from fac.program.tensors import Tensor
from fac.render.blocks import Tree
from fac.render.diff import network, repeats, routing, training
from fac.render.diff.align import Alignment, align, same_subspaces
from fac.render.diff.difference import SECTIONS, Difference, Figure, Item
from fac.render.diff.side import Side, backprop_macs
from fac.render.diff.step import renumbered, step

BESIDE_THE_STEP = frozenset({"probes", "constraints"})
"""Sections that say nothing of what one step computes."""


def compare(old: Program, new: Program, batch: int | None = None) -> Difference:
    """What changed in the meaning of a spec.

    Args:
        old: without findings of the severity `error`.
        new: likewise.
        batch: samples per step at which costs are counted; that of each spec by default.
    """
    alignment = align(old, new)
    sides = before, after = Side(old), Side(new)
    subspaces = same_subspaces(before.subspaces, after.subspaces, alignment)
    renamed = routing.renaming(alignment, subspaces, old)
    pairs = routing.route_pairs(before, after, renamed)
    tensors = _tensors(alignment, pairs, subspaces)
    found: dict[str, Iterable[Item]] = {
        "errors": routing.errors(before, after, alignment, renamed),
        "routes": routing.routes(before, after, pairs, renamed),
        "subspaces": routing.subspaces(before, after, subspaces, alignment),
        "trainable": routing.trainable(alignment),
        "layers": network.layers(old, new, alignment),
        "network": network.network(old, new, alignment),
        "update": training.update(before, after, tensors),
        "training": training.training(old, new),
        "probes": training.probes(old, new),
        "constraints": training.constraints(old.spec.constraints, new.spec.constraints),
    }
    sections = {name: tuple(items) for name, items in found.items()}
    trees = Tree(old), Tree(new)
    repeated = tuple(repeats.repeats(*trees))
    less: dict[str, tuple[Item, ...]] = {}
    if repeated:
        counts = tuple(repeats.item(of, trees[1]) for of in repeated)
        sections["layers"] = (*counts, *sections["layers"])
        less = {name: repeats.told(name, items, repeated) for name, items in sections.items()}
    # What the sections say may well be all of it: then a step that differs is no news.
    told = any(items for name, items in sections.items() if name not in BESIDE_THE_STEP)
    sections["step"] = tuple(renumbered(tensors) if told else step(before, after))
    assert tuple(sections) == SECTIONS
    batches = batch or old.spec.train.batch, batch or new.spec.train.batch
    transport = routing.transport(before, after, alignment)
    common = {name: times for name, times in trees[1].copies.items() if trees[0].copies.get(name) == times}
    return Difference(
        transport,
        sections,
        batches,
        tuple(_costs(sides, batches)),
        less,
        repeats.transporting(transport, repeated) if repeated else None,
        common | {of.name: of.fewer for of in repeated},
    )


def _tensors(
    alignment: Alignment, routes: routing.RoutePairs, subspaces: routing.SubspacePairs
) -> dict[str, str]:
    """New names of tensors by old names."""
    groups: list[tuple[Iterable[Tensor], Iterable[Tensor]]] = [
        (o.tensors, n.tensors) for o, n in alignment.pairs
    ]
    groups += [(o.tensors, n.tensors) for o, n in routes if o is not None and n is not None]
    groups += [(o.tensors, n.tensors) for o, n in subspaces]
    found: dict[str, str] = {}
    for before, after in groups:
        parts = {tensor.part: tensor.name for tensor in after}
        found |= {tensor.name: parts[tensor.part] for tensor in before if tensor.part in parts}
    return found


def _costs(sides: tuple[Side, Side], batches: tuple[int, int]) -> Iterator[Figure]:
    macs = backprop_macs(sides, batches)
    old, new = (dict(side.costs(b, m)) for side, b, m in zip(sides, batches, macs, strict=True))
    return (Figure(name, old[name], new[name]) for name in old)
