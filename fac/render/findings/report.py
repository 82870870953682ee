"""What every format of findings starts from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fac.diagnostics import Diagnostic, Severity, Span, plain
from fac.source import Document

ROUTES = "FAC3"
"""The rules for which a text has to be a spec."""


@dataclass(frozen=True)
class Checked:
    """A file and its findings."""

    document: Document
    findings: tuple[Diagnostic, ...]
    fails: Callable[[Diagnostic], bool] = lambda finding: finding.rule.severity is Severity.ERROR
    """Whether a finding is at or above the bar."""
    ignored: int = 0
    """How many findings comments leave out."""
    ran: frozenset[str] | None = None
    """The rules that were looked for; None is all of them."""

    @property
    def in_part(self) -> bool:
        """Whether the text is no spec, so that nothing is known of its names and routes."""
        return not self.looked_for(ROUTES)

    def looked_for(self, code: str) -> bool:
        """Whether a rule was looked for, or any whose code begins so."""
        return self.ran is None or any(ran.startswith(code) for ran in self.ran)


@dataclass(frozen=True)
class Report:
    """All files of one run."""

    checked: tuple[Checked, ...]
    unreadable: tuple[tuple[str, str], ...] = ()
    """Paths, and why they could not be checked."""
    color: bool = False
    quiet: bool = False
    """Whether the closing line is left out."""
    root: str = ""
    """Where the paths begin that other programs read: the top of the repository; empty is the current folder."""

    @property
    def closing(self) -> str:
        """`2 errors in 3 files`; empty if it is left out."""
        return "" if self.quiet else self.counted

    @property
    def advising(self) -> str:
        """The closing line for people: `2 errors in 3 files, 1 fixable with --fix`."""
        fixable = sum(d.fix is not None for checked in self.checked for d in checked.findings)
        return f"{self.closing}, {fixable} fixable with --fix" if self.closing and fixable else self.closing

    @property
    def counted(self) -> str:
        """`2 errors in 3 files, 1 of them not checked for routes, 1 ignored`."""
        count = len(self.checked)
        if not count and self.unreadable:
            return "no file could be checked"
        found = summary(d for checked in self.checked for d in checked.findings)
        text = f"{found} in {count} file{'s' * (count != 1)}"
        if partly := sum(checked.in_part for checked in self.checked):
            text += f", {'' if count == 1 else f'{partly} '}checked in part"
        if ignored := sum(checked.ignored for checked in self.checked):
            text += f", {ignored} ignored"
        return text


def ordered(document: Document, diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The findings by position, then code. Those that stand in no text come last, in their given order."""

    def key(found: Diagnostic) -> tuple[bool, int, int, str]:
        place = document.place(found)
        line, column = (place.line, place.column) if isinstance(place, Span) else (0, 0)
        return not isinstance(place, Span), line, column, found.rule.code

    return sorted(diagnostics, key=key)


def summary(diagnostics: Iterable[Diagnostic]) -> str:
    """`3 errors, 1 warning`, or `no findings`."""
    counts = Counter(found.rule.severity for found in diagnostics)
    parts = [f"{n} {severity}{'s' * (n > 1)}" for severity in Severity if (n := counts[severity])]
    return ", ".join(parts) or "no findings"


def where(document: Document, place: Span | str) -> str:
    """The place of a finding on one line: `spec.fac.yaml:14:56`."""
    # A name may hold a line feed, behind which the runner of a CI could take the rest for a command.
    if isinstance(place, Span):
        return f"{plain(document.name)}:{place.line}:{place.column}"
    in_words = place in document.overridden.values()
    return plain(f"{document.name} ({place})" if in_words else place)
