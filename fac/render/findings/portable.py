"""What the formats for other programs share: paths from the top of the repository, fingerprints."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from fac.diagnostics import Diagnostic, Span
from fac.escaping import visible
from fac.render.findings.report import Checked, Report, ordered
from fac.source import Document


@dataclass(frozen=True, slots=True)
class Row:
    """A finding as other programs want it."""

    document: Document
    finding: Diagnostic
    file: str
    """The path from the top of the repository, with `/` between its parts."""
    span: Span | None
    """None for a place that is in no text."""
    note: str
    """Names that place: `--set update.lr=1`."""
    fingerprint: str
    """The same for as long as the finding is: what changes in other lines does not count."""

    @property
    def message(self) -> str:
        """The fact, and what is not plain from the place."""
        return visible(f"{self.finding.message} ({self.note})" if self.note else self.finding.message)

    @property
    def told(self) -> str:
        """The fact and the remedy, for formats that have no field for the latter."""
        return f"{self.message}: {visible(self.finding.help)}" if self.finding.help else self.message


def rows(report: Report) -> Iterator[Row]:
    """All findings, by file, position and code."""
    for checked in report.checked:
        yield from rows_of(report, checked)


def rows_of(report: Report, checked: Checked) -> Iterator[Row]:
    """The findings of one file."""
    document = checked.document
    file = path_in(report.root, document.name)
    seen: Counter[bytes] = Counter()
    begun: dict[tuple[str, int], Any] = {}
    for finding in ordered(document, checked.findings):
        place = document.place(finding)
        span = place if isinstance(place, Span) else None
        # A line may be a million characters long, with thousands of findings: it is read once for each rule.
        alike = begun.get((finding.rule.code, span.line)) if span else None
        if alike is None:
            about = document.lines[span.line - 1].strip() if span else f"{place}\0{finding.message}"
            alike = sha256("\0".join((finding.rule.code, file, about, "")).encode("utf-8", "surrogatepass"))
            if span:
                begun[finding.rule.code, span.line] = alike
        seen[alike.digest()] += 1
        whole = alike.copy()
        whole.update(str(seen[alike.digest()]).encode())
        note = "" if isinstance(place, Span) else place
        yield Row(document, finding, file, span, note, whole.hexdigest()[:32])


def path_in(root: str, name: str) -> str:
    """The path of a file from the top of the repository; absolute if it is not in there.

    Args:
        root: the top; empty is the current folder.
        name: as it was given. `<stdin>` stays what it is.
    """
    if name.startswith("<") and name.endswith(">"):
        return name
    whole = os.path.abspath(name)
    try:
        path = os.path.relpath(whole, root or os.curdir)
    except ValueError:  # on another drive
        path = whole
    if path.split(os.sep)[0] == os.pardir:
        path = whole
    return path.replace(os.sep, "/")
