"""A run as Markdown, for the page that a CI shows beside its log: a table of findings, then every topology."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote

from fac.escaping import code, prose, sound, tagged
from fac.render.findings.portable import Row, path_in, rows
from fac.render.findings.report import Checked, Report, summary
from fac.source import Document

ROWS = 200
"""Findings in the table."""
PICTURES = 20
"""Charts on the page: a browser lays out each of them."""


def markdown(report: Report, draw: Callable[[Document], str | None], source: str, room: int) -> str:
    """The page; empty if not even its table has room.

    Args:
        report: what to show.
        draw: a Mermaid chart of a file; None if it is no spec, or too large.
        source: the web address of the top of the repository, without the last `/`; empty if it is not known.
        room: how many bytes the page may take.
    """
    text = "\n\n".join([f"### fac check: {report.counted}", *_table(report, source)]) + "\n"
    if _size(text) > room:
        return ""
    drawn = 0
    # Files with findings come first, and are open.
    for checked in sorted(report.checked, key=lambda checked: not checked.findings)[:PICTURES]:
        picture = _picture(report, checked, draw)
        if _size(text + picture) > room:
            break
        text += picture
        drawn += 1
    left = len(report.checked) - drawn
    note = f"\n{left} more file{'s' * (left > 1)}: `fac show SPEC -o graph.svg` draws one.\n" if left else ""
    return text + note if _size(text + note) <= room else text


def _table(report: Report, source: str) -> Iterator[str]:
    lines = [_row(row, source) for row in rows(report)]
    for path, message in report.unreadable:
        lines.append(f"| | {code(path_in(report.root, path))} | {prose(message)} | |")
    if lines:
        head = "| | where | finding | remedy |\n|---|---|---|---|\n"
        yield head + "\n".join(lines[:ROWS])
    if len(lines) > ROWS:
        yield f"… and {len(lines) - ROWS} more."


def _row(row: Row, source: str) -> str:
    rule, span = row.finding.rule, row.span
    place = code(row.file + (f":{span.line}:{span.column}" if span else ""))
    if source and span and not row.file.startswith(("/", "<")):
        place = f"[{place}]({source}/{quote(sound(row.file))}#L{span.line})"
    return f"| {rule.severity} | {place} | {rule.code} {prose(row.message)} | {prose(row.finding.help)} |"


def _picture(report: Report, checked: Checked, draw: Callable[[Document], str | None]) -> str:
    chart = draw(checked.document)
    open_ = " open" if checked.findings else ""
    shown = tagged(path_in(report.root, checked.document.name))
    body = f"```mermaid\n{chart}```" if chart else "Not drawn: it is no spec yet, or too large."
    return (
        f"\n<details{open_}><summary>{shown}: {summary(checked.findings)}</summary>\n\n{body}\n\n</details>\n"
    )


def _size(text: str) -> int:
    return len(text.encode())
