"""What a study is made of: tables of rows, figures of each row over its seeds, and claims about them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from statistics import mean, stdev

from fac.diagnostics import FacError
from fac.studies.lab import Lab, Measured


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: what is measured once for each seed."""

    name: str
    """Unlike those of the other rows of its table."""
    measure: Callable[[Lab, int], Measured]
    """`measure(lab, seed)`, which depends on nothing else: what was measured once is not measured again."""
    seeds: int = 1
    """How many; they count from 0."""
    at: tuple[str, float] | None = None
    """The curve that it is a point of, and where, such as a rule and its rank; see `Table.over`."""


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of the rows, as mean and standard deviation over seeds."""

    title: str
    figure: str
    """Its name in `Measured.figures`."""
    form: str = ".3g"
    """How a number is written, as in `format`."""
    scale: float = 1.0
    """By which it is multiplied before; 100 for per cent."""


@dataclass(frozen=True, slots=True)
class Results:
    """What came out, row by row."""

    rows: Mapping[str, Sequence[Measured]]

    def values(self, row: str, figure: str) -> list[float]:
        """One for each seed; NaN where a run has no such figure, such as the accuracy of one that diverged."""
        return [run.figures.get(figure, nan) for run in self.rows[row]]

    def mean(self, row: str, figure: str) -> float:
        """Over the seeds, NaN if one of them has none."""
        return mean(self.values(row, figure))

    def told(self, row: str, column: Column) -> str:
        """`88.1 ± 0.4 (2 of 3)`: over those that have a number.

        Raises:
            FacError: the column has a form that is none.
        """
        found = [column.scale * value for value in self.values(row, column.figure) if isfinite(value)]
        if not found:
            diverged = any(run.diverged for run in self.rows[row])
            return "diverges" if diverged else "–"
        numbers = [mean(found), *([stdev(found)] if found[1:] else [])]
        try:
            text = " ± ".join(format(number, column.form) for number in numbers)
        except ValueError as error:
            raise FacError(f"column `{column.title}`: no number is written as `{column.form}`") from error
        of = len(self.rows[row])
        return text if len(found) == of else f"{text} ({len(found)} of {of})"


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence, and whether the results of a table bear it out. What is NaN bears out nothing."""

    text: str
    holds: Callable[[Results], bool]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that are measured alike, and what has to come out."""

    title: str
    rows: Sequence[Row]
    columns: Sequence[Column]
    claims: Sequence[Claim] = ()
    says: str = ""
    """How it was made, in a few sentences: what a reader has to know to make it again."""
    curves: Sequence[str] = ()
    """Globs of names in `Measured.curves`, which are drawn beside the table: a curve for each row, over its seeds."""
    over: str = ""
    """What `Row.at` counts, such as `rank`. Then `curves` are of names in `Measured.figures`, drawn over that: a row
    without `at` is a level line."""
    axis: str = "step"
    """What `step` counts in the curves of `Measured`, if no steps, such as `second` of a signal or `layer`."""

    @property
    def file(self) -> str:
        """Of the picture: the title in small letters, digits and dashes."""
        return (re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")[:80] or "table") + ".svg"


@dataclass(frozen=True, slots=True)
class Study:
    """What a folder's `study.py` calls `STUDY`."""

    title: str
    source: str
    """The paper, as one cites it."""
    tables: Callable[[bool], Sequence[Table]]
    """`tables(short)`: all of them, or the form of a few minutes, whose claims hold too."""


def between(row: str, figure: str, low: float, high: float, scale: float = 1.0) -> Claim:
    """That the mean of a figure lies in a band, whose ends are in the unit that `scale` makes of it."""
    return Claim(
        f"{row}: {figure} between {low:g} and {high:g}",
        lambda found: low <= scale * found.mean(row, figure) <= high,
    )


def every(what: str, rows: Sequence[str], figure: str, low: float = -inf, high: float = inf) -> Claim:
    """That a figure lies in a band for every seed of each of some rows.

    Args:
        what: the sentence up to the words "for every seed".
        rows: of the table.
        figure: of each.
        low: the least that it may be.
        high: the most.
    """
    return Claim(
        f"{what}, for every seed",
        lambda found: all(low <= value <= high for row in rows for value in found.values(row, figure)),
    )


def leads(row: str, other: str, figure: str, by: float = 0.0) -> Claim:
    """That the mean of a figure of one row is above that of another, by more than that much."""
    more = f" by more than {by:g}" if by else ""
    return Claim(
        f"{figure}: {row} above {other}{more}",
        lambda found: found.mean(row, figure) > found.mean(other, figure) + by,
    )
