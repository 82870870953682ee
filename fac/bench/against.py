"""Two runs beside each other: which of fac's ratios fell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from fac.bench.page import table
from fac.bench.results import BASELINE, Measured, Results

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
    """Contenders, and whole cases, that were timed in the first alone."""
    lost: tuple[str, ...]
    """Those that the second did not time, and why: wrong numbers, for one."""
    unlike: tuple[str, ...]
    """Why no ratio counts as fallen: what the two runs were not measured alike in."""
    others: tuple[str, ...] = ()
    """Cases that both have and that are not the same, and why; none of their contenders is in `rows`."""

    @property
    def alike(self) -> bool:
        """Whether a fall means something: ratios on two kinds of processors differ, for one."""
        return not self.unlike

    @property
    def fell(self) -> tuple[Compared, ...]:
        """Those that fell where that means something."""
        return tuple(row for row in self.rows if row.fell) if self.alike else ()

    @property
    def failed(self) -> bool:
        """Whether a ratio fell, or somebody is not timed any more, where that means something."""
        return self.alike and bool(self.fell or self.lost)


def compared(before: Results, after: Results) -> Comparison:
    """The contenders of fac in two runs."""
    rows: list[Compared] = []
    alone: list[str] = []
    lost: list[str] = []
    others: list[str] = []
    for name, case in before.cases.items():
        if name not in after.cases:
            alone.append(name)
            continue
        later = after.cases[name]
        if why := _another(case, later):
            others.append(f"{name}: {why}")
            continue
        for contender in case.timed:
            old = case.gains(contender)
            if old is None or not contender.startswith(OURS):
                continue
            new = later.gains(contender)
            if contender in later.left:
                lost.append(f"{name}, {contender}: {later.left[contender]}")
            elif new is None:
                alone.append(f"{name}, {contender}")
            else:
                rows.append(Compared(name, contender, median(old), median(new)))
    unlike = [
        f"{what} ({old}, then {new})"
        for what, old, new in (
            ("other processors", *(run.machine.get("processor", "") for run in (before, after))),
            ("other numbers of threads", before.threads, after.threads),
            ("other clocks", before.clock, after.clock),
        )
        if old != new
    ]
    return Comparison(tuple(rows), tuple(alone), tuple(lost), tuple(unlike), tuple(others))


def _another(before: Measured, after: Measured) -> str:
    """What two cases of one name differ in that their ratios depend on."""
    for when, case in (("first", before), ("second", after)):
        if BASELINE not in case.timed:
            return f"the {when} file has no `{BASELINE}` to hold its contenders against"
    for what, old, new in (
        ("another network", before.says, after.says),
        ("float32 products", before.products, after.products),
    ):
        if old != new:
            return f"{what}, `{old}` and then `{new}`"
    return ""


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
