"""`markdown`: a comment for a pull request. Whatever a spec calls things, it stays inside its cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fac.escaping import code
from fac.render.diff.difference import Difference, Item
from fac.render.diff.groups import Group, groups
from fac.render.diff.words import (
    MARKS,
    NOTHING,
    SAME,
    SILENT,
    TITLES,
    fact,
    figure,
    listed,
    loud,
    named,
    summary,
)

OPEN = 12
"""A section with more rows is folded."""
ROOM = 60_000
"""GitHub refuses comments of more than 65,536 characters."""
ROWS = (200, 50, 10, 2)
"""How many rows a section may have; the first number with which all fits."""


def markdown(difference: Difference, title: str = "") -> str:
    """Everything, as a comment of its own.

    Args:
        difference: what to show.
        title: the file that it is about, if that is known.
    """
    head = heading(title)
    if difference.same:
        return f"{head}\n\n{SAME.capitalize()}.\n"
    start, end = [*_shouts(difference)], [_costs(difference)]
    if difference.status != "changed":
        start, end = ["\n".join(f"- {line[0].upper()}{line[1:]}" for line in summary(difference, code))], []
    text = ""
    for rows in ROWS:
        parts = [head, *start, *_sections(difference, rows), *end]
        text = "\n\n".join(parts) + "\n"
        if len(text) <= ROOM:
            break
    return text


def heading(title: str) -> str:
    """The first line of a comment."""
    return f"### fac diff{f': {code(title)}' if title else ''}"


def _shouts(difference: Difference) -> Iterator[str]:
    for shout in loud(difference):
        names = listed([code(name) for name in shout.names])
        kind = "WARNING" if shout.bad else "NOTE"
        yield f"> [!{kind}]\n> **{shout.what.capitalize()}** at {names} ({shout.rest})"


def _sections(difference: Difference, most: int) -> Iterator[str]:
    for name, items in difference.shown.items():
        if items:
            yield _section(name, items, most, difference.copies)


def _section(name: str, items: tuple[Item, ...], most: int, copies: Mapping[str, int]) -> str:
    rows = [row for group in groups(name, items, copies) for row in _rows(group)]
    lines = ["| | | | before | after |", "|---|---|---|---|---|", *rows[:most]]
    table = "\n".join(lines)
    if len(rows) > most:
        table += f"\n\n… and {len(rows) - most:,} more rows: `fac diff` prints them all."
    title = TITLES[name].capitalize()
    if len(rows) <= OPEN:
        return f"**{title}**\n\n{table}"
    return f"<details><summary>{title} ({len(items):,})</summary>\n\n{table}\n\n</details>"


def _rows(group: Group) -> Iterator[str]:
    mark = MARKS[group.status]
    subject = group.around(", ".join(group.names)) if len(group.names) <= OPEN else group.subject
    if group.status != "changed":
        facts = [named(c.field, c.new if group.status == "added" else c.old) for c in group.changes]
        present = code(", ".join(facts)) if facts else "yes"
        before, after = (NOTHING, present) if group.status == "added" else (present, NOTHING)
        yield _row(mark, code(subject), group.note, before, after)
    elif not group.changes:
        yield _row(mark, code(subject), group.note, "", "")
    else:
        for index, change in enumerate(group.changes):
            field = "" if change.field in SILENT else code(change.field)
            values = (code(fact(change.field, value)) for value in (change.old, change.new))
            yield _row(mark, "" if index else code(subject), group.note or field, *values)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _costs(difference: Difference) -> str:
    old, new = difference.batch
    head = f"**Cost** of a step, {f'batch {old}' if old == new else f'batch {old} before and {new} after'}"
    if all(of.old == of.new for of in difference.costs):
        return f"{head}: the same"
    rows = [_row(*figure(of)) for of in difference.costs]
    return "\n".join((f"{head}\n", "| | before | after | difference |", "|---|---:|---:|---:|", *rows))
