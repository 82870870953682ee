"""Tables for papers and other programs: CSV, Markdown, LaTeX. Whatever a cell holds is text there, and nothing else."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from io import StringIO

from fac.escaping import latex as in_latex
from fac.escaping import prose, signed, spreadsheet

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


MARKED = r"$^\dagger$"
"""Behind a cell that a note says more of, in LaTeX: `!` means nothing to readers of a paper."""
_NUMBER = re.compile(r"[-+−]?\d.*|–")
_END = re.compile(r" !$")


def latex(header: Header, *parts: Sequence[Sequence[str]], marked: str = "") -> str:
    """A `tabular` with the rules of the package `booktabs`; columns of numbers behind the first end on the right.

    Args:
        header: of all columns.
        parts: rows; those of each part stand below a rule.
        marked: what a line below it says of cells that end in ` !`, if there are some.
    """
    rows = [row for part in parts for row in part]
    columns = "".join("r" if i and _is_numbers([row[i] for row in rows]) else "l" for i in range(len(header)))
    found = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _line(map(in_latex, header))]
    for part in parts:
        found += [r"\midrule", *(_line(map(_latex_cell, row)) for row in part)] if part else []
    found.append(r"\bottomrule")
    if marked and any(_END.search(cell) for row in rows for cell in row):
        found.append(rf"\multicolumn{{{len(header)}}}{{l}}{{\footnotesize {MARKED} {in_latex(marked)}}} \\")
    return "\n".join([*found, r"\end{tabular}", ""])


def _line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _is_numbers(cells: Sequence[str]) -> bool:
    """Whether a column has numbers: what has none, as a run that diverged, stands among them."""
    words = [cell for cell in cells if not _NUMBER.fullmatch(cell)]
    return any(cell[:1] not in "–" for cell in cells if cell not in words) and all(
        _END.sub("", word) in ("diverged", "failed") for word in words
    )


def _latex_cell(cell: str) -> str:
    """With the sign of a negative number, and a mark that is one in print."""
    text = in_latex(signed(_END.sub("", cell)))
    return text + MARKED * bool(_END.search(cell))


def _cell(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else prose(text)
