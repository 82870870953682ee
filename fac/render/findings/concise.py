"""`concise`: one line for each finding."""

from __future__ import annotations

from collections.abc import Iterable

from fac.diagnostics import Diagnostic
from fac.escaping import visible
from fac.render.findings.report import Report, ordered, where
from fac.source import Document


def render(report: Report) -> str:
    """All findings, and the count."""
    blocks = [concise(c.document, c.findings) for c in report.checked if c.findings]
    return "\n".join(filter(None, [*blocks, report.advising]))


def concise(document: Document, diagnostics: Iterable[Diagnostic]) -> str:
    """One line for each finding: `path:line:column: CODE message`, or `path (--set KEY=VALUE): CODE message`."""
    lines = []
    for found in ordered(document, diagnostics):
        lines.append(f"{where(document, document.place(found))}: {found.rule.code} {visible(found.message)}")
    return "\n".join(lines)
