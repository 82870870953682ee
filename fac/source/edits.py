"""Fixes of findings as edits of a text, each proved: what is read afterwards is the data that was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

from fac.diagnostics import Edit, Fix, Path, Span
from fac.source.document import Document
from fac.source.plain import load
from fac.source.reading import parse_text
from fac.source.splice import UnfitError, spliced
from fac.source.yaml import effort

MAX_ATTEMPTS = 64
"""How often a text is read again to find out which of its fixes do not hold."""
ROOM = 500_000
"""How many characters are read for that: twenty times a long spec. A larger text is read twice at least."""


class Room:
    """How much may still be read to prove the fixes of a text."""

    def __init__(self, document: Document) -> None:
        self.attempts = MAX_ATTEMPTS
        self.left = max(ROOM, 2 * effort(document.text))

    def take(self, text: str) -> bool:
        """Whether there is room to read a text; it is taken if there is."""
        if self.attempts <= 0 or self.left <= 0:
            return False
        self.attempts -= 1
        self.left -= effort(text)
        return True


class Edited(NamedTuple):
    """A document after some fixes."""

    document: Document
    applied: tuple[Fix, ...]


def edited(document: Document, fixes: Iterable[Fix], room: Room | None = None) -> Edited:
    """The document with fixes made, as many as go together.

    The text changes at the places of the edits and nowhere else, and what it says changes as the edits say and
    in nothing else: a fix for which that does not hold is left out, as in text that an alias repeats. Of fixes
    that contradict each other the first is made; the others may fit what it leaves.

    Args:
        document: of a text. One with diagnostics is left alone.
        fixes: whose paths are those of the document.
        room: what is left of it, if this is one of several rounds. Without room no fix is made.
    """
    if document.diagnostics or not document.values:
        return Edited(document, ())
    return _Attempts(document, room or Room(document)).most(
        tuple(_together(document, tuple(dict.fromkeys(fixes))))
    )


def _together(document: Document, fixes: tuple[Fix, ...]) -> Iterator[Fix]:
    """The fixes without those that meet an earlier one, or that concern text which stands for several values."""
    wanted = Counter[tuple[Path, str | None]](
        (edit.path[:-1], edit.text)
        for edit in dict.fromkeys(edit for fix in fixes for edit in fix.edits)
        if edit.key and edit.text is not None
    )
    made: set[Edit] = set()
    at: set[tuple[Path, bool]] = set()  # whose value, or key, is edited
    whole: set[Path] = set()  # of which nothing is left
    above: set[Path] = set()  # in which something is edited
    for fix in fixes:
        new = [edit for edit in fix.edits if edit not in made]
        if not new or any(
            (edit.path, edit.key) in at
            or any(edit.path[:i] in whole for i in range(len(edit.path) + edit.key))
            or (not edit.key and edit.path in above)
            or (edit.text is None and (edit.path, True) in at)
            or (edit.key and wanted[edit.path[:-1], edit.text] > 1)
            or not _nested(document, edit.path)
            for edit in new
        ):
            continue
        for edit in new:
            made.add(edit)
            at.add((edit.path, edit.key))
            above.update(edit.path[:i] for i in range(len(edit.path)))
            if edit.text is None:
                whole.add(edit.path)
        yield fix


def _nested(document: Document, path: Path) -> bool:
    """Whether the text of a value lies in that of what holds it: text behind an alias lies elsewhere."""
    spans = [document.values.get(path[:i]) for i in range(len(path) + 1)]
    return all(
        outer and inner and _start(outer) <= _start(inner) and _end(inner) <= _end(outer)
        for outer, inner in pairwise(spans)
    )


def _start(span: Span) -> tuple[int, int]:
    return span.line, span.column


def _end(span: Span) -> tuple[int, int]:
    return span.end_line, span.end_column


class _Attempts:
    """Makes fixes together, and where that does not hold finds those that do by halving."""

    def __init__(self, document: Document, room: Room) -> None:
        self.document = document
        self.room = room

    def most(self, fixes: tuple[Fix, ...]) -> Edited:
        """As many of the fixes as hold together."""
        if not fixes:
            return Edited(self.document, ())
        result = self._made(fixes)
        if result is not None:
            return Edited(result, fixes)
        if len(fixes) == 1:
            return Edited(self.document, ())
        middle = len(fixes) // 2
        first, second = self.most(fixes[:middle]), self.most(fixes[middle:])
        both = first.applied + second.applied
        if first.applied and second.applied and len(both) < len(fixes):
            result = self._made(both)
            if result is not None:
                return Edited(result, both)
        return first if first.applied else second

    def _made(self, fixes: tuple[Fix, ...]) -> Document | None:
        """The document with the fixes made; None if it does not say then what it should, or nobody can tell."""
        if not self.room.take(self.document.text):
            return None
        edits = list(dict.fromkeys(edit for fix in fixes for edit in fix.edits))
        try:
            text = spliced(self.document, edits)
        except UnfitError:
            return None
        result = replace(parse_text(text, self.document.name), mark=self.document.mark)
        # By their text, because `1 == True == 1.0`, and dictionaries of another order are equal.
        same = repr(result.data) == repr(_with(self.document.data, edits))
        return result if same and not result.diagnostics else None


def _with(data: Any, edits: Iterable[Edit]) -> Any:
    """Plain data with the edits made."""
    keys: dict[Path, Any] = {}
    values: dict[Path, Any] = {}
    removed: set[Path] = set()
    above: set[Path] = set()
    for edit in edits:
        above.update(edit.path[:i] for i in range(len(edit.path)))
        if edit.text is None:
            removed.add(edit.path)
        else:
            (keys if edit.key else values)[edit.path] = load(edit.text)[0]

    def changed(value: Any, path: Path) -> Any:
        if path in values:
            return values[path]
        if path not in above:
            return value
        entries = enumerate(value) if isinstance(value, tuple) else value.items()
        kept = [(part, changed(v, (*path, part))) for part, v in entries if (*path, part) not in removed]
        if isinstance(value, tuple):
            return tuple(v for _, v in kept)
        return {keys.get((*path, part), part): v for part, v in kept}

    return changed(data, ())
