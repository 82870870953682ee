"""Findings mended in the text, in rounds, because what one fix leaves may be the place of another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from fac.diagnostics import Fix, Severity
from fac.lint.run import Linted
from fac.lint.selection import READING
from fac.source import Document
from fac.source.edits import Edited, Room, edited
from fac.source.yaml import effort

TRIES = 64
READ = 3_000
"""Characters of a text that is tried so often. A longer one is tried less often, once at least."""
PROVED = 50_000
"""Characters of a text whose fixes are tried before they are offered. In a longer one some may turn out not to hold."""


class Fixed(NamedTuple):
    """A document after its fixes."""

    document: Document
    linted: Linted
    """What is left to say."""
    mended: int
    """How many findings there are less because of a fix."""
    applied: frozenset[Fix]


Lint = Callable[[Document], Linted]


def promised(document: Document, found: Linted, lint: Lint) -> Linted:
    """The findings, with those fixes only that `fix` would make: what is promised is kept."""
    if effort(document.text) > PROVED:
        return found
    applied = fix(document, lint, found).applied
    kept = (f if f.fix in applied or f.fix is None else replace(f, fix=None) for f in found.findings)
    return found._replace(findings=tuple(kept))


def fix(document: Document, lint: Lint, found: Linted | None = None) -> Fixed:
    """The document with every fix made that can be. A fix that would bring an error about is not made.

    Args:
        document: of a file, as it is written: without `--set`.
        lint: its findings, as settings and comments leave them: what is ignored is not mended.
        found: what `lint` says of the document, if that is known already.

    Raises:
        FacError: `lint` does.
    """
    tries = max(1, min(TRIES, TRIES * READ // (1 + effort(document.text))))
    mending = _Mending(lint, Room(document), tries)
    mended, all_applied = 0, set[Fix]()
    found = found or lint(document)
    while (better := mending.better(document, found, tuple(_safe(found)))) is not None:
        result, after = better
        applied = frozenset(result.applied)
        all_applied |= applied
        mended += sum(finding.fix in applied for finding in found.findings)
        document, found = result.document, after
    # Nobody needs to be told of a fix that has just failed.
    left = tuple(replace(finding, fix=None) for finding in found.findings)
    return Fixed(document, found._replace(findings=left), mended, frozenset(all_applied))


class _Mending:
    """Makes fixes together, and where that brings an error about some of them, found by halving."""

    def __init__(self, lint: Lint, room: Room, tries: int) -> None:
        self.lint, self.room, self.tries = lint, room, tries
        self.harmful: set[Fix] = set()

    def better(
        self, document: Document, found: Linted, fixes: tuple[Fix, ...]
    ) -> tuple[Edited, Linted] | None:
        """The document with as many of the fixes as do no harm, at best all; None if there is none."""
        fixes = tuple(fix for fix in fixes if fix not in self.harmful)
        if not fixes or self.tries <= 0:
            return None
        result = edited(document, fixes, self.room)
        if not result.applied:
            return None
        self.tries -= 1
        after = self.lint(result.document)
        # What nobody could look for before has not come about by a fix, nor what a key says once it is spelt right.
        looked_for = found.ran - READING
        left = _errors(found, looked_for, frozenset(result.applied))
        if not _errors(after, looked_for) - left:
            return result, after
        middle = len(fixes) // 2
        if middle == 0:
            self.harmful.update(fixes)
            return None
        return self.better(document, found, fixes[:middle]) or self.better(document, found, fixes[middle:])


def _errors(
    linted: Linted, codes: frozenset[str], without: frozenset[Fix] = frozenset()
) -> Counter[tuple[str, str]]:
    """Those of some rules that are not mended, so that one that goes does not make up for another that comes."""
    errors = (f for f in linted.findings if f.rule.severity is Severity.ERROR and f.rule.code in codes)
    return Counter((f.rule.code, f.message) for f in errors if f.fix not in without)


def _safe(found: Linted) -> Iterator[Fix]:
    """The fixes, without removals because of a warning as long as there are errors: what seems idle may not be."""
    broken = found.broken
    for finding in found.findings:
        if finding.fix is None:
            continue
        removes = any(edit.text is None for edit in finding.fix.edits)
        if not (broken and removes and finding.rule.severity is Severity.WARNING):
            yield finding.fix
