"""Tables for papers and other programs: CSV, Markdown, LaTeX. Whatever a cell holds is text there, and nothing else."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from io import StringIO

from fac.escaping import latex as in_latex
from fac.escaping import prose, spreadsheet

Header = Sequence[str]
_PLAIN = re.compile(r"(?:[^\W_]|[ ,%±–−+()-])*|[\d ,.%±–−+()to!-]*")
"""Nothing in it means anything to Markdown: words without stops, or numbers."""
Cell = str | float | None


def comma_separated(header: Header, rows: Sequence[Sequence[Cell]]) -> str:
    """CSV. Numbers are as Python writes them, which lose no digit; None is an empty cell."""
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    for row in (header, *rows):
        table.writerow([spreadsheet(cell) if isinstance(cell, str) else cell for cell in row])
    return text.getvalue()


def markdown(header: Header, rows: Sequence[Sequence[str]]) -> str:
    """A table of GitHub's Markdown."""
    lines = [[*map(_cell, row)] for row in (header, *rows)]
    lines.insert(1, ["---"] * len(header))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def latex(header: Header, rows: Sequence[Sequence[str]]) -> str:
    """A `tabular` with the rules of the package `booktabs`."""
    lines = [" & ".join(map(in_latex, row)) + r" \\" for row in (header, *rows)]
    head, *body = lines
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{'l' * len(header)}}}",
            r"\toprule",
            head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _cell(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else prose(text)
