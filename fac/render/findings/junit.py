"""`junit`: a test report, which any CI can show. One case for each file and family of rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from unicodedata import category
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from fac.diagnostics import Diagnostic, Severity
from fac.render.findings.concise import concise
from fac.render.findings.portable import Row, path_in, rows_of, sound
from fac.render.findings.report import Checked, Report, summary
from fac.render.rules import FAMILIES
from fac.source import RULES as TEXT_RULES
from fac.spec.errors import RULES as SPEC_RULES

TOOL = "fac check"
READING = frozenset(rule.code for rule in (*TEXT_RULES, *SPEC_RULES))
FOR_BACKEND = "FAC4"
COSTS = "FAC5"


def render(report: Report) -> str:
    """A suite for each file."""
    root = Element("testsuites", name=TOOL)
    for checked in report.checked:
        _suite(root, report, checked)
    for path, message in report.unreadable:
        suite = SubElement(root, "testsuite", name=_text(path_in(report.root, path)))
        case = SubElement(suite, "testcase", classname=suite.get("name", ""), name="The file")
        SubElement(case, "error", message=_text(message), type="unreadable")
    for element in (*root, root):
        cases = list(element.iter("testcase"))
        element.set("tests", str(len(cases)))
        for outcome in ("failure", "error", "skipped"):
            count = sum(case.find(outcome) is not None for case in cases)
            element.set(outcome if outcome == "skipped" else f"{outcome}s", str(count))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode")


def _suite(root: Element, report: Report, checked: Checked) -> None:
    found = list(rows_of(report, checked))
    file = _text(path_in(report.root, checked.document.name))
    suite = SubElement(root, "testsuite", name=file)
    unread = _has_error(row.finding for row in found if row.finding.rule.code in READING)
    for family, title in FAMILIES:
        own = [row for row in found if row.finding.rule.code.startswith(family)]
        if family == FOR_BACKEND and not own:
            continue  # whether a backend was asked for is not known here
        case = SubElement(suite, "testcase", classname=file, name=f"{family} {title}", file=file)
        if own:
            _outcome(case, checked, own)
        elif unread and family != FAMILIES[0][0]:
            SubElement(case, "skipped", message="the file is not a spec")
        elif family == COSTS and _has_error(checked.findings):
            SubElement(case, "skipped", message="costs are counted in specs without errors only")


def _outcome(case: Element, checked: Checked, own: list[Row]) -> None:
    """A failure if a finding is at the bar; other findings are output."""
    failing = [row for row in own if checked.fails(row.finding)]
    if failing:
        first = failing[0]
        if first.span:
            case.set("line", str(first.span.line))
        more = f" (and {len(failing) - 1} more)" if len(failing) > 1 else ""
        kind = summary([first.finding]).split()[1]
        failure = SubElement(case, "failure", message=_text(first.message) + more, type=kind)
        failure.text = _text("\n".join(_lines(checked, failing)))
    rest = [row for row in own if row not in failing]
    if rest:
        SubElement(case, "system-out").text = _text("\n".join(_lines(checked, rest)))


def _lines(checked: Checked, own: Iterable[Row]) -> Iterator[str]:
    for row in own:
        yield concise(checked.document, [row.finding])
        if row.finding.help:
            yield f"  help: {row.finding.help}"


def _has_error(findings: Iterable[Diagnostic]) -> bool:
    return any(finding.rule.severity is Severity.ERROR for finding in findings)


def _text(text: str) -> str:
    """The text without what XML cannot hold, even escaped."""
    return "".join(
        "�" if (category(c) == "Cc" and c not in "\t\n\r") or c in "\ufffe\uffff" else c for c in sound(text)
    )
