"""Blocks that stand there more or less often than before: what follows from that alone is no news to people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from fac.render.blocks import Tree
from fac.render.diff.difference import Change, Item, Plain, Subject, Transport


@dataclass(frozen=True, slots=True)
class Repeat:
    """A block that has another number of copies, of which those that came or went have the layers of the one before."""

    name: str
    old: int
    new: int
    outputs: tuple[str, str]
    """The node that makes its output, in either program."""
    whole: bool
    """Whether they have its routes, too."""

    @property
    def fewer(self) -> int:
        """How many copies both have."""
        return min(self.old, self.new)

    def copy(self, name: str) -> int | None:
        """The number of the copy that a layer or one of its arrays is in."""
        index = name.removeprefix(f"{self.name}.").partition(".")[0]
        return int(index) if name.startswith(f"{self.name}.") and index.isdecimal() else None

    def before(self, name: str) -> str:
        """What stands in the place of a layer, one copy before."""
        at, rest = self.copy(name), name.removeprefix(f"{self.name}.").partition(".")[2]
        return f"{self.name}.{(at or 0) - 1}{f'.{rest}' * bool(rest)}"


def repeats(old: Tree, new: Tree) -> Iterator[Repeat]:
    """All of two programs."""
    for name, before in old.repeated.items():
        after = new.repeated.get(name)
        if after is None or len(before.parts) == len(after.parts):
            continue
        tree, more = max((old, before), (new, after), key=lambda side: len(side[1].parts))
        numbers = len(before.parts), len(after.parts)
        outputs = old.program.outputs[name], new.program.outputs[name]
        layers, whole = tree.alike(list(more.parts.values())[min(numbers) - 1 :])
        if layers:
            yield Repeat(name, *numbers, outputs, whole)


def item(of: Repeat, tree: Tree) -> Item:
    """What a reader is told of it, under the key by which the new spec says how many copies there are."""
    fields = dict(tree.blocks[of.name].layer)
    key = next((key for key, value in fields.items() if value == of.new), "copies")
    subject = Subject.of(block=of.name)
    return Item(subject, subject, (Change(key, of.old, of.new),))


def told(section: str, items: Iterable[Item], repeated: Iterable[Repeat]) -> tuple[Item, ...]:
    """Items of a section without what follows from repeats."""
    for of in repeated:
        if not of.whole and section != "layers":
            continue
        items = tuple(items)
        known = {item.subject.name for item in items if item.status == "changed"}
        items = filter(None, [_told(item, of, known) for item in items])
    return tuple(items)


def _told(item: Item, of: Repeat, changed: set[str]) -> Item | None:
    name = item.subject.name
    at = of.copy(name)
    if at is not None and at >= of.fewer and item.status != "changed":
        return None
    if item.status != "changed" or not item.changes:
        return item
    changes = tuple(change for change in item.changes if _renamed(change.old, of) != change.new)
    # The copy that was or became the last one: its error comes from elsewhere.
    if at is not None and 0 < at == of.fewer - 1 and of.before(name) not in changed:
        changes = tuple(change for change in changes if change.field != "error")
    return replace(item, changes=changes) if changes else None


def _renamed(value: Plain, of: Repeat) -> Plain:
    """A value in which the output of the block is called as in the new program."""
    match value:
        case str():
            return of.outputs[1] if value == of.outputs[0] else value
        case tuple():
            return tuple(_renamed(part, of) for part in value)
        case Mapping():
            return {key: _renamed(part, of) for key, part in value.items()}
    return value


def transporting(transport: Transport, repeated: Iterable[Repeat]) -> Transport:
    """Weight transport without copies that do as the one before them does."""
    for of in (of for of in repeated if of.whole):
        introduced, removed = (
            tuple(name for name in names if not _follows(name, of, known))
            for names, known in ((transport.introduced, transport.new), (transport.removed, transport.old))
        )
        transport = replace(transport, introduced=introduced, removed=removed)
    return transport


def _follows(name: str, of: Repeat, known: tuple[str, ...]) -> bool:
    at = of.copy(name)
    return at is not None and at >= of.fewer and of.before(name) in known
