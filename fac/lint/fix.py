"""Findings mended in the text, in rounds, because what one fix leaves may be the place of another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from fac.diagnostics import Diagnostic, Fix, Severity
from fac.source import Document
from fac.source.edits import edited

ROUNDS = 10


class Fixed(NamedTuple):
    """A document after its fixes."""

    document: Document
    findings: tuple[Diagnostic, ...]
    """What is left."""
    mended: int
    """How many findings there are less because of a fix."""


def fix(document: Document, lint: Callable[[Document], tuple[Diagnostic, ...]]) -> Fixed:
    """The document with every fix made that can be.

    Args:
        document: of a file, as it is written: without `--set`.
        lint: its findings, as settings and comments leave them: what is ignored is not mended.

    Raises:
        FacError: `lint` does.
    """
    mended = 0
    found = lint(document)
    for _ in range(ROUNDS):
        result = edited(document, _safe(found))
        if not result.applied:
            break
        applied = frozenset(result.applied)
        mended += sum(finding.fix in applied for finding in found)
        document = result.document
        found = lint(document)
    # Nobody needs to be told of a fix that has just failed.
    return Fixed(document, tuple(replace(finding, fix=None) for finding in found), mended)


def _safe(found: tuple[Diagnostic, ...]) -> Iterator[Fix]:
    """The fixes, without removals because of a warning as long as there are errors: what seems idle may not be."""
    broken = any(finding.rule.severity is Severity.ERROR for finding in found)
    for finding in found:
        if finding.fix is None:
            continue
        removes = any(edit.text is None for edit in finding.fix.edits)
        if not (broken and removes and finding.rule.severity is Severity.WARNING):
            yield finding.fix
