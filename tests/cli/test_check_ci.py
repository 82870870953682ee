"""`fac check` on the machine of a CI: paths from the top of the repository, and GitHub's step summary."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import DIGITS

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def repository(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a good and a bad spec; the current folder is one within it."""
    (tmp_path / ".git").write_text("gitdir: elsewhere\n")
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs/good.fac.yaml").write_text(DIGITS)
    (tmp_path / "specs/bad.fac.yaml").write_text(DIGITS.replace("rule: ldfa", "rule: ldfb"))
    monkeypatch.chdir(tmp_path / "specs")
    for name in ("SERVER_URL", "REPOSITORY", "SHA"):
        monkeypatch.delenv(f"GITHUB_{name}", raising=False)
    return tmp_path


@pytest.fixture
def page(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the step summary, which does not exist yet."""
    file = repository / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    return file


@pytest.mark.parametrize("output", ["github", "gitlab", "sarif", "junit"])
def test_paths_start_at_the_top_of_the_repository(run: Run, repository: Path, output: str) -> None:
    _, out, _ = run("check", "--output-format", output)
    assert "specs/bad.fac.yaml" in out
    assert str(repository) not in out


@pytest.mark.parametrize(("output", "status"), [("github", 1), ("gitlab", 1), ("junit", 1), ("sarif", 1)])
def test_exit_status(run: Run, repository: Path, output: str, status: int) -> None:
    assert run("check", "--output-format", output)[0] == status
    assert run("check", "--output-format", output, "good.fac.yaml")[0] == 0
    assert run("check", "--output-format", output, "none.fac.yaml")[0] == 2


def test_a_run_without_files_is_still_a_report(run: Run, repository: Path) -> None:
    status, out, err = run("check", "--output-format", "sarif", "none.fac.yaml")
    assert status == 2
    assert json.loads(out)["runs"][0]["invocations"][0]["executionSuccessful"] is False
    assert err == "fac: `none.fac.yaml` does not exist\n"


def test_the_summary_is_appended(run: Run, page: Path) -> None:
    page.write_text("before\n")
    status, _, err = run("check", "--output-format", "github")
    assert (status, err) == (1, "")
    text = page.read_text()
    assert text.startswith("before\n\n### fac check: 1 error in 2 files, 1 checked in part\n")
    assert text.count("### fac check") == 1
    assert text.count("```mermaid") == 1  # the bad one is not a spec
    run("check", "--output-format", "github", "good.fac.yaml")
    assert page.read_text().startswith(f"{text}\n### fac check: no findings in 1 file\n")


def test_other_formats_write_no_summary(run: Run, page: Path) -> None:
    for output in ("full", "sarif", "json"):
        run("check", "--output-format", output)
    assert not page.exists()


def test_findings_are_linked(run: Run, page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("SERVER_URL", "https://example.org"), ("REPOSITORY", "a/b"), ("SHA", "c0ffee")):
        monkeypatch.setenv(f"GITHUB_{name}", value)
    run("check", "--output-format", "github")
    assert "](https://example.org/a/b/blob/c0ffee/specs/bad.fac.yaml#L11)" in page.read_text()


def test_a_summary_that_cannot_be_written_is_one_message(
    run: Run, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(repository / "no/such/folder.md")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", place)
    status, out, err = run("check", "--output-format", "github")
    assert status == 1
    assert out.startswith("::error title=fac (FAC105),file=specs/bad.fac.yaml,")
    assert err == f"fac: the step summary `{place}` cannot be written: no such file or directory\n"
    assert run("check", "--output-format", "github", "good.fac.yaml")[0] == 0


def test_a_full_summary_is_one_message(run: Run, page: Path) -> None:
    page.write_text("x" * 999_900)
    status, _, err = run("check", "--output-format", "github")
    assert (status, err) == (1, f"fac: the step summary `{page}` is full\n")
    assert os.path.getsize(page) == 999_900


def test_what_is_too_large_is_not_drawn(run: Run, page: Path) -> None:
    layers = "".join("  - {kind: relu}\n" for _ in range(2_000))
    text = Path("good.fac.yaml").read_text().replace("layers:\n", f"layers:\n{layers}", 1)
    Path("deep.fac.yaml").write_text(text)
    run("check", "--output-format", "github", "good.fac.yaml")
    assert page.read_text().count("```mermaid") == 1
    run("check", "--output-format", "github", "deep.fac.yaml")
    assert page.read_text().count("```mermaid") == 1
    assert "Not drawn: it is no spec yet, or too large." in page.read_text()
