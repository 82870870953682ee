"""`full`: each finding with the line that it is about, carets under the place, and its help."""

from __future__ import annotations

from collections.abc import Iterable

from fac.diagnostics import Diagnostic, Severity, Span
from fac.escaping import in_place, visible
from fac.render.encodable import cells
from fac.render.findings.report import Report, ordered, where
from fac.source import Document

MAX_WIDTH = 160
"""Columns of a source line that are shown. JSON of one line is cut around the place."""

_COLOURS = {Severity.ERROR: "\x1b[1;31m", Severity.WARNING: "\x1b[1;33m"}
_BOLD, _BLUE, _CYAN, _RESET = "\x1b[1m", "\x1b[1;34m", "\x1b[36m", "\x1b[0m"


def render(report: Report) -> str:
    """All findings, and the count."""
    blocks = [full(c.document, c.findings, report.color) for c in report.checked if c.findings]
    return "\n\n".join(filter(None, [*blocks, report.advising]))


def full(document: Document, diagnostics: Iterable[Diagnostic], color: bool = False) -> str:
    """Each finding with the line that it is about, carets under the place, and its help."""
    return "\n\n".join(_block(document, found, color) for found in ordered(document, diagnostics))


def _block(document: Document, found: Diagnostic, color: bool) -> str:
    def paint(text: str, code: str) -> str:
        return f"{code}{text}{_RESET}" if color else text

    severity = found.rule.severity
    place = document.place(found)
    head = paint(f"{severity}[{found.rule.code}]", _COLOURS[severity])
    lines = [
        head + paint(f": {visible(found.message)}", _BOLD),
        f"{paint('  -->', _BLUE)} {where(document, place)}",
    ]
    width = 4
    if isinstance(place, Span):
        width = max(width, len(str(place.line)))
        text, carets = _snippet(document.lines[place.line - 1], place)
        lines.append(f"{paint(f'{place.line:>{width}} |', _BLUE)} {text}".rstrip())
        lines.append(f"{paint(' ' * width + ' |', _BLUE)} {carets[0]}{paint(carets[1], _COLOURS[severity])}")
    if found.help:
        lines.append(f"{paint(' ' * width + ' =', _BLUE)} {paint('help', _CYAN)}: {visible(found.help)}")
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
    tabs = line[left:start].split("\t")
    indent = " " * len(mark_left) + "\t".join(" " * cells(part) for part in tabs)
    carets = "^" * max(1, cells(line[start:end]))
    return mark_left + in_place(line[left:right]) + mark_right, (indent, carets)
