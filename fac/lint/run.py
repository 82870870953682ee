"""The whole check of one document: the pipeline's, then what settings and comments make of its findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from fac import pipeline, source
from fac.checks import BUILDING, CHECKS, COMPILING, ESTIMATES, FOR_BACKEND, locked
from fac.checks.places import listed
from fac.diagnostics import MAX_FINDINGS, Diagnostic, Severity, Span, first
from fac.lint.selection import READING, codes
from fac.lint.settings import Settings
from fac.program.bounds import TOO_LARGE
from fac.source import Document
from fac.source.comments import UNUSED_IGNORE, Ignore, ignores, may_ask
from fac.spec import errors

if TYPE_CHECKING:
    from fac.backend import Precision
    from fac.lint.lock import Lock

_Asked = tuple[int | None, str]
"""What a comment asks for: the line, or None for the whole file, and the code of the rule."""


class Linted(NamedTuple):
    """What there is to say of a document."""

    findings: tuple[Diagnostic, ...]
    ignored: int
    """How many findings comments leave out."""
    ran: frozenset[str]
    """The rules that were looked for: those of a stage only if the stages before it let the spec pass."""

    @property
    def broken(self) -> bool:
        """Whether there are errors, be they reported or ignored."""
        errors = any(finding.rule.severity is Severity.ERROR for finding in self.findings)
        return errors or ESTIMATES[0][0].code not in self.ran


def linted(
    document: Document,
    settings: Settings,
    backend: str | None = None,
    precision: Precision | None = None,
    lock: Lock | None = None,
) -> Linted:
    """All findings that are to be reported, with the severity that the settings give them.

    Args:
        document: of a file, with `--set` applied.
        settings: that hold for the file.
        backend: which also has to be able to run the spec.
        precision: for that backend.
        lock: to which the spec is held.

    Raises:
        FacError: there is no such backend, or the initial state that is locked does not fit into memory.
    """
    return reported(
        document, pipeline.check(document, (), backend, precision, settings.policy), settings, backend, lock
    )


def reported(
    document: Document,
    found: tuple[Diagnostic, ...],
    settings: Settings,
    backend: str | None = None,
    lock: Lock | None = None,
) -> Linted:
    """Of all findings those that are to be reported, as `linted` gives them.

    Args:
        document: see `linted`, as `settings`, `backend` and `lock`.
        found: all of them.
        settings: of the file.
        backend: for which it was checked.
        lock: to which it is held.
    """
    ran = _ran(found, backend is not None)
    if lock is not None and not any(finding.rule.severity is Severity.ERROR for finding in found):
        found += tuple(lock.findings(document))
        ran |= {rule.code for rule in locked.RULES}
    kept, ignored = _without_ignored(document, found, ran)
    asked_for = (f for f in kept if settings.reports(f.rule.code, document.name))
    return Linted(_bearable(map(settings.graded, asked_for)), ignored, ran)


def _bearable(findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The findings, but not more than anybody reads: warnings are left out before any error is."""
    found = list(findings)
    if len(found) <= MAX_FINDINGS:
        return tuple(found)
    by_weight = sorted(enumerate(found), key=lambda item: item[1].rule.severity is not Severity.ERROR)
    kept = [finding for _, finding in sorted(by_weight[:MAX_FINDINGS], key=itemgetter(0))]
    return first((*kept, kept[-1]))


def lint(
    document: Document, settings: Settings, backend: str | None = None, precision: Precision | None = None
) -> tuple[Diagnostic, ...]:
    """The findings alone: see `linted`."""
    return linted(document, settings, backend, precision).findings


def _without_ignored(
    document: Document, found: tuple[Diagnostic, ...], ran: frozenset[str]
) -> tuple[Iterable[Diagnostic], int]:
    """What no comment asks to leave out, and what is wrong with the comments; how many findings they leave out."""
    # The codes are gathered from all pages.
    comments, invalid = ignores(document, codes()) if may_ask(document) else ((), ())
    if not comments:
        return (*found, *invalid), 0
    asked: set[_Asked] = {(comment.line, code) for comment in comments for code in comment.codes}
    used: set[_Asked] = set()

    def ignored(finding: Diagnostic) -> bool:
        place, code = document.place(finding), finding.rule.code
        if code in READING:
            return False
        line = place.line if isinstance(place, Span) else None
        by = asked.intersection({(line, code), (None, code)})
        used.update(by)
        return bool(by)

    kept = [finding for finding in (*found, *invalid) if not ignored(finding)]
    # What `--set` changed is not what the comments of the file are about.
    looked_for = frozenset[str]() if document.overridden else ran
    unused = list(_unused(comments, used, looked_for))
    left_out = len(found) + len(invalid) - len(kept)
    return (*kept, *(finding for finding in unused if not ignored(finding))), left_out


def _unused(comments: Iterable[Ignore], used: set[_Asked], ran: frozenset[str]) -> Iterator[Diagnostic]:
    """The comments that leave nothing out, of rules that were looked for."""
    for comment in comments:
        if fixed := [code for code in comment.codes if code in READING]:
            message = f"{listed(fixed)} cannot be ignored: what cannot be read is not checked"
            help = "remove the comment, or `exclude` the file in the settings"
            yield Diagnostic(UNUSED_IGNORE, (), message, help, span=comment.span)
            continue
        idle = [code for code in comment.codes if (comment.line, code) not in used and code in ran]
        if idle:
            names = listed(idle, "or")
            where = "in this file" if comment.line is None else f"on line {comment.line}"
            rest = len(idle) < len(comment.codes)
            yield Diagnostic(
                UNUSED_IGNORE,
                (),
                f"there is no finding of {names} {where} to ignore",
                f"remove {names} from it" if rest else "remove the comment",
                span=comment.span,
            )


def _ran(found: Iterable[Diagnostic], for_backend: bool) -> frozenset[str]:
    stages = [
        [rule.code for rule in source.RULES if rule is not UNUSED_IGNORE],
        [rule.code for rule in errors.RULES],
        [TOO_LARGE.code],
        [rule.code for rule, _ in CHECKS],
        [rule.code for rule, _ in BUILDING],
        [rule.code for rule, _ in (*ESTIMATES, *COMPILING, *(FOR_BACKEND if for_backend else ()))],
    ]
    stopped = {finding.rule.code for finding in found if finding.rule.severity is Severity.ERROR}
    ran: set[str] = set()
    for stage in stages:
        ran.update(stage)
        if stopped.intersection(stage):
            break
    return frozenset(ran)
