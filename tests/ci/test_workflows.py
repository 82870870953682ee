"""The files for CIs are right: actionlint reads those for GitHub, with the actions that lie in the repository."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fac.cli.init import REPOSITORY
from tests.ci.conftest import call
from tests.ci.machine import clean_environment, read

ACTIONLINT = Path(sys.executable).with_name("actionlint")


def actionlint(folder: Path) -> list[str]:
    """The findings in the workflows of a repository, and in the actions that they use from it."""
    ended = subprocess.run([ACTIONLINT, "-oneline"], cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode in (0, 1), ended.stderr
    return ended.stdout.splitlines()


@pytest.fixture
def generated(tmp_path: Path) -> Path:
    """What `fac init --ci` writes."""
    environment = clean_environment(PYTHONPATH=":".join(sys.path))
    call(sys.executable, "-m", "fac", "init", "--ci", tmp_path, cwd=tmp_path, env=environment)
    (tmp_path / ".git").mkdir()
    return tmp_path


def test_this_repository(clone: Path) -> None:
    assert actionlint(clone) == []


def test_a_generated_repository(generated: Path) -> None:
    assert actionlint(generated) == []


def test_this_test_can_fail(clone: Path, tmp_path: Path) -> None:
    """A wrong input of the workflow and a wrong key of the action are found."""
    (tmp_path / ".git").mkdir()
    workflows = tmp_path / ".github/workflows"
    workflows.mkdir(parents=True)
    text = (clone / ".github/workflows/specs.yml").read_text()
    (workflows / "specs.yml").write_text(text.replace("fail-on:", "fail_on:"))
    (tmp_path / "action.yml").write_text(
        (clone / "action.yml").read_text().replace("shell: bash", "shel: bash", 1)
    )
    found = actionlint(tmp_path)
    assert any('input "fail_on" is not defined in action "fac check"' in line for line in found)
    assert any('unexpected key "shel"' in line for line in found)


def test_the_job_for_gitlab(generated: Path) -> None:
    """The keys are those of GitLab; its schema is held against the file by `make test-tools`."""
    (job,) = read(generated / ".gitlab-ci.yml").values()
    assert job.keys() == {"image", "rules", "script", "artifacts"}
    report = job["artifacts"]["reports"]["codequality"]
    assert any(f"--output-format gitlab --output-file {report}" in line for line in job["script"])
    assert job["artifacts"]["when"] == "always"


def test_the_hooks_are_alike(clone: Path, generated: Path) -> None:
    published = read(clone / ".pre-commit-hooks.yaml")
    (own,) = [repo["hooks"] for repo in read(generated / ".pre-commit-config.yaml")["repos"]]
    keys = ("id", "name", "entry", "language", "files", "require_serial", "pass_filenames")
    assert [[hook.get(key) for key in keys] for hook in own] == [
        [hook.get(key) for key in keys] for hook in published
    ]


def test_generated_files_are_in_the_wheel(offline: dict[str, str]) -> None:
    import zipfile

    (wheel,) = Path(offline["PIP_FIND_LINKS"]).glob("fac_compiler-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"fac/cli/{template}" for template in REPOSITORY.values()} <= names
