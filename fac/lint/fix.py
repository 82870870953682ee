"""Findings mended in the text, in rounds, because what one fix leaves may be the place of another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from fac.diagnostics import Fix, Severity
from fac.lint.run import Linted
from fac.source import Document
from fac.source.edits import Edited, Room, edited
from fac.source.yaml import effort

ROUNDS = 10
READ = 250_000
"""In a long text there are fewer rounds, one at least: this is how many characters all of them read."""


class Fixed(NamedTuple):
    """A document after its fixes."""

    document: Document
    linted: Linted
    """What is left to say."""
    mended: int
    """How many findings there are less because of a fix."""


Lint = Callable[[Document], Linted]


def fix(document: Document, lint: Lint) -> Fixed:
    """The document with every fix made that can be. A fix that would bring an error about is not made.

    Args:
        document: of a file, as it is written: without `--set`.
        lint: its findings, as settings and comments leave them: what is ignored is not mended.

    Raises:
        FacError: `lint` does.
    """
    rounds = max(1, min(ROUNDS, READ // (1 + effort(document.text))))
    mending = _Mending(lint, Room(document), tries=2 * rounds)
    mended, found = 0, lint(document)
    for _ in range(rounds):
        better = mending.better(document, found, tuple(_safe(found)))
        if better is None:
            break
        result, after = better
        applied = frozenset(result.applied)
        mended += sum(finding.fix in applied for finding in found.findings)
        document, found = result.document, after
    # Nobody needs to be told of a fix that has just failed.
    left = tuple(replace(finding, fix=None) for finding in found.findings)
    return Fixed(document, found._replace(findings=left), mended)


class _Mending:
    """Makes fixes together, and where that brings an error about some of them, found by halving."""

    def __init__(self, lint: Lint, room: Room, tries: int) -> None:
        self.lint, self.room, self.tries = lint, room, tries

    def better(
        self, document: Document, found: Linted, fixes: tuple[Fix, ...]
    ) -> tuple[Edited, Linted] | None:
        """The document with as many of the fixes as do no harm, at best all; None if there is none."""
        if not fixes or self.tries <= 0:
            return None
        result = edited(document, fixes, self.room)
        if not result.applied:
            return None
        self.tries -= 1
        after = self.lint(result.document)
        # What nobody could look for before has not come about by the fix.
        if not _errors(after, found.ran) - _errors(found, found.ran):
            return result, after
        middle = len(fixes) // 2
        if middle == 0:
            return None
        return self.better(document, found, fixes[:middle]) or self.better(document, found, fixes[middle:])


def _errors(linted: Linted, codes: frozenset[str]) -> Counter[str]:
    errors = (f.rule.code for f in linted.findings if f.rule.severity is Severity.ERROR)
    return Counter(code for code in errors if code in codes)


def _safe(found: Linted) -> Iterator[Fix]:
    """The fixes, without removals because of a warning as long as there are errors: what seems idle may not be."""
    broken = found.broken
    for finding in found.findings:
        if finding.fix is None:
            continue
        removes = any(edit.text is None for edit in finding.fix.edits)
        if not (broken and removes and finding.rule.severity is Severity.WARNING):
            yield finding.fix
