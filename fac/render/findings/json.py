"""`json`: what scripts read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fac.diagnostics import Diagnostic, Severity, Span, dotted
from fac.escaping import visible
from fac.render.findings.report import Report, ordered
from fac.render.json_text import json_text
from fac.source import Document
from fac.source.overrides import SET


def render(report: Report) -> str:
    """One object for the whole run."""
    rows = [row for checked in report.checked for row in as_json(checked.document, checked.findings)]
    return whole(report, "findings", rows)


def whole(report: Report, key: str, rows: list[dict[str, object]]) -> str:
    """The object of a run, in which `rows` stand under a key."""
    severities = Counter(found.rule.severity for checked in report.checked for found in checked.findings)
    return json_text(
        {
            "files": [checked.document.name for checked in report.checked],
            "unreadable": [
                {"path": path, "message": visible(message)} for path, message in report.unreadable
            ],
            "checked_in_part": [c.document.name for c in report.checked if c.in_part],
            **{f"{severity}s": severities[severity] for severity in Severity},
            "ignored": sum(checked.ignored for checked in report.checked),
            key: rows,
        }
    )


def as_json(document: Document, diagnostics: Iterable[Diagnostic]) -> list[dict[str, object]]:
    """One mapping for each finding.

    The four numbers are null for a place that is in no text; `set` is the assignment of `--set` that stands there.
    """
    rows: list[dict[str, object]] = []
    for found in ordered(document, diagnostics):
        place = document.place(found)
        span = place if isinstance(place, Span) else None
        rows.append(
            {
                "code": found.rule.code,
                "name": found.rule.name,
                "severity": found.rule.severity.value,
                "message": visible(found.message),
                "help": visible(found.help),
                "file": document.name,
                "line": span and span.line,
                "column": span and span.column,
                "end_line": span and span.end_line,
                "end_column": span and span.end_column,
                "path": dotted(found.path),
                "set": _assignment(place),
                "fix": _fix(found),
            }
        )
    return rows


def _fix(found: Diagnostic) -> dict[str, object] | None:
    """What `--fix` does; a `text` of null removes the entry."""
    if found.fix is None:
        return None
    edits = [{"path": dotted(e.path), "key": e.key, "text": e.text} for e in found.fix.edits]
    return {"message": found.fix.message, "edits": edits}


def _assignment(place: Span | str) -> str | None:
    return place.removeprefix(SET) if isinstance(place, str) and place.startswith(SET) else None
