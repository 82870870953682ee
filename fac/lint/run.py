"""The whole check of one document: the pipeline's, then what settings and comments make of its findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from fac import pipeline, source
from fac.checks import CHECKS, COMPILING, ESTIMATES, FOR_BACKEND
from fac.checks.places import listed
from fac.diagnostics import Diagnostic, Severity, Span
from fac.lint.selection import codes
from fac.lint.settings import Settings
from fac.source import Document
from fac.source.comments import UNUSED_IGNORE, Ignore, ignores
from fac.spec import errors

if TYPE_CHECKING:
    from fac.backend import Precision


def lint(
    document: Document, settings: Settings, backend: str | None = None, precision: Precision | None = None
) -> tuple[Diagnostic, ...]:
    """All findings that are to be reported, with the severity that the settings give them.

    Args:
        document: of a file, with `--set` applied.
        settings: that hold for the file.
        backend: which also has to be able to run the spec.
        precision: for that backend.

    Raises:
        FacError: there is no such backend.
    """
    found = pipeline.check(document, (), backend, precision, settings.policy)
    kept = _without_ignored(document, found, backend is not None)
    return tuple(
        settings.graded(finding) for finding in kept if settings.reports(finding.rule.code, document.name)
    )


def _without_ignored(
    document: Document, found: tuple[Diagnostic, ...], for_backend: bool
) -> Iterable[Diagnostic]:
    """What no comment asks to leave out, and what is wrong with the comments."""
    comments, invalid = ignores(document, codes())
    if not comments:
        return (*found, *invalid)
    by_line: dict[int | None, list[Ignore]] = {}
    for comment in comments:
        by_line.setdefault(comment.line, []).append(comment)
    used: set[tuple[Ignore, str]] = set()

    def ignored(finding: Diagnostic) -> bool:
        place, code = document.place(finding), finding.rule.code
        near = by_line.get(place.line, []) if isinstance(place, Span) else []
        by = [comment for comment in (*near, *by_line.get(None, ())) if code in comment.codes]
        used.update((comment, code) for comment in by)
        return bool(by)

    kept = [finding for finding in (*found, *invalid) if not ignored(finding)]
    # What `--set` changed is not what the comments of the file are about.
    ran = frozenset[str]() if document.overridden else _ran(found, for_backend)
    unused = list(_unused(comments, used, ran))
    return (*kept, *(finding for finding in unused if not ignored(finding)))


def _unused(
    comments: Iterable[Ignore], used: set[tuple[Ignore, str]], ran: frozenset[str]
) -> Iterator[Diagnostic]:
    """The comments that leave nothing out, of rules that were looked for."""
    for comment in comments:
        idle = [code for code in comment.codes if (comment, code) not in used and code in ran]
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
    """The rules that were looked for: those of a stage only if the stages before it let the spec pass."""
    stages = [
        [rule.code for rule in source.RULES if rule is not UNUSED_IGNORE],
        [rule.code for rule in errors.RULES],
        [rule.code for rule, _ in CHECKS],
        [rule.code for rule, _ in (*ESTIMATES, *COMPILING, *(FOR_BACKEND if for_backend else ()))],
    ]
    stopped = {finding.rule.code for finding in found if finding.rule.severity is Severity.ERROR}
    ran: set[str] = set()
    for stage in stages:
        ran.update(stage)
        if stopped.intersection(stage):
            break
    return frozenset(ran)
