"""Each format of findings for other programs, to the character, and as those programs read it.

`FAC_UPDATE_GOLDEN=1 pytest` writes the expected files anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fac.render.findings import FORMATS, render
from fac.render.findings.portable import rows
from tests.render.formats.checked import ODD, command, file, line_of, report

HERE = Path(__file__).parent
GOLDEN = {"github": "github.txt", "gitlab": "gitlab.json", "sarif": "sarif.json", "junit": "junit.xml"}


def test_every_format_has_its_golden_file() -> None:
    assert set(FORMATS) == {"full", "concise", "json", *GOLDEN}


@pytest.mark.parametrize("name", GOLDEN)
def test_to_the_character(name: str) -> None:
    actual = render(name, report()) + "\n"
    if name == "sarif":  # the pages of the rules have golden files of their own
        log = json.loads(actual)
        driver = log["runs"][0]["tool"]["driver"]
        driver["rules"] = [{"id": rule["id"]} for rule in driver["rules"]]
        driver["version"] = "0"
        actual = json.dumps(log, indent=2) + "\n"
    golden = HERE / GOLDEN[name]
    if os.environ.get("FAC_UPDATE_GOLDEN"):
        golden.write_text(actual)
    assert actual == golden.read_text()


@pytest.mark.parametrize("name", GOLDEN)
def test_a_run_without_findings(name: str) -> None:
    text = render(name, file("good.fac.yaml"))
    assert "FAC3" not in text or name == "junit"
    if name == "github":
        assert text == "no findings in 1 file"
    elif name == "gitlab":
        assert text == "[]"


# -- github ----------------------------------------------------------------------------------------------------


def test_a_command_says_what_the_report_says() -> None:
    *lines, closing = render("github", report()).splitlines()
    assert closing == "4 errors, 1 warning in 5 files, 2 checked in part"
    read = [command(line) for line in lines]
    for (name, properties, message), row in zip(read, rows(report()), strict=False):
        assert name == row.finding.rule.severity
        assert properties["title"] == f"fac ({row.finding.rule.code})"
        assert properties["file"] == row.file
        assert row.finding.rule.code in message
        if row.span is None:
            assert "line" not in properties
        elif row.span.end_line == row.span.line:
            numbers = [properties[key] for key in ("line", "col", "endLine", "endColumn")]
            span = row.span
            assert [int(n) for n in numbers] == [span.line, span.column, span.end_line, span.end_column]
    assert read[-1] == (
        "error",
        {"title": "fac", "file": "specs/missing.fac.yaml"},
        "`specs/missing.fac.yaml` does not exist",
    )


def test_columns_of_a_command_are_those_of_the_text() -> None:
    _, properties, message = command(render("github", report()).splitlines()[0])
    row = next(rows(report()))
    start, end = int(properties["col"]) - 1, int(properties["endColumn"]) - 1
    assert line_of(row.document, int(properties["line"]))[start:end] == "64"
    assert message == (
        "specs/bad.fac.yaml:12:56: FAC301 rank 64 exceeds the 10 directions of the error at `logits`\n"
        "help: use a rank of at most 10"
    )


def test_a_command_over_lines_has_no_columns() -> None:
    found = render("github", report()).splitlines()
    (over,) = [properties for _, properties, message in map(command, found[:-1]) if "over lines" in message]
    assert over == {"title": "fac (FAC301)", "file": ODD, "line": "4", "endLine": "6"}


# -- gitlab ----------------------------------------------------------------------------------------------------


def test_gitlab_has_what_it_asks_for() -> None:
    entries = json.loads(render("gitlab", report()))
    for entry in entries:
        assert entry.keys() == {"check_name", "description", "severity", "fingerprint", "location"}
        assert entry["severity"] in {"info", "minor", "major", "critical", "blocker"}
        assert entry["location"]["lines"]["begin"] >= 1
        assert not entry["location"]["path"].startswith(("/", "./"))
    # An entry with the fingerprint of another one is dropped.
    assert len({entry["fingerprint"] for entry in entries}) == len(entries)
