"""What docs/ci.md shows is what happens. `FAC_UPDATE_GOLDEN=1 pytest` writes what it shows anew."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fac.cli import main
from fac.cli.init import REPOSITORY
from tests.ci import specs
from tests.ci.conftest import ROOT, committed
from tests.ci.test_pre_commit import pre_commit
from tests.ci.test_workflows import actionlint

PAGE = ROOT / "docs/ci.md"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose only spec is the broken one."""
    specs.write(tmp_path / "specs", "broken")
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("STEP_SUMMARY", "SERVER_URL", "REPOSITORY", "SHA"):
        monkeypatch.delenv(f"GITHUB_{name}", raising=False)
    return tmp_path


@pytest.fixture
def fac(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """`fac("check x")` -> what it prints."""

    def run(line: str) -> str:
        command, _, reader = line.partition(" | ")
        monkeypatch.setattr(sys, "argv", ["fac", *shlex.split(command)])
        with pytest.raises(SystemExit):
            main()
        out = capsys.readouterr().out
        if reader:
            assert reader == "jq '.runs[0].results'"
            out = json.dumps(json.loads(out)["runs"][0]["results"], indent=2) + "\n"
        return out

    return run


def replaced(pattern: str, replacement: Callable[[re.Match[str]], str], count: int) -> None:
    """The page is the same after all blocks of a kind are written anew."""
    page = PAGE.read_text("utf-8")
    actual, found = re.subn(pattern, replacement, page, flags=re.MULTILINE)
    assert found == count
    if os.environ.get("FAC_UPDATE_GOLDEN"):
        PAGE.write_text(actual, "utf-8")
    assert actual == page


def test_what_is_printed(folder: Path, fac: Callable[[str], str]) -> None:
    def block(found: re.Match[str]) -> str:
        # A new repository is made outside of others.
        if found[1].startswith("init"):
            (folder / ".git").rmdir()
        text = f"```\n$ fac {found[1]}\n{fac(found[1])}```\n"
        (folder / ".git").mkdir(exist_ok=True)
        shutil.rmtree("nets", ignore_errors=True)
        return text

    replaced(r"^```\n\$ fac (.*)\n(?:(?!```).*\n)*```\n", block, 5)


def test_the_spec(folder: Path) -> None:
    text = (folder / "specs/broken.fac.yaml").read_text()
    replaced(r"^```yaml\nfac: 1\n(?:(?!```).*\n)*```\n", lambda _: f"```yaml\n{text}```\n", 1)


def test_the_summary(folder: Path, fac: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder / "summary.md"))
    fac("check --output-format github")
    text = (folder / "summary.md").read_text().strip()
    replaced(r"^````markdown\n(?:(?!````).*\n)*````\n", lambda _: f"````markdown\n{text}\n````\n", 1)


@pytest.mark.parametrize(
    ("name", "before"),
    [
        (".github/workflows/fac.yml", "`.github/workflows/fac.yml`:"),
        (".gitlab-ci.yml", "and decides:"),
        (".pre-commit-config.yaml", "the package alone:"),
    ],
)
def test_generated_files(folder: Path, fac: Callable[[str], str], name: str, before: str) -> None:
    assert name in REPOSITORY
    fac("init --ci")
    block = f"{before}\n\n```yaml\n{(folder / name).read_text()}```\n"
    replaced(re.escape(before) + r"\n\n```yaml\n(?:(?!```).*\n)*```\n", lambda _: block, 1)


def test_pre_commit(folder: Path, fac: Callable[[str], str], offline: dict[str, str]) -> None:
    (folder / ".git").rmdir()
    fac("init --ci")
    (folder / "specs/digits.fac.yaml").unlink()
    committed(folder)
    pre_commit(folder, offline, "install-hooks")
    _, out = pre_commit(folder, offline, "run", "fac-check", "--all-files")
    block = f"```\n$ pre-commit run fac-check --all-files\n{out.rstrip()}\n```\n"
    replaced(r"^```\n\$ pre-commit run fac-check --all-files\n(?:(?!```).*\n)*```\n", lambda _: block, 1)


def test_the_workflow_with_the_action(clone: Path, tmp_path: Path) -> None:
    (workflow,) = re.findall(
        r"^```yaml\n(name: specs\n(?:(?!```).*\n)*)```\n", PAGE.read_text("utf-8"), re.MULTILINE
    )
    assert workflow.count("OWNER/fac@REVISION") == 1
    (tmp_path / ".git").mkdir()
    (tmp_path / ".github/workflows").mkdir(parents=True)
    (tmp_path / ".github/workflows/specs.yml").write_text(workflow.replace("OWNER/fac@REVISION", "./"))
    (tmp_path / "action.yml").write_text((clone / "action.yml").read_text())
    assert actionlint(tmp_path) == []


def test_the_hook_is_called_so(clone: Path) -> None:
    assert "- id: fac-check\n" in (clone / ".pre-commit-hooks.yaml").read_text()
    assert PAGE.read_text("utf-8").count("- id: fac-check\n") == 2
