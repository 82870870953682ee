"""`gitlab`: a Code Quality report, which merge requests show."""

from __future__ import annotations

from fac.diagnostics import Severity
from fac.escaping import visible
from fac.render.findings.portable import path_in, rows
from fac.render.findings.report import Report
from fac.render.json_text import json_text

SEVERITIES = {Severity.ERROR: "major", Severity.WARNING: "minor"}
UNREADABLE = "unreadable-file"


def render(report: Report) -> str:
    """A list with one entry for each finding and each file that could not be checked."""
    entries = [
        _entry(
            row.finding.rule.code,
            f"{row.finding.rule.code} {row.told}",
            SEVERITIES[row.finding.rule.severity],
            row.fingerprint,
            row.file,
            row.span.line if row.span else 1,
        )
        for row in rows(report)
    ]
    for path, message in report.unreadable:
        file = path_in(report.root, path)
        entries.append(_entry(UNREADABLE, visible(message), "blocker", f"{UNREADABLE} {file}", file, 1))
    return json_text(entries, indent=2)


def _entry(
    check: str, description: str, severity: str, fingerprint: str, path: str, line: int
) -> dict[str, object]:
    return {
        "check_name": check,
        "description": description,
        "severity": severity,
        "fingerprint": fingerprint,
        "location": {"path": path, "lines": {"begin": line}},
    }
