"""Diagnostics as people and machines read them: one pure function per format, which decides nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from unicodedata import category, combining, east_asian_width

from fac.diagnostics import Diagnostic, Severity, Span, dotted
from fac.source import Document
from fac.source.overrides import SET

MAX_WIDTH = 160
"""Columns of a source line that are shown. JSON of one line is cut around the place."""

_COLOURS = {Severity.ERROR: "\x1b[1;31m", Severity.WARNING: "\x1b[1;33m"}
_BOLD, _BLUE, _CYAN, _RESET = "\x1b[1m", "\x1b[1;34m", "\x1b[36m", "\x1b[0m"


def ordered(document: Document, diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The findings by position, then code. Those that stand in no text come last, in their given order."""

    def key(found: Diagnostic) -> tuple[bool, int, int, str]:
        place = document.place(found)
        line, column = (place.line, place.column) if isinstance(place, Span) else (0, 0)
        return not isinstance(place, Span), line, column, found.rule.code

    return sorted(diagnostics, key=key)


def full(document: Document, diagnostics: Iterable[Diagnostic], color: bool = False) -> str:
    """Each finding with the line that it is about, carets under the place, and its help."""
    return "\n\n".join(_block(document, found, color) for found in ordered(document, diagnostics))


def concise(document: Document, diagnostics: Iterable[Diagnostic]) -> str:
    """One line for each finding: `path:line:column: CODE message`, or `path (--set KEY=VALUE): CODE message`."""
    lines = []
    for found in ordered(document, diagnostics):
        lines.append(f"{_where(document, document.place(found))}: {found.rule.code} {found.message}")
    return "\n".join(lines)


def as_json(document: Document, diagnostics: Iterable[Diagnostic]) -> list[dict[str, object]]:
    """One mapping for each finding.

    The four numbers are null for a place that is in no text; `set` is the assignment of `--set` that stands there.
    """
    rows: list[dict[str, object]] = []
    for found in ordered(document, diagnostics):
        place = document.place(found)
        span = place if isinstance(place, Span) else None
        rows.append(
            {
                "code": found.rule.code,
                "name": found.rule.name,
                "severity": found.rule.severity.value,
                "message": found.message,
                "help": found.help,
                "file": document.name,
                "line": span and span.line,
                "column": span and span.column,
                "end_line": span and span.end_line,
                "end_column": span and span.end_column,
                "path": dotted(found.path),
                "set": _assignment(place),
            }
        )
    return rows


def summary(diagnostics: Iterable[Diagnostic]) -> str:
    """`3 errors, 1 warning`, or `no findings`."""
    counts = Counter(found.rule.severity for found in diagnostics)
    parts = [f"{n} {severity}{'s' * (n > 1)}" for severity in Severity if (n := counts[severity])]
    return ", ".join(parts) or "no findings"


def _where(document: Document, place: Span | str) -> str:
    if isinstance(place, Span):
        return f"{document.name}:{place.line}:{place.column}"
    in_words = place in document.overridden.values()
    return _printable(f"{document.name} ({place})") if in_words else place


def _assignment(place: Span | str) -> str | None:
    return place.removeprefix(SET) if isinstance(place, str) and place.startswith(SET) else None


def _block(document: Document, found: Diagnostic, color: bool) -> str:
    def paint(text: str, code: str) -> str:
        return f"{code}{text}{_RESET}" if color else text

    severity = found.rule.severity
    place = document.place(found)
    head = paint(f"{severity}[{found.rule.code}]", _COLOURS[severity])
    lines = [
        head + paint(f": {_printable(found.message)}", _BOLD),
        f"{paint('  -->', _BLUE)} {_where(document, place)}",
    ]
    width = 4
    if isinstance(place, Span):
        width = max(width, len(str(place.line)))
        text, carets = _snippet(document.lines[place.line - 1], place)
        lines.append(f"{paint(f'{place.line:>{width}} |', _BLUE)} {text}".rstrip())
        lines.append(f"{paint(' ' * width + ' |', _BLUE)} {carets[0]}{paint(carets[1], _COLOURS[severity])}")
    if found.help:
        lines.append(f"{paint(' ' * width + ' =', _BLUE)} {paint('help', _CYAN)}: {_printable(found.help)}")
    return "\n".join(lines)


def _snippet(line: str, span: Span) -> tuple[str, tuple[str, str]]:
    """The line as it is drawn, the indentation of the carets, and the carets."""
    start = span.column - 1
    end = span.end_column - 1 if span.end_line == span.line else len(line.rstrip())
    end = max(end, start + 1)
    left, right = 0, len(line)
    if len(line) > MAX_WIDTH:
        left = max(0, min(start - MAX_WIDTH // 2, len(line) - MAX_WIDTH))
        right = left + MAX_WIDTH
    mark_left, mark_right = "…" * (left > 0), "…" * (right < len(line))
    end = min(end, max(right, start + 1))
    # Tabs are copied, not counted: the terminal must indent both lines alike.
    indent = " " * len(mark_left) + "".join(c if c == "\t" else " " * _columns(c) for c in line[left:start])
    carets = "^" * max(1, sum(_columns(c) for c in line[start:end]))
    return mark_left + _printable(line[left:right]) + mark_right, (indent, carets)


def _columns(character: str) -> int:
    """How many columns a terminal gives to a character."""
    if combining(character):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1


def _printable(text: str) -> str:
    """The text without characters that would steer the terminal."""
    return "".join("�" if c != "\t" and category(c) == "Cc" else c for c in text)
