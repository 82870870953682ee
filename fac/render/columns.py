"""Rows of text as aligned columns: readable in a terminal, a log file and a mail alike."""

from __future__ import annotations

from collections.abc import Sequence

from fac.escaping import visible


def columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """One line per row. A column whose every entry starts like a number stands at the right."""
    table = [tuple(map(visible, row)) for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    right = [all(_numeric(entry) for entry in column[1:]) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = zip(row, widths, right, strict=True)
        lines.append("  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in cells).rstrip())
    return "\n".join(f" {line}" for line in lines)


def _numeric(entry: str) -> bool:
    return entry[:1].isdigit() or entry in ("", "–", "-")
