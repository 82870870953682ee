"""Edits of a text at the places of its values. All that is not edited stays: comments, quotes, layout, line ends.

Nothing is promised: the caller reads the result and compares. Where a text is written in a way that is not
understood here, the result is not what was asked for, or `UnfitError` is raised.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from fac.diagnostics import Edit, Path, Span
from fac.source.document import Document
from fac.source.plain import load

_LINE = re.compile(r"\r\n|\r|\n")
_GAP = re.compile(r"(?:\s|#[^\r\n]*)*")
"""Between tokens: blanks, line ends and comments."""
_REST = re.compile(r"[ \t]*(?:#[^\r\n]*)?(?:\r\n|\r|\n|\Z)")
"""The end of a line on which nothing more stands but a comment."""
_BLANKS = re.compile(r"[ \t]*")
_COLON = re.compile(r"\s*:")
_PLAIN = re.compile(r"[A-Za-z_][\w.*?/-]*")
"""Text that needs no quotes wherever it stands, unless it means something else."""


class UnfitError(Exception):
    """The text is written in a way that these edits cannot be made in."""


class _Cut(NamedTuple):
    """What stands in the place of a piece of the text."""

    start: int
    end: int
    text: str = ""


def spliced(document: Document, edits: Iterable[Edit]) -> str:
    """The text of a document with edits made, none of which lies in what another one removes or replaces.

    Raises:
        UnfitError: an edit cannot be made.
    """
    surgeon = _Surgeon(document)
    cuts: list[_Cut] = []
    removed: dict[Path, set[str | int]] = {}
    for edit in edits:
        if edit.text is None:
            removed.setdefault(edit.path[:-1], set()).add(edit.path[-1])
        else:
            cuts.append(surgeon.replacement(edit, edit.text))
    for parent, parts in removed.items():
        cuts += surgeon.removal(parent, parts)
    return _carried_out(document.text, cuts)


def _carried_out(text: str, cuts: list[_Cut]) -> str:
    pieces: list[str] = []
    at = 0
    for cut in sorted(cuts):
        if cut.start < at and cut.text:
            raise UnfitError
        pieces += [text[at : max(at, cut.start)], cut.text]
        at = max(at, cut.end)
    return "".join([*pieces, text[at:]])


class _Surgeon:
    """Knows where in the text the entries of a document begin and end."""

    def __init__(self, document: Document) -> None:
        self.text = document.text
        self.document = document
        self.starts = [0, *(found.end() for found in _LINE.finditer(self.text))]

    def replacement(self, edit: Edit, text: str) -> _Cut:
        """Other text for a value or for a key."""
        document = self.document
        spans = document.keys if edit.key else document.values
        if edit.path not in spans or (not edit.key and spans[edit.path] == document.keys.get(edit.path)):
            raise UnfitError  # nothing is written there
        start, end = self._ends(spans[edit.path])
        old = self.text[start:end]
        if not edit.key and _LINE.search(old):
            raise UnfitError  # there may be comments in it, and a layout that somebody cares for
        if edit.path in document.keys and isinstance(load(text)[0], Mapping | tuple):
            # The keys show whether the text is JSON, in which everything has quotes.
            old = self.text[slice(*self._ends(document.keys[edit.path]))]
        return _Cut(start, end, _written(text, old))

    def removal(self, parent: Path, parts: set[str | int]) -> list[_Cut]:
        """Some entries of a mapping or of a list taken out."""
        document = self.document
        if parent not in document.values:
            raise UnfitError
        value: object = document.data
        for part in parent:
            value = value[part]  # type: ignore[index]
        names: Sequence[str | int] = (
            range(len(value))
            if isinstance(value, tuple)
            else list(value)
            if isinstance(value, Mapping)
            else ()
        )
        gone = [name in parts for name in names]
        entries = [self._entry((*parent, name)) for name in names]
        start, end = self._ends(document.values[parent])
        if self.text[start] in "[{":
            return self._from_flow(start + 1, end - 1, entries, gone)
        if isinstance(value, tuple):
            entries = self._with_dashes(start, entries)
        if all(gone):
            return self._emptied(parent, "[]" if isinstance(value, tuple) else "{}", start, end, entries)
        return self._from_block(entries, gone)

    def _offset(self, line: int, column: int) -> int:
        return (
            min(self.starts[line - 1] + column - 1, len(self.text))
            if line <= len(self.starts)
            else len(self.text)
        )

    def _ends(self, span: Span) -> tuple[int, int]:
        return self._offset(span.line, span.column), self._offset(span.end_line, span.end_column)

    def _entry(self, path: Path) -> tuple[int, int]:
        """From the key, if there is one, to the end of the value."""
        start, end = self._ends(self.document.values[path])
        key = self.document.keys.get(path)
        if key is None:
            return start, end
        start, key_end = self._ends(key)
        if end == key_end and (colon := _COLON.match(self.text, end)):
            end = colon.end()  # nothing is written behind it
        return start, end

    # -- in brackets ---------------------------------------------------------------------------------------------

    def _from_flow(
        self, first: int, last: int, entries: list[tuple[int, int]], gone: list[bool]
    ) -> list[_Cut]:
        """Each entry goes with the comma behind it. The last ones, with no comma behind them, take the one before."""
        if all(gone):
            return [_Cut(first, last)]
        commas = [self._comma(end) for _, end in entries]
        starts: list[int] = []  # an anchor counts
        for index in range(len(entries)):
            comma = commas[index - 1] if index else first - 1
            if comma is None:
                raise UnfitError
            starts.append(self._skipped(comma + 1))
        tail = len(entries)
        if commas[-1] is None:
            while gone[tail - 1]:
                tail -= 1
        cuts: list[_Cut] = []
        for index in range(tail):
            comma = commas[index]
            if gone[index]:
                if comma is None:
                    raise UnfitError
                cuts.append(self._piece(starts[index], comma + 1))
        if tail < len(entries):
            before, end = commas[tail - 1], entries[-1][1]
            if before is None:
                raise UnfitError
            if _LINE.search(self.text, before, starts[tail]):
                cuts += [_Cut(before, before + 1), self._piece(starts[tail], end)]
            else:
                cuts.append(_Cut(before, end))
        return cuts

    def _piece(self, start: int, end: int) -> _Cut:
        """A piece with the blanks, or the whole lines, that were there for its sake."""
        begin = self._line_start(start)
        rest = _REST.match(self.text, end)
        if not self.text[begin:start].strip() and rest:
            return _Cut(begin, rest.end())
        if rest:
            return _Cut(begin + len(self.text[begin:start].rstrip(" \t")), end)
        blanks = _BLANKS.match(self.text, end)
        assert blanks is not None
        return _Cut(start, blanks.end())

    def _comma(self, at: int) -> int | None:
        at = self._skipped(at)
        return at if self.text[at : at + 1] == "," else None

    def _skipped(self, at: int) -> int:
        """The next place with more than blanks and comments."""
        gap = _GAP.match(self.text, at)
        assert gap is not None
        return gap.end()

    # -- by indentation ------------------------------------------------------------------------------------------

    def _with_dashes(self, start: int, entries: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """The items of a list with the dashes before them."""
        dashes = [start, *(self._skipped(end) for _, end in entries[:-1])]
        if any(self.text[dash : dash + 1] != "-" for dash in dashes):
            raise UnfitError
        return [(dash, end) for dash, (_, end) in zip(dashes, entries, strict=True)]

    def _from_block(self, entries: list[tuple[int, int]], gone: list[bool]) -> list[_Cut]:
        """Whole lines, with the comments on them. The first entry may share its line with the dash of a list."""
        cuts: list[_Cut] = []
        kept = gone.index(False)
        first = entries[0][0]
        if kept and self.text[self._line_start(first) : first].strip():
            cuts.append(_Cut(first, entries[kept][0]))
            gone = [False] * kept + gone[kept:]
        return cuts + [self._lines(*entry) for entry, out in zip(entries, gone, strict=True) if out]

    def _emptied(
        self, parent: Path, empty: str, start: int, end: int, entries: list[tuple[int, int]]
    ) -> list[_Cut]:
        """Brackets in the place of all entries, behind the key if it stands on a line above."""
        key = self.document.keys.get(parent)
        if key is not None:
            colon = _COLON.match(self.text, self._ends(key)[1])
            if colon and _LINE.search(self.text, colon.end(), start):
                here = _Cut(colon.end(), colon.end(), f" {empty}")
                return [here, *(self._lines(*entry) for entry in entries)]
        return [_Cut(start, end, empty)]

    def _lines(self, start: int, end: int) -> _Cut:
        begin = self._line_start(start)
        if self.text[begin:start].strip():
            raise UnfitError
        if end == self._line_start(end):  # block text ends where the next line begins
            return _Cut(begin, end)
        rest = _REST.match(self.text, end)
        if rest is None:
            raise UnfitError
        return _Cut(begin, rest.end())

    def _line_start(self, at: int) -> int:
        return self.starts[bisect_right(self.starts, at) - 1]


def _written(new: str, old: str) -> str:
    """The new text in the quotes of the old one if it is text, and else as it is; texts in brackets alike."""
    value, _ = load(new)
    if isinstance(value, Mapping):
        entries = (
            f"{_written(json.dumps(k), old)}: {_written(json.dumps(v), old)}" for k, v in value.items()
        )
        return f"{{{', '.join(entries)}}}"
    if isinstance(value, tuple):
        return f"[{', '.join(_written(json.dumps(item), old) for item in value)}]"
    if not isinstance(value, str):
        return new
    if old.startswith("'") and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    if not old.startswith(("'", '"')) and _PLAIN.fullmatch(value) and load(value)[0] == value:
        return value
    return json.dumps(value, ensure_ascii=not value.isprintable())
