"""What was run, on what, how far it came, and what a reader must know before any number."""

from __future__ import annotations

from collections import Counter

from fac.render.report import parts
from fac.render.report.facts import MARK, Book


def section(name: str, title: str, book: Book) -> str:
    """Settings and their runs."""
    rows = [
        (
            setting.label,
            run.name,
            run.seed or "–",
            run.state + f" {MARK}" * bool(run.warned),
            _counted(run.rows, "epoch"),
            _counted(run.rows, "step"),
        )
        for setting in book.settings
        for run in setting.runs
    ]
    runs = parts.table(
        "Each run", ("setting", "folder", "seed", "state", "epochs", "steps"), rows, words=True
    )
    many = sum(len(setting.runs) for setting in book.settings)
    unfinished = [row for row in rows if not row[3].startswith("complete")]
    verb = "is" if len(unfinished) == 1 else "are"
    told = [f"{len(unfinished)} of {many} runs {verb} not complete"] if unfinished else []
    return parts.section(
        name,
        title,
        parts.notes([*book.notes, *told]),
        parts.table("Settings", ("setting", "rule", "runs"), _settings(book)),
        parts.opens("the run" if many == 1 else f"each of {many} runs", runs, now=many <= FEW),
        _environment(book),
    )


FEW = 12
"""Runs that are listed at once."""


def _settings(book: Book) -> list[tuple[str, str, str]]:
    return [(s.label, s.rule or "–", str(len(s.runs))) for s in book.settings]


def _counted(rows: object, what: str) -> str:
    assert isinstance(rows, tuple)
    return f"{max((int(row.get(what) or 0) for row in rows), default=0):,}"


def _environment(book: Book) -> str:
    """What the runs were made with, and how many of them where that differs."""
    every = [run for setting in book.settings for run in setting.runs]
    keys = dict.fromkeys(key for run in every for key in run.about)
    rows = []
    for key in keys:
        counts = Counter(run.about.get(key, "not known") for run in every)
        told = (value if len(counts) == 1 else f"{value} ({times} runs)" for value, times in counts.items())
        rows.append((key, "; ".join(told)))
    return parts.table("Environment", ("made with", ""), rows, words=True) if rows else ""
