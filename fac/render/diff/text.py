"""`text`: aligned columns with a mark in front of each line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fac.escaping import visible
from fac.render.columns import columns
from fac.render.diff.difference import Difference, Item
from fac.render.diff.groups import Group, groups
from fac.render.diff.words import MARKS, SAME, SILENT, TITLES, fact, figure, listed, loud, named, summary

_COLOURS = {"+": "\x1b[32m", "-": "\x1b[31m", "~": "\x1b[33m"}
_BAD, _GOOD, _BOLD, _RESET = "\x1b[1;31m", "\x1b[1;32m", "\x1b[1m", "\x1b[0m"


def text(difference: Difference, color: bool = False, title: str = "", findings: str = "") -> str:
    """Everything, for a terminal.

    Args:
        difference: what to show.
        color: whether to paint.
        title: what the spec is called; no line says so if it is empty.
        findings: the last line; empty if there is none.
    """

    def paint(words: str, code: str) -> str:
        return f"{code}{words}{_RESET}" if color else words

    blocks = []
    if difference.same:
        blocks.append(SAME)
    elif difference.status != "changed":
        blocks.append("\n".join(summary(difference)))
    elif shouts := [
        paint(f"! {shout.what} at {listed(shout.names)} ({shout.rest})", _BAD if shout.bad else _GOOD)
        for shout in loud(difference)
    ]:
        blocks.append("\n".join(shouts))
    for name, items in difference.shown.items():
        if items:
            lines = (paint(line, _COLOURS[line[1]]) for line in _lines(name, items, difference.copies))
            blocks.append("\n".join((paint(TITLES[name], _BOLD), *lines)))
    if difference.status == "changed" and not difference.same:
        blocks.append(_costs(difference))
    if findings:
        blocks.append(findings)
    head = f"{paint(f'=== {visible(title)} ===', _BOLD)}\n" if title else ""
    return head + "\n\n".join(blocks) + "\n"


def _lines(section: str, items: tuple[Item, ...], copies: Mapping[str, int]) -> Iterator[str]:
    found = [(group, list(_cells(group))) for group in groups(section, items, copies)]
    subjects = max(len(group.subject) for group, _ in found)
    fields = max((len(field) for _, cells in found for field, _ in cells), default=0)
    for group, cells in found:
        for index, (field, words) in enumerate(cells):
            start = group.subject if not index else ""
            column = f"{field:<{fields}}  " if fields else ""
            mark = MARKS[group.status]
            yield f" {mark} {start:<{subjects}}  {column}{words}".rstrip()


def _cells(group: Group) -> Iterator[tuple[str, str]]:
    """The lines of a group: the name of a fact, and what became of it."""
    note = f" ({group.note})" if group.note else ""
    if group.status != "changed":
        facts = (named(c.field, c.new if group.status == "added" else c.old) for c in group.changes)
        yield "", ", ".join(facts) + note
    elif not group.changes or group.changes[0].field == "trainable":
        yield "", group.note
    else:
        for change in group.changes:
            field = "" if change.field in SILENT else change.field
            yield field, f"{fact(change.field, change.old)} -> {fact(change.field, change.new)}{note}"


def _costs(difference: Difference) -> str:
    old, new = difference.batch
    batch = f"batch {old}" if old == new else f"batch {old} -> {new}"
    if all(of.old == of.new for of in difference.costs):
        return f"cost: the same ({batch})"
    return columns(
        (f"cost, {batch}", "before", "after", "difference"), [figure(of) for of in difference.costs]
    )
