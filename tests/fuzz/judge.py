"""What must hold of `fac check` for every input, sense or nonsense."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path

from fac import pipeline, source
from fac.checks.pages import pages
from fac.diagnostics import Diagnostic, FacError, Severity, Span, SpecError
from fac.lint.fix import fix
from fac.lint.run import Linted, linted
from fac.lint.selection import READING
from fac.lint.settings import Settings
from fac.render.findings import FORMATS, Checked, Report, render
from fac.render.findings.report import ordered
from fac.source import Document


def judge(file: Path, turn: int = 0) -> tuple[Document, tuple[Diagnostic, ...]] | None:
    """Check a file as the command does. Gives what was found, or None if the file cannot be read at all.

    Args:
        file: the input.
        turn: which of the formats is rendered beside the one for people.
    """
    try:
        document = source.read(file)
        found = _linted(document).findings
    except FacError as error:
        _one_line(str(error))
        return None
    for finding in found:
        _is_a_finding(finding, document)
    _renders(document, found, turn)
    _is_mended(document, found)
    return document, found


@cache
def codes() -> frozenset[str]:
    return frozenset(page.rule.code for page in pages())


def _is_a_finding(finding: Diagnostic, document: Document) -> None:
    assert finding.rule.code in codes()
    _one_line(finding.message)
    assert finding.message
    assert not finding.message.endswith(".")
    if finding.help:
        _one_line(finding.help)
    place = document.place(finding)
    assert isinstance(place, Span)
    assert 1 <= place.line <= place.end_line <= len(document.lines)
    assert 1 <= place.column <= len(document.lines[place.line - 1]) + 1
    assert 1 <= place.end_column <= len(document.lines[place.end_line - 1]) + 1
    assert (place.line, place.column) <= (place.end_line, place.end_column)


def _one_line(message: str) -> None:
    assert "\n" not in message
    assert "\r" not in message
    assert "Traceback" not in message
    assert len(message) < 2000


def _renders(document: Document, found: tuple[Diagnostic, ...], turn: int) -> None:
    report = Report((Checked(document, found),), (), color=bool(turn % 2))
    for name in ("full", FORMATS[turn % len(FORMATS)]):
        text = render(name, report)
        # What is printed has to be text that a terminal, a file and a parser can take.
        text.encode("utf-8")
        assert "\0" not in text
        if name == "json":
            rows = json.loads(text)["findings"]
            assert [row["code"] for row in rows] == [f.rule.code for f in ordered(document, found)]


def _is_mended(document: Document, found: tuple[Diagnostic, ...]) -> None:
    """What `--fix` leaves can be read, has no error of its making, and is what a second `--fix` leaves."""
    if not any(finding.fix for finding in found):
        return
    fixed = fix(document, _linted)
    assert not fixed.document.diagnostics
    before = Counter(f.rule.code for f in found if f.rule.severity is Severity.ERROR)
    after = Counter(f.rule.code for f in fixed.linted.findings if f.rule.severity is Severity.ERROR)
    assert not [code for code in after - before if code in _linted(document).ran - READING]
    again = fix(fixed.document, _linted)
    assert again.document.text == fixed.document.text


def _linted(document: Document) -> Linted:
    return linted(document, Settings())


def compiles(document: Document) -> bool:
    """Whether the spec has no errors. What the checks pass is compiled, what they do not pass is refused."""
    try:
        program = pipeline.lowered(document)
    except SpecError:
        return False
    pipeline.compiled(program)
    return True
