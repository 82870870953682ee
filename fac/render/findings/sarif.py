"""`sarif` 2.1.0: for code scanning, editors, and tools that gather the findings of others."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from fac.checks.pages import Page, pages
from fac.diagnostics import Fix, Rule, Span
from fac.escaping import sarif
from fac.render.findings.portable import Row, path_in, rows
from fac.render.findings.report import Report
from fac.render.json_text import json_text
from fac.source import Document
from fac.source.edits import edited
from fac.source.yaml import effort

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
TOP = "%SRCROOT%"
"""What paths start from, in the name that code scanning knows for the top of a repository."""
FINGERPRINT = "facFinding/v1"
"""Not `primaryLocationLineHash`: what uploads the file computes that itself, and warns of another one."""
PROVED = 300_000
"""Characters of each file that are read again: a fix is offered alone, so each is proved alone, on the whole text."""

LINE_ENDS = re.compile(r"\r\n|\r|\n")


def render(report: Report) -> str:
    """One run, with the pages of the rules that found something."""
    found = list(rows(report))
    rules = {row.finding.rule.code: row.finding.rule for row in found}
    numbers = {code: number for number, code in enumerate(sorted(rules))}
    known = {page.rule.code: page for page in pages()} if rules else {}
    files = {path_in(report.root, checked.document.name): i for i, checked in enumerate(report.checked)}
    run = {
        "tool": {
            "driver": {
                "name": "fac",
                "fullName": "fac check",
                "version": version("fac-compiler"),
                "rules": [_rule(rules[code], known.get(code)) for code in numbers],
            }
        },
        "invocations": [_invocation(report)],
        "originalUriBaseIds": {TOP: {"description": {"text": "the top of the repository"}}},
        "columnKind": "unicodeCodePoints",
        "artifacts": [{"location": _location(file)} for file in files],
        "results": [
            _result(row, numbers, files[row.file], change)
            for row, change in zip(found, _changes(found), strict=True)
        ],
    }
    return json_text({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(rule: Rule, page: Page | None) -> dict[str, Any]:
    """A rule as its page explains it. The help of a page is Markdown already."""
    shown: dict[str, Any] = {"id": rule.code, "name": rule.name}
    if page is not None:
        text = {"text": page.help, "markdown": page.help}
        shown |= {
            "shortDescription": {"text": page.summary},
            "fullDescription": {"text": "\n\n".join(filter(None, [page.summary, page.why]))},
            "help": text,
            "defaultConfiguration": {"level": page.rule.severity.value},
        }
    return shown


def _result(
    row: Row, numbers: dict[str, int], artifact: int, change: dict[str, Any] | None
) -> dict[str, Any]:
    rule = row.finding.rule
    physical: dict[str, Any] = {"artifactLocation": _location(row.file) | {"index": artifact}}
    if row.span is not None:
        physical["region"] = _region(row.span)
    result = {
        "ruleId": rule.code,
        "ruleIndex": numbers[rule.code],
        "level": rule.severity.value,
        "message": _message(row.told),
        "locations": [{"physicalLocation": physical}],
        "partialFingerprints": {FINGERPRINT: row.fingerprint},
    }
    if row.finding.fix is not None and change is not None:
        location = physical["artifactLocation"]
        changes = [{"artifactLocation": location, "replacements": [change]}]
        result["fixes"] = [{"description": _message(row.finding.fix.message), "artifactChanges": changes}]
    return result


def _changes(found: Iterable[Row]) -> Iterator[dict[str, Any] | None]:
    """For each finding the piece of text that its fix replaces; None where there is none, or no room to prove it."""
    read = Counter[str]()
    for row in found:
        fix = row.finding.fix
        cost = effort(row.document.text) if fix else 0
        if fix is None or read[row.file] > max(0, PROVED - cost):
            yield None
        else:
            read[row.file] += cost
            yield _change(row.document, fix)


def _change(document: Document, fix: Fix) -> dict[str, Any] | None:
    """One piece of the text that is replaced, from the first word that differs to the last; None if no fix fits."""
    old, new = document.text, edited(document, [fix]).document.text
    if old == new:
        return None
    start = _common(old, new)
    while start and old[start - 1].isalnum():
        start -= 1
    end = _common(old[start:][::-1], new[start:][::-1])
    while end and old[-end].isalnum():
        end -= 1
    region = _region(Span(*_place(old, start), *_place(old, len(old) - end)))
    return {"deletedRegion": region, "insertedContent": {"text": new[start : len(new) - end]}}


def _common(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    return next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _place(text: str, offset: int) -> tuple[int, int]:
    """Line and column of a character."""
    before = LINE_ENDS.split(text[:offset])
    return len(before), len(before[-1]) + 1


def _invocation(report: Report) -> dict[str, Any]:
    told = [
        {
            "level": "error",
            "message": _message(message),
            "locations": [{"physicalLocation": {"artifactLocation": _location(path_in(report.root, path))}}],
        }
        for path, message in report.unreadable
    ]
    return {"executionSuccessful": not told, "toolExecutionNotifications": told}


def _message(text: str) -> dict[str, str]:
    return {"text": sarif(text)}


def _location(file: str) -> dict[str, Any]:
    uri = quote(os.fsencode(file))
    if os.path.isabs(file):
        return {"uri": f"file://{uri if uri.startswith('/') else f'/{uri}'}"}
    return {"uri": uri, "uriBaseId": TOP}


def _region(span: Span) -> dict[str, int]:
    """Both count from 1, with the end exclusive."""
    return {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }
