"""`fac diff` at the command line: its formats to the character, its exit status, and beside git.

`FAC_UPDATE_GOLDEN=1 pytest` writes the expected output and the output in docs/diff.md anew.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fac.cli.diff import COMMAND

Run = Callable[..., tuple[int, str, str]]

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "diff"
PAGE = ROOT / "docs" / "diff.md"


SPEC = """\
fac: 1
name: digits
input: {shape: [8, 8]}
layers:
  - {kind: flatten}
  - {kind: linear, name: fc1, out: 16}
  - {kind: relu}
  - {kind: linear, name: logits, out: 10}
loss: {kind: cross_entropy}
feedback: {rule: ldfa, rank: 6}
update: {rule: sgd, lr: 0.05}
train: {batch: 64}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.fac.yaml"
    path.write_text(SPEC)
    return path


def diff(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(COMMAND, arguments, input=stdin)


@pytest.mark.parametrize(("form", "ending"), [("text", "txt"), ("markdown", "md"), ("json", "json")])
def test_output_to_the_character(form: str, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    result = diff("old.fac.yaml", "new.fac.yaml", "--output-format", form)
    assert result.exit_code == 0
    actual = result.stdout
    if form == "json":
        actual = json.dumps(json.loads(actual), indent=1) + "\n"
    golden = GOLDEN / f"expected.{ending}"
    if os.environ.get("FAC_UPDATE_GOLDEN"):
        golden.write_text(actual, "utf-8")
    assert actual == golden.read_text("utf-8")


def test_the_page_shows_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    page = PAGE.read_text("utf-8")

    def shown(block: re.Match[str]) -> str:
        result = diff(*shlex.split(block[1]))
        assert result.exit_code == 0
        return f"```\n$ fac diff {block[1]}\n{result.stdout}```\n"

    actual, blocks = re.subn(r"^```\n\$ fac diff (.*)\n[^`]*```\n", shown, page, flags=re.MULTILINE)
    assert blocks == 1
    if os.environ.get("FAC_UPDATE_GOLDEN"):
        PAGE.write_text(actual, "utf-8")
    assert actual == page


def test_the_page_names_every_key(spec: Path) -> None:
    printed = json.loads(diff(str(spec), str(spec), "--json").stdout)
    table = PAGE.read_text("utf-8").partition("## `--json`")[2]
    known = {
        key for line in table.splitlines() if line.startswith("| `") for key in re.findall(r"`(\w+)`", line)
    }
    assert {*printed, *printed["cost"], *printed["weight_transport"]} <= known


def test_json_is_one_line(spec: Path) -> None:
    out = diff(str(spec), str(spec), "--json").stdout
    assert out.count("\n") == 1
    found = json.loads(out)
    assert found["old_file"] == found["new_file"] == str(spec)
    assert found["same"] is True


def test_exit_code_is_about_the_meaning(run: Run, spec: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.fac.yaml"
    other.write_text(spec.read_text().replace("rank: 6", "rank: 5"))
    again = tmp_path / "again.fac.yaml"
    again.write_text("# the same\n" + spec.read_text().replace("name: digits", "name: again"))
    assert run("diff", spec, other)[0] == 0
    assert run("diff", spec, other, "--exit-code")[0] == 1
    assert run("diff", spec, again, "--exit-code") == (0, "no difference in meaning\n", "")


def test_findings_of_both_files(run: Run, spec: Path, tmp_path: Path) -> None:
    bad, worse = tmp_path / "bad.fac.yaml", tmp_path / "worse.fac.yaml"
    bad.write_text(spec.read_text().replace("kind: relu", "kind: rely"))
    worse.write_text(spec.read_text().replace("name: fc1", "from: fc9, name: fc1"))
    status, out, err = run("diff", "bad.fac.yaml", "worse.fac.yaml")
    assert (status, out) == (1, "")
    assert "  --> bad.fac.yaml:7:12\n" in err
    assert "  --> worse.fac.yaml:6:26\n" in err
    assert run("diff", spec, bad)[0] == 1


def test_what_cannot_be_read(run: Run, spec: Path) -> None:
    assert run("diff", spec, "nowhere.fac.yaml") == (2, "", "fac: `nowhere.fac.yaml` does not exist\n")
    assert run("diff", "nowhere.fac.yaml", spec)[0] == 2
    status, out, err = run("diff", "-", "-")
    assert (status, out) == (2, "")
    assert err.endswith("Error: only one of the two specs can be read from standard input\n")


@pytest.mark.parametrize("stands", ["old", "new"])
def test_standard_input(stands: str, spec: Path) -> None:
    files = ("-", str(spec)) if stands == "old" else (str(spec), "-")
    other = spec.read_text().replace("rank: 6", "rank: 5")
    result = diff(*files, stdin=other)
    expected = "5 -> 6" if stands == "old" else "6 -> 5"
    assert f" ~ through logits  rank  {expected}\n" in result.stdout
    title = diff(*files, "--output-format", "markdown", stdin=other).stdout.splitlines()[0]
    assert title == f"### fac diff: `{spec}`"


def test_costs_at_another_batch(spec: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.fac.yaml"
    other.write_text(spec.read_text().replace("batch: 64", "batch: 32"))
    found = json.loads(diff(str(spec), str(other), "--json", "--batch", "8").stdout)["cost"]
    assert found["batch"] == {"old": 8, "new": 8}
    assert found["backward_macs"]["percent"] == 0
    assert diff(str(spec), str(other), "--batch", "8").stdout == (
        "data and training\n ~ train  batch  64 -> 32\n\ncost: the same (batch 8)\n"
    )


GIT = ("git", "-c", "user.name=n", "-c", "user.email=n@example.org")


def test_with_git(spec: Path, tmp_path: Path) -> None:
    """The commands of the page, in a repository."""
    page = PAGE.read_text("utf-8")
    shown, tool, loop = re.search(
        r"```sh\n(.*?)\s+#.*\n(.*?)\s+#.*\n```.*```sh\n(.*?)```", page, re.DOTALL
    ).groups()  # type: ignore[union-attr]
    fac = tmp_path / "bin" / "fac"
    fac.parent.mkdir()
    fac.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fac "$@"\n')
    fac.chmod(0o755)
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PATH": f"{fac.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": paths}
    repository = tmp_path / "repository"
    repository.mkdir()

    def sh(command: str) -> str:
        done = subprocess.run(
            ["sh", "-ec", command], cwd=repository, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def git(*words: str) -> str:
        return sh(shlex.join((*GIT, *words)))

    git("init", "--quiet", "--initial-branch", "main")
    (repository / "spec.fac.yaml").write_text(spec.read_text())
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    git("update-ref", "refs/remotes/origin/main", "main")
    git("switch", "--quiet", "--create", "branch")
    (repository / "spec.fac.yaml").write_text(spec.read_text().replace("rank: 6", "rank: 5"))
    git("commit", "--quiet", "--all", "--message", "second")
    expected = " ~ through logits  rank  6 -> 5\n"
    assert expected in sh(shown)
    assert expected in sh(tool)
    sh(loop)
    comment = (repository / "comment.md").read_text("utf-8")
    assert comment.startswith("### fac diff: `spec.fac.yaml`\n")
    assert "| ~ | `through logits` | `rank` | `6` | `5` |\n" in comment
