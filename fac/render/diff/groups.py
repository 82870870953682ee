"""Items that say the same of different layers, brought together for people to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from fac.escaping import visible
from fac.program.program import LOSS
from fac.render.blocks import globs
from fac.render.diff.difference import Change, Item, Plain
from fac.render.diff.words import listed

ABOVE, SEVERAL = "the layer above", "the layers above"
FEW = 4
"""So many items that differ only in who their neighbours are become one group."""


@dataclass(frozen=True, slots=True)
class Group:
    """One or more items, and the changes that tell what they have in common."""

    items: tuple[Item, ...]
    changes: tuple[Change, ...]
    names: tuple[str, ...]
    """What the items are called; `fc1 -> stem` where renaming is what they are about."""

    @property
    def status(self) -> str:
        """That of each item."""
        return self.items[0].status

    @property
    def note(self) -> str:
        """That of each item, or that they are renamed if there is nothing else to say."""
        return self.items[0].note or ("" if self.changes else "renamed" if _renamed(self.items[0]) else "")

    @property
    def subject(self) -> str:
        """What the group is about: `through fc2, fc3`."""
        return self.around(listed(self.names))

    def around(self, names: str) -> str:
        """The words that stand around the names: `to fc1 from task`."""
        (key, _), *rest = self.items[0].subject.words
        prefix = f"{key} " if key in ("through", "to") else ""
        return prefix + names + "".join(visible(f" {key} {value}") for key, value in rest)


def groups(section: str, items: Iterable[Item], copies: Mapping[str, int]) -> list[Group]:
    """What belongs together, in the order in which the first of it stood.

    Args:
        section: which of `SECTIONS` it is.
        items: of the section.
        copies: how many each block has: items of all of them have one name.
    """
    items = tuple(items)
    renames = section in ("layers", "subspaces")
    alike: dict[str, list[Item]] = {}
    for item in items:
        subject = item.subject
        renamed = renames and _renamed(item)
        key = (item.status, subject.key, subject.words[1:], item.note, renamed, _common(item))
        alike.setdefault(repr(key), []).append(item)
    found: list[Group] = []
    for members in alike.values():
        names = tuple(globs(copies, (_name(item, renames) for item in members)))
        if all(item.changes == members[0].changes for item in members):
            found.append(Group(tuple(members), members[0].changes, names))
        elif len(members) >= FEW:
            found.append(Group(tuple(members), _common(members[0]), names))
        else:
            found += (Group((item,), item.changes, (_name(item, renames),)) for item in members)
    place = {id(item): index for index, item in enumerate(items)}
    return sorted(found, key=lambda group: place[id(group.items[0])])


def _common(item: Item) -> tuple[Change, ...]:
    """The changes without the names of neighbours."""
    changes = (c for c in item.changes if c.field != "after" or item.status == "changed")
    return tuple(
        replace(c, old=_anyone(c.old), new=_anyone(c.new)) if c.field == "error" else c for c in changes
    )


def _anyone(sources: Plain) -> Plain:
    """Exact and `through` errors come from the next layer with weights, whichever that is."""
    if not isinstance(sources, tuple):
        return sources
    found: list[Plain] = []
    for source in sources:
        near = isinstance(source, dict) and source["by"] != "to" and source["from"] != LOSS
        found.append({**source, "from": ABOVE} if near and isinstance(source, dict) else source)
    # Who is read by several layers has an error from each; said of each alike, it is said once.
    once = [source for place, source in enumerate(found) if source not in found[:place]]
    return tuple({**s, "from": SEVERAL} if isinstance(s, dict) and found.count(s) > 1 else s for s in once)


def _renamed(item: Item) -> bool:
    return item.old is not None and item.new is not None and item.old.name != item.new.name


def _name(item: Item, renames: bool) -> str:
    name = item.subject.name
    return visible(f"{item.old.name} -> {name}" if renames and item.old and _renamed(item) else name)
