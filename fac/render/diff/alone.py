"""A spec with nothing to compare it with: one that is new, or one that was deleted."""

from __future__ import annotations

from collections.abc import Iterable

from fac.program.program import Program
from fac.render.blocks import Tree
from fac.render.diff import network, routing
from fac.render.diff.align import Alignment
from fac.render.diff.difference import SECTIONS, Change, Difference, Figure, Item, Transport
from fac.render.diff.side import Side, backprop_macs


def alone(program: Program, *, added: bool, batch: int | None = None) -> Difference:
    """A whole spec as what was added, or removed.

    Args:
        program: without findings of the severity `error`.
        added: whether it is new.
        batch: samples per step at which costs are counted; that of the spec by default.
    """
    side = Side(program)
    every = Alignment((), (), program.nodes, frozenset())
    found: dict[str, Iterable[Item]] = {
        "errors": routing.errors(side, side, every, str),
        "routes": routing.routes(side, side, [(None, route) for route in side.routes], str),
        "subspaces": routing.every_subspace(side),
        "layers": network.layers(program, program, every),
    }
    turned = _same if added else _removed
    sections = {name: tuple(map(turned, found.get(name, ()))) for name in SECTIONS}
    names, batch = side.transporting, batch or program.spec.train.batch
    transport = Transport((), names, names, ()) if added else Transport(names, (), (), names)
    costs = side.costs(batch, backprop_macs((side, side), (batch, batch))[0])
    figures = tuple(Figure(name, 0, value) if added else Figure(name, value, 0) for name, value in costs)
    status, copies = "added" if added else "removed", Tree(program).copies
    return Difference(transport, sections, (batch, batch), figures, copies=copies, status=status)


def _same(item: Item) -> Item:
    return item


def _removed(item: Item) -> Item:
    return Item(item.new, None, tuple(Change(c.field, c.new, c.old) for c in item.changes), item.note)
