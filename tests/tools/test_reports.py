"""Reports of findings, and the files for CIs, as programs of others read them."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from fac.cli.check import COMMAND as CHECK
from fac.cli.init import COMMAND as INIT
from tests.tools.conftest import ROOT, environment, program

NAMES = ("FAC103", "FAC201", "FAC301", "FAC316")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Bad specs, and their findings in each format."""
    for name in NAMES:
        text = (ROOT / f"tests/checks/{name}/bad.yaml").read_text()
        (tmp_path / f"{name}, bad.fac.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    for output in ("json", "sarif", "gitlab"):
        CliRunner().invoke(CHECK, ["--output-format", output, "--output-file", f"fac.{output}"])
    return tmp_path


def run(name: str, *arguments: object) -> str:
    """Run a program that has to succeed; what it printed."""
    command = [str(program(name)), *map(str, arguments)]
    ended = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_sarif_tools_reads_the_findings(folder: Path) -> None:
    run("sarif", "csv", "--output", "fac.csv", "fac.sarif")
    with open("fac.csv", newline="", encoding="utf-8") as file:
        read = {
            (row["Code"], row["Severity"], row["Location"], int(row["Line"])) for row in csv.DictReader(file)
        }
    found = json.loads(Path("fac.json").read_text())["findings"]
    assert len({row["code"] for row in found}) == len(NAMES)
    expected = {
        (row["code"], row["severity"], row["file"].replace(" ", "%20").replace(",", "%2C"), row["line"])
        for row in found
    }
    assert read == expected


def test_sarif_tools_makes_the_report_for_gitlab_from_it(folder: Path) -> None:
    run("sarif", "codeclimate", "--output", "other.json", "fac.sarif")
    other = json.loads(Path("other.json").read_text())
    own = json.loads(Path("fac.gitlab").read_text())
    assert sorted(entry["location"]["lines"]["begin"] for entry in other) == sorted(
        entry["location"]["lines"]["begin"] for entry in own
    )
    assert {entry["check_name"] for entry in own} == set(NAMES)


def test_nothing_differs_when_lines_move(folder: Path) -> None:
    for file in folder.glob("*.yaml"):
        file.write_text("# a comment\n\n" + file.read_text())
    CliRunner().invoke(CHECK, ["--output-format", "sarif", "--output-file", "moved.sarif"])
    run("sarif", "--check", "warning", "diff", "fac.sarif", "moved.sarif")


@pytest.mark.parametrize(
    ("schema", "name"),
    [("github-workflows", ".github/workflows/fac.yml"), ("gitlab-ci", ".gitlab-ci.yml")],
)
def test_generated_files_follow_their_schemas(folder: Path, schema: str, name: str) -> None:
    CliRunner().invoke(INIT, ["--ci"], catch_exceptions=False)
    run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", name)


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        ("github-actions", "action.yml"),
        ("github-workflows", ".github/workflows/specs.yml"),
        ("github-workflows", ".github/workflows/bench.yml"),
    ],
)
def test_own_files_follow_their_schemas(schema: str, name: str) -> None:
    run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", ROOT / name)
