"""A repository of `fac init --ci` with three good specs and a broken topology, in its own CI files, run here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fac.diagnostics import Severity
from tests.ci import specs
from tests.ci.conftest import call, committed
from tests.ci.machine import Job, gitlab
from tests.ci.test_pre_commit import pre_commit
from tests.render.formats.checked import command


@pytest.fixture(scope="module")
def repository(python: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the command writes it, with the specs of a team."""
    folder = tmp_path_factory.mktemp("team")
    call("pip", "install", "--quiet", "fac-compiler", cwd=folder, env=python)
    call("fac", "init", "--ci", cwd=folder, env=python)
    (folder / "specs/digits.fac.yaml").unlink()
    specs.write(folder / "specs")
    committed(folder)
    return folder


def github(repository: Path, temp: Path, python: dict[str, str]) -> Job:
    """The workflow, run to its end."""

    def nothing(inputs: Mapping[str, str]) -> Mapping[str, str]:
        return {}

    names = ("actions/checkout", "actions/setup-python", "github/codeql-action/upload-sarif")
    event = {"repository": {"private": False}}
    job = Job(repository, temp, python, dict.fromkeys(names, nothing), {"github": {"event": event}})
    job.workflow(repository / ".github/workflows/fac.yml")
    return job


def result_of(repository: Path) -> list[Any]:
    (run,) = json.loads((repository / "fac.sarif").read_text())["runs"]
    found: list[Any] = run["results"]
    return found


def test_github(repository: Path, tmp_path: Path, python: dict[str, str]) -> None:
    job = github(repository, tmp_path, python)
    assert job.statuses == [0, 1, 0]  # installation, annotations, SARIF
    (line,) = [line for line in job.log.splitlines() if line.startswith("::")]
    name, properties, message = command(line)
    row, column = map(int, specs.PLACE.split(":"))
    assert name == Severity.ERROR
    assert properties == {
        "title": "fac (FAC201)",
        "file": "specs/broken.fac.yaml",
        "line": str(row),
        "col": str(column),
        "endLine": str(row),
        "endColumn": str(column + len("tsak")),
    }
    written = (repository / "specs/broken.fac.yaml").read_text().splitlines()[row - 1]
    assert written[column - 1 : column + 3] == "tsak"
    assert message.endswith(f"{specs.MESSAGE}\nhelp: {specs.REMEDY}")

    (result,) = result_of(repository)
    place = result["locations"][0]["physicalLocation"]
    assert result["ruleId"] == "FAC201"
    assert place["artifactLocation"]["uri"] == "specs/broken.fac.yaml"
    assert (place["region"]["startLine"], place["region"]["startColumn"]) == (row, column)
    assert job.used[-1] == (
        "github/codeql-action/upload-sarif@v4",
        {"sarif_file": "fac.sarif", "category": "fac"},
    )

    assert job.summary.count("```mermaid\nflowchart TB\n") == 4
    assert "tsak" in job.summary.partition("```mermaid")[2].partition("```")[0]  # the broken one comes first


def test_gitlab(repository: Path, python: dict[str, str]) -> None:
    status, log = gitlab(repository / ".gitlab-ci.yml", python)
    assert status == 1
    assert f"error[FAC201]: {specs.MESSAGE}\n  --> specs/broken.fac.yaml:{specs.PLACE}\n" in log
    (entry,) = json.loads((repository / "fac-code-quality.json").read_text())
    assert entry["check_name"] == "FAC201"
    assert entry["location"] == {"path": "specs/broken.fac.yaml", "lines": {"begin": 16}}


def test_pre_commit(repository: Path, python: dict[str, str]) -> None:
    status, out = pre_commit(repository, python, "run", "--all-files")
    assert status == 1
    assert f"error[FAC201]: {specs.MESSAGE}\n" in out


@pytest.fixture(scope="module")
def mended(repository: Path, python: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository after the fix that the finding suggests, made by hand and by `--fix`."""
    folder = tmp_path_factory.mktemp("mended")
    shutil.copytree(repository, folder, dirs_exist_ok=True)
    specs.mend(folder / "specs")
    by_hand = (folder / "specs/broken.fac.yaml").read_bytes()
    specs.write(folder / "specs")
    call("fac", "check", "--fix", cwd=folder, env=python)
    assert (folder / "specs/broken.fac.yaml").read_bytes() == by_hand
    committed(folder)
    return folder


def test_github_after_the_fix(mended: Path, tmp_path: Path, python: dict[str, str]) -> None:
    job = github(mended, tmp_path, python)
    assert job.statuses == [0, 0, 0], job.log
    assert "::error" not in job.log
    assert "no findings in 4 files" in job.log
    assert result_of(mended) == []
    assert job.summary.count("```mermaid\nflowchart TB\n") == 4


def test_gitlab_after_the_fix(mended: Path, python: dict[str, str]) -> None:
    assert gitlab(mended / ".gitlab-ci.yml", python)[0] == 0
    assert json.loads((mended / "fac-code-quality.json").read_text()) == []


def test_pre_commit_after_the_fix(mended: Path, python: dict[str, str]) -> None:
    status, out = pre_commit(mended, python, "run", "--all-files")
    assert status == 0, out
