"""The table of results, with intervals, and what a comparison says of its contrasts."""

from __future__ import annotations

from math import isfinite

from fac.render.report import parts
from fac.render.report.facts import MARK, Book, Result, Setting

TOLD = (
    "Each number is that of a run's last epoch, or of the best by validation where a run keeps that: mean over runs, "
    "± one standard deviation, and in brackets the 95 % interval of the mean (Student's t; of a share, what "
    "lies in 0 to 100 %). Settings are not tested against each other here: declared contrasts are."
)
GREAT = 1e6
"""From where on the numbers of a cell have exponents."""


def section(name: str, title: str, book: Book) -> str:
    """What came out."""
    names = list(dict.fromkeys(name for setting in book.settings for name in setting.results))
    rows = [
        (
            setting.label,
            f"{len(setting.runs)}",
            *(_cell(setting.results.get(n), n, setting) for n in names),
        )
        for setting in book.settings
    ]
    header = ("setting", "runs", *(_title(n) for n in names))
    made = parts.table(TOLD, header, rows) if names else ""
    others = (
        parts.table(found.title, found.header, found.rows) + parts.notes(found.notes) for found in book.tables
    )
    return parts.section(name, title, made, *others)


def _title(name: str) -> str:
    words = name.replace("_", " ").replace(".", " ")
    return f"{words} %" if name.endswith("accuracy") else words


def _cell(found: Result | None, name: str, setting: Setting) -> str:
    if found is None:
        return "–"
    scale, digits = (100, 1) if name.endswith("accuracy") else (1, 4)
    great = max(map(abs, (found.mean, *(found.interval or ())))) >= GREAT

    def shown(value: float) -> str:
        return _short(value) if great else f"{scale * value:.{digits}f}"

    told = shown(found.mean)
    if found.sd is not None:
        told += f" ± {shown(found.sd)}"
    if found.interval is not None:
        told += f" [{shown(found.interval[0])}, {shown(found.interval[1])}]"
    if found.runs != len(setting.runs):
        told += f" ({found.runs} of {len(setting.runs)})"
    return told + f" {MARK}" * any(run.warned for run in setting.counted)


def _short(value: float) -> str:
    if not isfinite(value):  # the spread of numbers near the end of all floats
        return f"{value:g}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa}e{int(exponent)}"
