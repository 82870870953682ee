"""`github`: workflow commands, which annotate the lines of a pull request.

Columns are those of the other formats: from 1, the end exclusive, as other linters write them.
"""

from __future__ import annotations

from fac.escaping import workflow, workflow_property
from fac.render.findings.portable import Row, path_in, rows
from fac.render.findings.report import Report

TITLE = "fac"


def render(report: Report) -> str:
    """One command for each finding and each file that could not be checked, and the count."""
    lines = [_annotation(row) for row in rows(report)]
    for path, message in report.unreadable:
        lines.append(_command("error", {"title": TITLE, "file": path_in(report.root, path)}, message))
    return "\n".join(filter(None, [*lines, report.closing]))


def _annotation(row: Row) -> str:
    rule, span = row.finding.rule, row.span
    properties: dict[str, object] = {"title": f"{TITLE} ({rule.code})", "file": row.file}
    where = row.file
    if span is not None:
        where += f":{span.line}:{span.column}"
        properties["line"] = span.line
        # Of a piece over several lines the runner takes no columns.
        if span.end_line == span.line:
            properties |= {"col": span.column, "endLine": span.line, "endColumn": span.end_column}
        else:
            properties["endLine"] = span.end_line
    # The log shows the message alone, so it names the place, too.
    message = [f"{where}: {rule.code} {row.message}"]
    if row.finding.help:
        message.append(f"help: {row.finding.help}")
    return _command(rule.severity.value, properties, *message)


def _command(name: str, properties: dict[str, object], *message: str) -> str:
    written = ",".join(f"{key}={workflow_property(str(value))}" for key, value in properties.items())
    return f"::{name} {written}::{workflow(*message)}"
