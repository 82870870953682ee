"""`action.yml`: its steps as a runner takes them, in a repository of somebody else."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.ci import specs
from tests.ci.machine import Job, read
from tests.render.formats.checked import command

VERSION = version("fac-compiler")
"""What an index has; the same as this tree, from which it is built again each time."""


@pytest.fixture(scope="module")
def temp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for what a job needs, one for all tests here: an installation takes its time."""
    return tmp_path_factory.mktemp("runner")


PYTHON = f"""\
#!/bin/sh
[ "$1 $2" != "-m venv" ] || [ ! -x "$3/bin/python" ] || exit 0
exec {shlex.quote(sys.executable)} "$@"
"""
"""This Python, but that an environment that is there is not made once more."""


def job(workspace: Path, temp: Path, environment: Mapping[str, str]) -> Job:
    """A job that has run nothing yet."""
    for file in temp.glob("*-[0-9]*"):
        file.unlink()
    python = temp / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)

    def setup_python(inputs: Mapping[str, str]) -> Mapping[str, str]:
        assert inputs["update-environment"] == "False"
        return {"python-path": str(python)}

    def nothing(inputs: Mapping[str, str]) -> Mapping[str, str]:
        return {}

    actions = {"actions/setup-python": setup_python, "github/codeql-action/upload-sarif": nothing}
    return Job(workspace, temp, environment, actions | {"actions/checkout": nothing})


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    specs.write(tmp_path / "my specs")
    (tmp_path / ".git").mkdir()
    return tmp_path


def test_findings(clone: Path, repository: Path, temp: Path, offline: dict[str, str]) -> None:
    ran = job(repository, temp, offline)
    ran.composite(clone, {"paths": "  my specs \r\n\n", "sarif": "out.sarif"})
    assert ran.failed
    (line,) = [line for line in ran.log.splitlines() if line.startswith("::")]
    name, properties, message = command(line)
    row, column = specs.PLACE.split(":")
    assert (name, properties["file"]) == ("error", "my specs/broken.fac.yaml")
    assert (properties["line"], properties["col"]) == (row, column)
    assert message.endswith(f"FAC201 {specs.MESSAGE}\nhelp: {specs.REMEDY}")
    assert "1 error in 4 files" in ran.log

    (run,) = json.loads((repository / "out.sarif").read_text())["runs"]
    (result,) = run["results"]
    place = result["locations"][0]["physicalLocation"]
    assert (result["ruleId"], place["artifactLocation"]["uri"]) == ("FAC201", "my%20specs/broken.fac.yaml")
    assert ran.used[-1] == (
        "github/codeql-action/upload-sarif@v4",
        {"sarif_file": "out.sarif", "category": "fac"},
    )

    assert ran.summary.count("### fac check: 1 error in 4 files\n") == 1
    assert ran.summary.count("```mermaid\nflowchart TB\n") == 4


def test_no_findings(clone: Path, repository: Path, temp: Path, offline: dict[str, str]) -> None:
    specs.mend(repository / "my specs")
    ran = job(repository, temp, offline)
    ran.composite(clone, {"version": VERSION})
    assert not ran.failed, ran.log
    assert "no findings in 4 files" in ran.log
    assert [name.split("@")[0] for name, _ in ran.used] == ["actions/setup-python"]  # no SARIF was asked for
    assert ran.summary.startswith("\n### fac check: no findings in 4 files\n")


def test_what_could_not_be_checked(
    clone: Path, repository: Path, temp: Path, offline: dict[str, str]
) -> None:
    ran = job(repository, temp, offline)
    ran.composite(clone, {"paths": "none.fac.yaml", "sarif": "out.sarif", "version": VERSION})
    assert ran.failed
    assert ran.log.count("fac: `none.fac.yaml` does not exist") == 1


@pytest.mark.parametrize("sarif", ["no/such/folder.sarif", "my specs/exact.fac.yaml"])
def test_a_report_that_cannot_be_written(
    clone: Path, repository: Path, temp: Path, offline: dict[str, str], sarif: str
) -> None:
    specs.mend(repository / "my specs")
    before = (repository / "my specs/exact.fac.yaml").read_text()
    ran = job(repository, temp, offline)
    ran.composite(clone, {"sarif": sarif, "version": VERSION})
    assert ran.statuses == [0, 2]
    assert "::error title=fac::the SARIF file could not be written" in ran.log
    assert (repository / "my specs/exact.fac.yaml").read_text() == before


def test_a_warning_fails_if_asked(clone: Path, repository: Path, temp: Path, offline: dict[str, str]) -> None:
    spec = repository / "my specs/exact.fac.yaml"
    spec.write_text(spec.read_text().replace("  - {kind: relu}\n", "", 1))
    specs.mend(repository / "my specs")
    ran = job(repository, temp, offline)
    ran.composite(clone, {"fail-on": "warning", "version": VERSION})
    assert ran.statuses == [0, 1], ran.log
    assert "::warning title=fac (FAC" in ran.log
    assert "::error" not in ran.log


def test_a_version_that_the_index_has_not(
    clone: Path, repository: Path, temp: Path, offline: dict[str, str]
) -> None:
    ran = job(repository, temp, offline)
    ran.composite(clone, {"version": "0.0.0.dev1"})
    assert ran.failed
    assert "fac-compiler==0.0.0.dev1" in ran.log


def test_the_workflow_of_this_repository(clone: Path, temp: Path, offline: dict[str, str]) -> None:
    ran = job(clone, temp, offline)
    ran.workflow(clone / ".github/workflows/specs.yml")
    assert not ran.failed, ran.log
    count = len(list((clone / "examples").rglob("*.fac.yaml")))
    assert f"no findings in {count} files" in ran.log


def test_inputs_are_documented(clone: Path) -> None:
    page = (clone / "docs/ci.md").read_text()
    for name, about in read(clone / "action.yml")["inputs"].items():
        assert about["description"]
        assert f"| `{name}` |" in page
