"""Tables as they come in: columns by name, of text or of numbers, and what of them can be trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite
from typing import TYPE_CHECKING

from fac.diagnostics import FacError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?"))
"""Cells that hold nothing, in small letters."""
SHOWN = 5
"""Columns, or files, that a message names."""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of equally many cells; None is a cell that holds nothing."""

    place: str
    """What messages call it."""
    columns: Mapping[str, Sequence[str | float | None]]
    lines: Sequence[int]
    """Where each row stands, from 1."""
    row: str = "line"
    """What a row is called."""
    trained: bool = False
    """Whether it is for a network that is trained, so that no column can be left out."""

    def require(self, names: Sequence[str], why: str) -> None:
        """The columns of these names; `why` tells who asks for them.

        Raises:
            FacError: one is not there.
        """
        for name in names:
            if name not in self.columns:
                near = get_close_matches(name, self.columns, n=1)
                hint = f"did you mean `{near[0]}`?" if near else f"it has {listed(list(self.columns))}"
                raise FacError(f"{self.place} has no column `{name}` ({why}): {hint}")

    def require_filled(self, names: Sequence[str]) -> None:
        """Cells that all hold something.

        Raises:
            FacError: with the number of those that do not, and where they are.
        """
        found = {
            name: [row for row, cell in enumerate(self.columns[name]) if _missing(cell)] for name in names
        }
        found = {name: rows for name, rows in found.items() if rows}
        if not found:
            return
        many = sum(map(len, found.values()))
        shown = ", ".join(
            f"{len(rows):,} in `{name}` (first in {self.row} {self.lines[rows[0]]})"
            for name, rows in list(found.items())[:SHOWN]
        )
        more = f", and in {len(found) - SHOWN} columns more" if len(found) > SHOWN else ""
        out = "rows" if self.trained else "rows or columns"
        raise FacError(
            f"{self.place}: {many:,} cell{'s are' if many > 1 else ' is'} missing, {shown}{more}: fill them in, or "
            f"leave {out} out"
        )

    def numbers(self, names: Sequence[str]) -> NDArray[np.float64]:
        """(n, columns) of numbers.

        Raises:
            FacError: a cell is none, or not finite.
        """
        import numpy as np

        made = np.empty((len(self.lines), len(names)))
        for place, name in enumerate(names):
            try:
                made[:, place] = [number(cell) for cell in self.columns[name]]
            except ValueError:
                raise self._no_number(name, names[place + 1 :]) from None
        return made

    def words(self, name: str) -> list[str]:
        """The cells as text, without blanks around it."""
        return [str(cell).strip() for cell in self.columns[name]]

    def _no_number(self, name: str, after: Sequence[str]) -> FacError:
        """A column has a cell that is no number; columns `after` it are still to be looked at."""
        cells = self.columns[name]
        row, cell = next((row, cell) for row, cell in enumerate(cells) if not is_number(cell))
        numbers = sum(map(is_number, cells))
        mixed = f", and {numbers:,} cells of the column are numbers" if numbers else ""
        alike = [other for other in after if not all(map(is_number, self.columns[other]))]
        more = f"; nor are all cells of {listed(alike, SHOWN)}" if alike else ""
        what = "the columns" if alike else "the column"
        remedy = "mend it"
        if not self.trained:
            mend = (
                "mend it"
                if numbers
                else "make numbers of text, as `pandas.get_dummies` does (see docs/data.md)"
            )
            remedy = f"{mend}, or leave {what} out of `data.x`"
        return FacError(
            f"{self.place}, {self.row} {self.lines[row]}: `{short(str(cell))}` in column `{name}` is no finite "
            f"number{mixed}{more}: {remedy}"
        )


def number(cell: str | float | None) -> float:
    """What a cell holds.

    Raises:
        ValueError: that is no finite number.
    """
    if cell is None or (isinstance(cell, str) and ("_" in cell or not cell.strip().isascii())):
        raise ValueError(cell)  # `1_000` is a number to Python alone, and so are digits of other scripts
    value = float(cell)
    if not isfinite(value):
        raise ValueError(cell)
    return value


def is_number(cell: str | float | None) -> bool:
    """Whether `number` takes it."""
    try:
        number(cell)
    except ValueError:
        return False
    return True


def listed(names: Sequence[str], most: int = 10) -> str:
    """The first of many names."""
    shown = ", ".join(f"`{short(name)}`" for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def short(text: str) -> str:
    """The beginning of a long text."""
    return text if len(text) <= 40 else f"{text[:37]}..."


def _missing(cell: str | float | None) -> bool:
    if isinstance(cell, str):
        return cell.strip().lower() in MISSING
    return cell is None or cell != cell
