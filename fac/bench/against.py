"""Two runs beside each other: which of fac's ratios fell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from fac.bench.page import table
from fac.bench.results import Results

OURS = "fac "
FALL = 0.10
"""A ratio that is lower by more than this part has fallen; the method resolves about 0.02 on a quiet machine."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One contender of fac in both runs: how many times faster than eager torch it was."""

    case: str
    contender: str
    before: float
    after: float

    @property
    def fell(self) -> bool:
        """By more than `FALL`."""
        return self.after < (1 - FALL) * self.before


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that both runs have."""

    rows: tuple[Compared, ...]
    alone: tuple[str, ...]
    """Contenders that were timed in the first alone."""
    lost: tuple[str, ...]
    """Those that the second did not time, and why: wrong numbers, for one."""
    before: str
    after: str
    """The processors."""

    @property
    def alike(self) -> bool:
        """Whether a fall means something: ratios of two kinds of processors differ."""
        return self.before == self.after

    @property
    def fell(self) -> tuple[Compared, ...]:
        """Those that fell where that means something."""
        return tuple(row for row in self.rows if row.fell) if self.alike else ()


def compared(before: Results, after: Results) -> Comparison:
    """The contenders of fac in two runs."""
    rows: list[Compared] = []
    alone: list[str] = []
    lost: list[str] = []
    for name, case in before.cases.items():
        for contender in case.timed:
            old = case.gains(contender)
            if old is None or not contender.startswith(OURS):
                continue
            later = after.cases.get(name)
            new = None if later is None else later.gains(contender)
            if later is not None and contender in later.left:
                lost.append(f"{name}, {contender}: {later.left[contender]}")
            elif new is None:
                alone.append(f"{name}, {contender}")
            else:
                rows.append(Compared(name, contender, median(old), median(new)))
    processors = (run.machine.get("processor", "") for run in (before, after))
    return Comparison(tuple(rows), tuple(alone), tuple(lost), *processors)


def text(comparison: Comparison) -> str:
    """As a table in Markdown."""
    return "\n".join(_lines(comparison)) + "\n"


def _lines(comparison: Comparison) -> Iterator[str]:
    header = ("case", "contender", "before", "after", "after / before", "")
    rows = [
        (
            row.case,
            row.contender,
            f"{row.before:.2f}",
            f"{row.after:.2f}",
            f"{row.after / row.before:.2f}",
            "fell" if row.fell and comparison.alike else "",
        )
        for row in comparison.rows
    ]
    yield from table(header, rows)
