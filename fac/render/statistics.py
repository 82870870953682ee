"""`fac check --statistics`: how often each rule found something."""

from __future__ import annotations

from collections import Counter

from fac.render.columns import columns
from fac.render.findings import Report
from fac.render.findings.json import whole

HEADER = ("code", "name", "severity", "findings")


def table(report: Report) -> str:
    """A line for each rule, the most frequent first, and the count of all."""
    rows = [(code, name, severity, str(count)) for code, name, severity, count in _counts(report)]
    return "\n\n".join(filter(None, [columns(HEADER, rows) if rows else "", report.closing]))


def as_json(report: Report) -> str:
    """The object of `json`, with counts in the place of the findings."""
    rows = [dict(zip((*HEADER[:3], "count"), row, strict=True)) for row in _counts(report)]
    return whole(report, "statistics", rows)


def _counts(report: Report) -> list[tuple[str, str, str, int]]:
    found = Counter(finding.rule for checked in report.checked for finding in checked.findings)
    rows = [(rule.code, rule.name, rule.severity.value, count) for rule, count in found.items()]
    return sorted(rows, key=lambda row: (-row[3], row[0], row[2]))
