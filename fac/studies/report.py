"""The results of a study as a page of Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from fac.escaping import code
from fac.studies.model import Study
from fac.studies.running import Outcome

HELD, FAILED = "✓", "✗"


def page(study: Study, outcomes: Sequence[Outcome], command: str, made_on: str) -> str:
    """Tables with what was claimed of them.

    Args:
        study: whose they are.
        outcomes: in the order of the page.
        command: that makes the page again.
        made_on: backend and machine, in words.
    """
    lines = [
        f"# {study.title}",
        "",
        study.source,
        "",
        f"Made by {code(command)} on {made_on}.",
    ]
    for outcome in outcomes:
        lines += ["", f"## {outcome.table.title}", ""]
        if outcome.table.says:
            lines += [outcome.table.says, ""]
        lines += table(outcome)
        if outcome.table.curves:
            lines += ["", f"![{outcome.table.title}]({outcome.table.file})"]
        if outcome.borne_out:
            lines += [
                "",
                *(f"- {HELD if holds else FAILED} {c.text}" for c, holds in outcome.borne_out),
            ]
    return "\n".join(lines) + "\n"


def table(outcome: Outcome) -> list[str]:
    """Its lines."""
    columns = outcome.table.columns
    header = ("", *(cell(column.title) for column in columns))
    rows = [
        (cell(row), *(outcome.results.told(row, column) for column in columns))
        for row in outcome.results.rows
    ]
    aligned = ("---", *("---:" for _ in columns))
    return [f"| {' | '.join(cells)} |" for cells in (header, aligned, *rows)]


def cell(text: str) -> str:
    """A cell. Studies are programs of whoever runs them, so that Markdown in their words is meant; a bar ends one."""
    return text.replace("|", "\\|")
