"""The test report as others read it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import junitparser

from fac.diagnostics import Diagnostic
from fac.render.findings import Report, render
from fac.source import parse_text
from tests.render.formats.checked import GOOD, ODD, RANK, SAVES, file, report


def suites(of: Report, folder: Path) -> dict[str, junitparser.TestSuite]:
    (folder / "fac.xml").write_text(render("junit", of), encoding="utf-8")
    read = junitparser.JUnitXml.fromfile(str(folder / "fac.xml"))
    return {suite.name or "": suite for suite in read if isinstance(suite, junitparser.TestSuite)}


def test_junit_is_read_by_others(folder: Path) -> None:
    read = suites(report(), folder)
    assert list(read) == [
        *(f"specs/{name}.fac.yaml" for name in ("good", "bad", "broken", "set")),
        ODD,
        "specs/missing.fac.yaml",
    ]
    counts = {
        name: (suite.tests, suite.failures, suite.errors, suite.skipped) for name, suite in read.items()
    }
    assert list(counts.values()) == [
        (4, 0, 0, 0),
        (4, 1, 0, 1),  # costs are not counted
        (4, 1, 0, 3),  # nothing but the text was looked at
        (4, 1, 0, 3),
        (4, 1, 0, 0),
        (1, 0, 1, 0),
    ]
    (failed,) = [case for case in read["specs/bad.fac.yaml"] if case.is_failure]
    (result,) = failed.result
    assert (failed.name, failed.classname) == ("FAC3 Feedback", "specs/bad.fac.yaml")
    assert result.message == "rank 64 exceeds the 10 directions of the error at `logits`"
    assert (
        result.text == f"specs/bad.fac.yaml:12:56: FAC301 {result.message}\n  help: use a rank of at most 10"
    )


def test_warnings_fail_where_the_bar_says_so(folder: Path) -> None:
    from fac.render.findings import Checked

    found = SAVES.at(("loss",), "w")
    below = Report((Checked(parse_text(GOOD, "a.fac.yaml"), (found,)),))
    above = Report((Checked(parse_text(GOOD, "a.fac.yaml"), (found,), lambda finding: True),))
    assert suites(below, folder)["a.fac.yaml"].failures == 0
    assert suites(above, folder)["a.fac.yaml"].failures == 1
    assert "a.fac.yaml:8:7: FAC503 w" in render("junit", below)


def test_junit_needs_no_more_than_xml() -> None:
    root = ElementTree.fromstring(
        render("junit", file("a.fac.yaml", Diagnostic(RANK, (), "\0 \x1b ]]> \ufffe <")))
    )
    (failure,) = root.iter("failure")
    assert failure.get("message") == "\\x00 \\x1b ]]> \\ufffe <"
