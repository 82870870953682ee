"""What a step needs by its spec, and the time that was measured."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean, median

from fac.render.report import parts
from fac.render.report.facts import Book, RunFacts, Setting


def section(name: str, title: str, book: Book) -> str:
    """A line for each setting."""
    keys = list(dict.fromkeys(key for setting in book.settings for key in setting.costs))
    rows = [
        (setting.label, *(setting.costs.get(key, "–") for key in keys), *_times(setting))
        for setting in book.settings
    ]
    header = ("setting", *keys, "ms per step", "seconds of a run")
    caption = "By the spec; times are wall-clock on the machines of the runs: the median of epochs, the mean of runs"
    return parts.section(name, title, parts.table(caption, header, rows))


def _times(setting: Setting) -> tuple[str, str]:
    steps = [ms for run in setting.runs for ms in _column(run, "step_ms")]
    whole = [sum(found) for run in setting.runs if (found := [*_column(run, "seconds")])]
    return (
        parts.number(median(steps), 3) if steps else "–",
        parts.number(fmean(whole), 3) if whole else "–",
    )


def _column(run: RunFacts, name: str) -> Iterator[float]:
    """Of epochs that have steps: epoch 0 is the network before its first."""
    for row in run.rows:
        if not row.get("epoch"):
            continue
        value = row.get(name)
        if value is not None and value == value:
            yield value
