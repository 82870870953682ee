"""`junit`: a test report, which any CI can show. One case for each file and family of rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from fac.escaping import in_xml, visible
from fac.render.findings.concise import concise
from fac.render.findings.portable import Row, path_in, rows_of
from fac.render.findings.report import Checked, Report
from fac.render.rules import FAMILIES

TOOL = "fac check"
FOR_BACKEND = "FAC4"


def render(report: Report) -> str:
    """A suite for each file."""
    root = Element("testsuites", name=TOOL)
    for checked in report.checked:
        _suite(root, report, checked)
    for path, message in report.unreadable:
        suite = SubElement(root, "testsuite", name=in_xml(path_in(report.root, path)))
        case = SubElement(suite, "testcase", classname=suite.get("name", ""), name="The file")
        SubElement(case, "error", message=in_xml(visible(message)), type="unreadable")
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
    file = in_xml(path_in(report.root, checked.document.name))
    suite = SubElement(root, "testsuite", name=file)
    for family, title in FAMILIES:
        own = [row for row in found if row.finding.rule.code.startswith(family)]
        if family == FOR_BACKEND and not own:
            continue  # whether a backend was asked for is not known here
        case = SubElement(suite, "testcase", classname=file, name=f"{family} {title}", file=file)
        if own:
            _outcome(case, checked, own)
        elif not checked.looked_for(family):
            costs = "costs are counted in specs without errors only"
            reason = "the file is not a spec" if checked.in_part else costs
            SubElement(case, "skipped", message=reason)


def _outcome(case: Element, checked: Checked, own: list[Row]) -> None:
    """A failure if a finding is at the bar; other findings are output."""
    failing = [row for row in own if checked.fails(row.finding)]
    if failing:
        first = failing[0]
        if first.span:
            case.set("line", str(first.span.line))
        more = f" (and {len(failing) - 1} more)" if len(failing) > 1 else ""
        kind = first.finding.rule.severity.value
        failure = SubElement(case, "failure", message=in_xml(first.message) + more, type=kind)
        failure.text = in_xml("\n".join(_lines(checked, failing)))
    rest = [row for row in own if not checked.fails(row.finding)]
    if rest:
        SubElement(case, "system-out").text = in_xml("\n".join(_lines(checked, rest)))


def _lines(checked: Checked, own: Iterable[Row]) -> Iterator[str]:
    for row in own:
        yield concise(checked.document, [row.finding])
        if row.finding.help:
            yield f"  help: {visible(row.finding.help)}"
