"""FAC240: whole numbers where real ones belong, and the reverse."""

from __future__ import annotations

from collections.abc import Iterator

from fac.checks.places import head, read, wired
from fac.diagnostics import Diagnostic, Rule
from fac.plugins import kinds
from fac.program.feeds import inputs
from fac.program.lower import kind_of
from fac.program.program import Node, Program
from fac.step.feed import Feed

WRONG_NUMBERS = Rule("FAC240", "wrong-numbers")


def wrong_numbers(program: Program) -> Iterator[Diagnostic]:
    """A layer reads whole numbers where it computes with real ones, or the other way round, or too many of them.

    An input with `classes` holds whole numbers, such as those of words: names, of which 7 is not more than 3. A product
    with a weight would take them for amounts. So only layers read them that give each number a vector of its own, and
    these read nothing else. What such a layer has no vector for it could not read.

    Bad:

        input: {shape: [20], classes: 50}

    Good:

        input: {shape: [20], classes: 50}
        layers:
          - {kind: one_hot}
          - {kind: flatten}
          - {kind: linear, name: logits, out: 10}
    """
    if not wired(program):
        return
    fed = inputs(program)
    for node in program.nodes:
        field = getattr(kind_of("fac.layers", node.layer), "classes", None)
        named = {name: path for path, _, name in read(node)}
        for name in dict.fromkeys(node.inputs):
            feed = fed.get(name)
            if field is not None:
                yield from _reading(node, field, name, feed)
            elif feed is not None and feed.classes is not None:
                able = " or ".join(f"`{kind.name}`" for kind in kinds("fac.layers") if _reads_whole(kind))
                yield WRONG_NUMBERS.at(
                    named.get(name, head(node)),
                    f"`{node.name}` computes with real numbers, and `{name}` holds whole ones",
                    help=f"read it with a layer of the kind {able}, or leave `{feed.origin}.classes` out",
                )


def _reading(node: Node, field: str, name: str, feed: Feed | None) -> Iterator[Diagnostic]:
    """What is wrong with what a layer reads that reads whole numbers."""
    has: int | None = getattr(node.layer, field)
    if feed is None:
        yield WRONG_NUMBERS.at(
            head(node),
            f"`{node.name}` reads whole numbers, and `{name}` makes real ones",
            help="only an input with `classes` holds whole numbers",
        )
    elif feed.classes is None:
        yield WRONG_NUMBERS.at(
            head(node),
            f"`{node.name}` reads whole numbers, and `{name}` holds real ones",
            help=f"write {f'`classes: {has}`' if has else '`classes`, how many there are,'} beside the `shape` of "
            f"`{feed.origin}`",
        )
    elif has is not None and feed.classes > has:
        yield WRONG_NUMBERS.at(
            (*node.origin, field),
            f"`{node.name}` reads the numbers from 0 to {has - 1}, and `{name}` goes up to {feed.classes - 1}",
            help=f"leave `{field}` out, or write `{feed.origin}.classes: {has}`",
        )


def _reads_whole(kind: object) -> bool:
    return getattr(kind, "classes", None) is not None
