"""What checks find in the two specs: what is new, what is gone, and what forbids to compare them at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fac.diagnostics import Diagnostic, Severity, Span
from fac.escaping import code, prose
from fac.render.diff.markdown import heading
from fac.render.findings.json import as_json as listed
from fac.render.findings.report import Checked, ordered, summary

ROOM = 5_000
"""Characters of the findings in a comment, beside what changed."""


@dataclass(frozen=True)
class Findings:
    """Those of both specs; None is a spec that does not exist."""

    old: Checked | None
    new: Checked | None

    @property
    def introduced(self) -> list[Diagnostic]:
        """What only the new spec has."""
        return _more(self.new, self.old)

    @property
    def removed(self) -> list[Diagnostic]:
        """What only the old spec has."""
        return _more(self.old, self.new)


def _more(of: Checked | None, than: Checked | None) -> list[Diagnostic]:
    """By rule and message: lines move whenever something is written above them."""
    if of is None:
        return []
    known = Counter((found.rule.code, found.message) for found in (than.findings if than else ()))
    found: list[Diagnostic] = []
    for finding in ordered(of.document, of.findings):
        key = finding.rule.code, finding.message
        if known[key]:
            known[key] -= 1
        else:
            found.append(finding)
    return found


def as_line(findings: Findings) -> str:
    """`findings: 1 new warning (FAC316), 2 gone (FAC303)`; empty if neither, or if the new spec does not exist."""
    parts = []
    for severity in Severity if findings.new else ():
        if found := [d for d in findings.introduced if d.rule.severity is severity]:
            parts.append(f"{len(found)} new {severity}{'s' * (len(found) > 1)} ({_codes(found)})")
    if findings.new and (gone := findings.removed):
        parts.append(f"{len(gone)} gone ({_codes(gone)})")
    return f"findings: {', '.join(parts)}" if parts else ""


def _codes(found: list[Diagnostic]) -> str:
    return ", ".join(sorted({finding.rule.code for finding in found}))


def as_markdown(findings: Findings) -> str:
    """The line, and a list of what is new; empty if there is no line."""
    line = as_line(findings)
    if not line or findings.new is None:
        return ""
    parts = [line.replace("findings", "**Findings**", 1)]
    if new := findings.introduced:
        parts.append(_list(Checked(findings.new.document, tuple(new))))
    return "\n\n".join(parts) + "\n"


def as_json(findings: Findings) -> dict[str, Any]:
    """All of them, as `fac check --json` has them."""

    def rows(checked: Checked | None, found: list[Diagnostic] | None = None) -> list[dict[str, object]]:
        if checked is None:
            return []
        return listed(checked.document, checked.findings if found is None else found)

    return {
        "old": rows(findings.old),
        "new": rows(findings.new),
        "introduced": rows(findings.new, findings.introduced),
        "removed": rows(findings.old, findings.removed),
    }


def refused(title: str, old: Checked | None, new: Checked | None) -> str:
    """A comment that says why a spec was not compared.

    Args:
        title: what the spec is called.
        old: the errors of the old spec; None if it has none.
        new: likewise.
    """
    sides = [(name, side) for name, side in (("old", old), ("new", new)) if side is not None]
    counts = " and ".join(f"the {name} spec has {summary(side.findings)}" for name, side in sides)
    parts = [heading(title), f"> [!CAUTION]\n> **Not compared**: {counts}"]
    for name, side in sides:
        parts += [f"In the {name} spec:"] * (len(sides) > 1)
        parts.append(_list(side))
    return "\n\n".join(parts) + "\n"


def _list(checked: Checked) -> str:
    """Findings with their places, as many as there is room for."""
    shown: list[str] = []
    length = 0
    found = ordered(checked.document, checked.findings)
    for item in _items(checked, found):
        length += len(item) + 1
        if shown and length > ROOM:
            shown.append(f"- … and {len(found) - len(shown):,} more: `fac check` prints them all.")
            break
        shown.append(item)
    return "\n".join(shown)


def _items(checked: Checked, found: list[Diagnostic]) -> Iterator[str]:
    for finding in found:
        place = checked.document.place(finding)
        where = f"line {place.line}, column {place.column}" if isinstance(place, Span) else code(place)
        remedy = f" ({prose(finding.help)})" if finding.help else ""
        yield f"- {finding.rule.severity} {finding.rule.code}, {where}: {prose(finding.message)}{remedy}"
