"""Text for a stream that lacks some of its characters, as those with Windows code pages do."""

from __future__ import annotations

import re
from itertools import pairwise
from unicodedata import combining, east_asian_width

SPELT = {"–": "-", "±": "+-"}
"""Signs of our own tables, which escapes would push out of line."""

_PAINT = r"(?:\x1b\[[\d;]*m)*"
_SOURCE = re.compile(rf"{_PAINT} *\d+ \|{_PAINT} ")
_CARETS = re.compile(rf"({_PAINT} +\|{_PAINT} )([ \t]*)({_PAINT})(\^+)({_PAINT})")


def encodable(text: str, encoding: str) -> str:
    r"""The text with escapes (`\u03b7`) for what an encoding lacks.

    Escapes are wider than what they stand for: carets below a line that has some stay under the same part of it.
    """
    if _fits(text, encoding):
        return text
    lines = text.split("\n")
    escaped = [_escaped(line, encoding) for line in lines]
    for i, (above, line) in enumerate(pairwise(lines), 1):
        begin, carets = _SOURCE.match(above), _CARETS.fullmatch(line)
        if begin and carets and escaped[i - 1] != above:
            escaped[i] = _moved(above[begin.end() :], carets, encoding)
    return "\n".join(escaped)


def cells(text: str) -> int:
    """How many columns a terminal gives to a text."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def _moved(source: str, carets: re.Match[str], encoding: str) -> str:
    """The line of carets for a source line that is going to be escaped."""
    before, indent, paint, marks, after = carets.groups()
    start, covered = _reach(source, len(indent))
    # Tabs are copied, not counted: the terminal must indent both lines alike. What stands behind the end stays.
    left = "\t".join(" " * cells(_escaped(part, encoding)) for part in source[:start].split("\t"))
    left += indent[covered:]
    end, covered = _reach(source[start:], len(marks))
    marks = "^" * cells(_escaped(source[start : start + end], encoding)) + marks[covered:]
    return f"{before}{left}{paint}{marks}{after}"


def _reach(text: str, columns: int) -> tuple[int, int]:
    """How many characters fill that many columns, with the combining ones behind them; and the columns they fill."""
    filled = 0
    for index, character in enumerate(text):
        if filled >= columns and cells(character):
            return index, filled
        filled += cells(character)
    return len(text), filled


def _escaped(text: str, encoding: str) -> str:
    return text if _fits(text, encoding) else "".join(_character(c, encoding) for c in text)


def _character(character: str, encoding: str) -> str:
    if _fits(character, encoding):
        return character
    return SPELT.get(character) or character.encode("ascii", "backslashreplace").decode()


def _fits(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
