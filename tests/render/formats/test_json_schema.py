"""`--output-format json` is what its published schema says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from fac import pipeline, source
from fac.render.findings import Checked, Report, render
from tests.render.formats.checked import report

ROOT = Path(__file__).parents[3]
VALIDATOR = Draft202012Validator(json.loads((ROOT / "schemas/diagnostics.v1.schema.json").read_text()))
BAD = sorted(ROOT.glob("tests/checks/*/bad.yaml"))


def problems(text: str) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(json.loads(text))]


def test_a_report_of_everything() -> None:
    assert problems(render("json", report())) == []
    assert problems(render("json", Report(()))) == []


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.parent.name)
def test_every_finding_that_there_is(file: Path) -> None:
    document = source.read(file)
    found = pipeline.check(document)
    assert problems(render("json", Report((Checked(document, found),)))) == []


def test_every_key_is_in_the_schema() -> None:
    """And the other way round: one that is added or missing is a problem."""
    data = json.loads(render("json", report()))
    assert problems(json.dumps(data | {"more": 1})) != []
    for key in data:
        assert problems(json.dumps({k: v for k, v in data.items() if k != key})) != []
    (finding, *rest) = data["findings"]
    for key in finding:
        less = {k: v for k, v in finding.items() if k != key}
        assert problems(json.dumps(data | {"findings": [less, *rest]})) != []
