"""What became of a comparison: rows, contrasts and notes, as a table, as arrays and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fac.diagnostics import FacError
from fac.escaping import visible
from fac.experiments import arms
from fac.experiments.contrasts import Contrast, Pair, contrast
from fac.experiments.contrasts import cells as contrast_cells
from fac.experiments.contrasts import remarks as contrast_remarks
from fac.experiments.rows import METRICS, Row, cells, remarks, row_as_json, runs_as_json
from fac.render.columns import columns
from fac.render.html import table as html_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Comparison:
    """What became of all runs."""

    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    backend: str
    device: str | None
    notes: tuple[str, ...]
    """What a reader of the table must know."""
    made: int
    meant: int
    """Trainings: fewer are made than were meant where somebody interrupts."""
    contrasts: tuple[Contrast, ...] = ()
    """What came of the pairs that were declared."""

    def __repr__(self) -> str:
        """How much it holds; `table` has all of it."""
        labels = ", ".join(row.variant.label for row in self.rows)
        return visible(
            f"<comparison of {labels or 'nothing'}: {self.made} of {self.meant} trainings; see table()>"
        )

    def table(self) -> str:
        """Mean and standard deviation of each row, the contrasts, and the notes."""
        parts = [columns(*cells(self.rows))] if self.rows else []
        if self.contrasts:
            parts += ["", columns(*contrast_cells(self.contrasts)), ""]
        return "\n".join([*parts, *(f" {visible(note)}" for note in self.notes)])

    def values(self, name: str = "test_accuracy") -> dict[str, NDArray[np.float64]]:
        """[seeds] of each row by its label; NaN where a run has no such number.

        Args:
            name: of a figure of `Report`, such as `test_loss`; of several losses `aux.loss` and `aux.accuracy`, too.

        Raises:
            FacError: there is no such figure.
        """
        import numpy as np

        known = dict.fromkeys((*METRICS, "seconds", "step_ms", *(of for row in self.rows for of in row.each)))
        if name not in known:
            raise FacError(f"no run has `{name}`; there are {', '.join(f'`{each}`' for each in known)}")
        found = {row.variant.label: [run.value(name) for run in row.runs] for row in self.rows}
        return {
            label: np.array([np.nan if value is None else value for value in values], np.float64)
            for label, values in found.items()
        }

    def history(self, name: str = "test_accuracy") -> dict[str, NDArray[np.float64]]:
        """[seeds, epochs] of each row by its label; NaN where a run has no such epoch.

        Args:
            name: of a column of `metrics.jsonl`.

        Raises:
            FacError: no epoch of any run has that column.
        """
        import numpy as np

        found: dict[str, NDArray[np.float64]] = {}
        known: dict[str, None] = {}
        for row in self.rows:
            lines = [[record.flat() for record in run.history] for run in row.runs]
            table = np.full((len(lines), max(map(len, lines), default=0)), np.nan)
            for seed, epochs in enumerate(lines):
                for epoch, line in enumerate(epochs):
                    known |= dict.fromkeys(line)
                    value = line.get(name)
                    table[seed, epoch] = np.nan if value is None else value
            found[row.variant.label] = table
        if known and name not in known:
            raise FacError(f"no epoch has `{name}`; there are {', '.join(f'`{each}`' for each in known)}")
        return found

    def _repr_html_(self) -> str:
        return html_table(*cells(self.rows), self.notes)

    def flat(self, *, times: bool = True) -> dict[str, Any]:
        """Rows, runs with each of their epochs, contrasts and notes, as JSON has them.

        Args:
            times: whether wall-clock times are among them, which differ from one call to the next.
        """
        return {
            "backend": self.backend,
            "device": self.device,
            "seeds": self.seeds,
            "rows": [row_as_json(row, times=times) for row in self.rows],
            "runs": runs_as_json(self.rows, times=times),
            "contrasts": [found.flat() for found in self.contrasts],
            "notes": self.notes,
        }


def assembled(
    rows: Sequence[Row],
    seeds: tuple[int, ...],
    backend: str,
    device: str | None,
    pairs: Sequence[Pair] = (),
    notes: Sequence[str] = (),
    budget: str = "",
    audit: bool = True,
) -> Comparison:
    """The comparison that rows with runs make.

    Args:
        rows: all that were meant; those without a run are left out.
        seeds: of each row.
        backend: they ran on.
        device: likewise.
        pairs: the declared contrasts.
        notes: what was known before any training.
        budget: how the settings were tuned, in words.
        audit: whether rules are held against the arms of their networks.
    """
    kept = tuple(row for row in rows if row.runs)
    made, meant = sum(len(row.runs) for row in kept), len(rows) * len(seeds)
    labels = {row.variant.label for row in kept}
    contrasts = tuple(contrast(pair, kept) for pair in pairs if {pair.one, pair.other} <= labels)
    said = [*remarks(kept), *(arms.remarks(kept) if audit else ()), *contrast_remarks(contrasts), *notes]
    if budget:
        said.append(f"tuning budget: {budget}")
    if made < meant:
        said.append(f"interrupted: {made} of {meant} trainings were made")
    return Comparison(kept, seeds, backend, device, tuple(said), made, meant, contrasts)
