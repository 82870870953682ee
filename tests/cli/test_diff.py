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
from tests.ci.machine import clean_environment

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


ENDINGS = {"text": "txt", "markdown": "md", "json": "json"}


@pytest.mark.parametrize("form", ENDINGS)
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("expected", "old.fac.yaml", "new.fac.yaml"),
        ("added", "/dev/null", "new.fac.yaml"),
        ("deleted", "old.fac.yaml", "/dev/null"),
        ("refused", "old.fac.yaml", "bad.fac.yaml"),
        ("findings", "bare.fac.yaml", "low.fac.yaml"),
    ],
)
def test_output_to_the_character(
    form: str, name: str, old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(GOLDEN)
    result = diff(old, new, "--output-format", form)
    assert result.exit_code == (name == "refused")
    actual = result.stdout
    if form == "json":
        actual = json.dumps(json.loads(actual), indent=1) + "\n"
    golden = GOLDEN / f"{name}.{ENDINGS[form]}"
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
    assert blocks == 2
    if os.environ.get("FAC_UPDATE_GOLDEN"):
        PAGE.write_text(actual, "utf-8")
    assert actual == page


def test_the_page_names_every_key(spec: Path) -> None:
    printed = json.loads(diff(str(spec), str(spec), "--json").stdout)
    table = PAGE.read_text("utf-8").partition("## `--json`")[2]
    known = {
        key for line in table.splitlines() if line.startswith("| `") for key in re.findall(r"`(\w+)`", line)
    }
    assert {*printed, *printed["cost"], *printed["weight_transport"], *printed["findings"]} <= known


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
    assert run("diff", spec, again, "--exit-code") == (0, f"=== {again} ===\nno difference in meaning\n", "")
    assert run("diff", os.devnull, spec)[0] == 0
    assert run("diff", os.devnull, spec, "--exit-code")[0] == 1


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
        f"=== {other} ===\ndata and training\n ~ train  batch  64 -> 32\n\ncost: the same (batch 8)\n"
    )


# -- findings ----------------------------------------------------------------------------------------------------

FULL = SPEC.replace("rank: 6", "rank: 10")
"""Without the warning that the rank is below the classes."""


def told(old: str, new: str, folder: Path) -> str:
    """The last line of the text."""
    (folder / "old.fac.yaml").write_text(old)
    (folder / "new.fac.yaml").write_text(new)
    return diff(str(folder / "old.fac.yaml"), str(folder / "new.fac.yaml")).stdout.splitlines()[-1]


def test_findings_that_came_and_went(tmp_path: Path) -> None:
    assert told(FULL, SPEC, tmp_path) == "findings: 1 new warning (FAC316)"
    assert told(SPEC, FULL, tmp_path) == "findings: 1 gone (FAC316)"
    idle = FULL.replace("lr: 0.05", "lr: 0.05, nesterov: true")
    assert told(SPEC, idle, tmp_path) == "findings: 1 new warning (FAC314), 1 gone (FAC316)"
    assert told(FULL, idle, tmp_path) == "findings: 1 new warning (FAC314)"
    # What was there before is nothing new, wherever it stands now.
    assert told(SPEC, "# a line\n" + SPEC, tmp_path) == "no difference in meaning"


def test_findings_are_those_that_check_reports(tmp_path: Path) -> None:
    ignored = SPEC.replace("rank: 6}", "rank: 6}  # fac: ignore[FAC316] on purpose")
    assert not told(FULL, ignored, tmp_path).startswith("findings")
    (tmp_path / "fac.toml").write_text("[constraints]\nno_weight_transport = true\n")
    plain = FULL.replace("rule: ldfa, rank: 10", "rule: bp")
    assert told(FULL, plain, tmp_path) == "findings: 1 new error (FAC350)"
    (tmp_path / "fac.toml").write_text('ignore = ["FAC316"]\n')
    assert not told(FULL, SPEC, tmp_path).startswith("findings")


# -- errors ------------------------------------------------------------------------------------------------------


def test_both_specs_may_have_errors(spec: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.fac.yaml"
    bad.write_text(SPEC.replace("kind: relu", "kind: rely").replace("fac: 1", "fac: 1\n<b>@team|`x: 1"))
    result = diff("-", str(bad), "--output-format", "markdown", stdin=SPEC.replace("out: 16", "out: -1"))
    assert result.exit_code == 1
    assert "**Not compared**: the old spec has 1 error and the new spec has 2 errors\n" in result.stdout
    assert "In the old spec:\n\n- error FAC102, line 6, column 36: " in result.stdout
    assert "<b>" not in result.stdout
    assert "@team" not in result.stdout
    assert str(result.exception).count("\n\n") == 2


def test_many_errors_leave_room_in_the_comment(tmp_path: Path) -> None:
    bad = tmp_path / "bad.fac.yaml"
    bad.write_text(SPEC + "".join(f"key_{i}: {i}\n" for i in range(500)))
    comment = diff(os.devnull, str(bad), "--output-format", "markdown").stdout
    assert "the new spec has 500 errors" in comment
    assert len(comment) < 6_000
    assert comment.rstrip().endswith("more: `fac check` prints them all.")


# -- the null device ---------------------------------------------------------------------------------------------


def test_usage(run: Run, spec: Path) -> None:
    cases = {
        ("/dev/null", os.devnull): "only one of the two specs can be the null device",
        (spec, spec, "--json", "--output-format", "markdown"): (
            "--json and --output-format markdown exclude each other"
        ),
        (
            spec,
            spec,
            "--json",
            "--output-format",
            "text",
        ): "--json and --output-format text exclude each other",
        (
            spec,
            spec,
            "--old-name",
            "",
        ): "Invalid value for '--old-name': it is empty: name one, or leave the option out",
    }
    for arguments, message in cases.items():
        status, out, err = run("diff", *arguments)
        assert (status, out) == (2, "")
        assert err.endswith(f"Error: {message}\n")
    assert run("diff", spec, spec, "--json", "--output-format", "json")[0] == 0


def test_an_empty_file_is_no_null_device(run: Run, spec: Path, tmp_path: Path) -> None:
    """It is what is left of a command that failed."""
    empty = tmp_path / "empty.fac.yaml"
    empty.write_text("")
    status, out, err = run("diff", empty, spec)
    assert (status, out) == (1, "")
    assert err.startswith("error[FAC107]: the spec is empty\n")


@pytest.mark.parametrize(
    ("arguments", "title"),
    [
        (("old", "new"), "new"),
        (("old", "-"), "old"),
        (("-", "new"), "new"),
        (("old", "/dev/null"), "old"),
        (("/dev/null", "new"), "new"),
        (("-", "/dev/null"), "<stdin>"),
        (("/dev/null", "-"), "<stdin>"),
        (("old", "new", "--old-name", "was"), "was -> new"),
        (("old", "new", "--old-name", "new"), "new"),
        (("old", "/dev/null", "--old-name", "was"), "was"),
        (("/dev/null", "new", "--old-name", "was"), "new"),
    ],
)
def test_titles(
    arguments: tuple[str, ...], title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("old", "new"):
        Path(name).write_text(SPEC)
    assert diff(*arguments, stdin=SPEC).stdout.splitlines()[0] == f"=== {title} ==="
    found = json.loads(diff(*arguments, "--json", stdin=SPEC).stdout)
    absent = [found[key] is None for key in ("old_file", "new_file")]
    assert absent == [name == "/dev/null" for name in arguments[:2]]


# -- git ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recipes() -> list[str]:
    """The commands of the page: one spec, every spec, a comment."""
    page = PAGE.read_text("utf-8").partition("## With git")[2]
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    lines = [re.sub(r"\s+#.*", "", line) for line in blocks[0].splitlines()]
    return [*lines, *blocks[1:]]


@pytest.fixture(scope="module")
def branch(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[str, str]]:
    """A repository whose branch changes, adds, deletes, moves and breaks specs; runs a command in it."""
    folder = tmp_path_factory.mktemp("repository")
    fac = tmp_path_factory.mktemp("bin") / "fac"
    fac.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fac "$@"\n')
    fac.chmod(0o755)
    environment = clean_environment(
        PATH=f"{fac.parent}{os.pathsep}{os.environ['PATH']}", PYTHONPATH=str(ROOT), LC_ALL="C.UTF-8"
    )

    def sh(command: str) -> tuple[str, str]:
        done = subprocess.run(
            ["sh", "-ec", command], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    def commit() -> None:
        sh("git add --all; git -c user.name=n -c user.email=n@example.org commit --quiet --message m")

    sh("git init --quiet --initial-branch main; mkdir nets")
    for name in ("spec", "gone", "same", "old place", "nets/pure", "broken"):
        (folder / f"{name}.fac.yaml").write_text(SPEC.replace("digits", f"of {name.replace('/', ' ')}"))
    commit()
    sh("git update-ref refs/remotes/origin/main main; git switch --quiet --create branch")

    def edit(name: str, old: str, new: str) -> None:
        file = folder / f"{name}.fac.yaml"
        file.write_text(file.read_text().replace(old, new))

    edit("spec", "rank: 6", "rank: 5")
    edit("broken", "kind: relu", "kind: rely")
    sh("git rm --quiet gone.fac.yaml; git mv nets/pure.fac.yaml pure.fac.yaml")
    sh("git mv 'old place.fac.yaml' 'nets/neuer größer Ort.fac.yaml'")
    edit("nets/neuer größer Ort", "rank: 6", "rank: 7")
    (folder / "added.fac.yaml").write_text(
        "# quite another\nfac: 1\nname: added\ninput: {shape: [3]}\nlayers: [{kind: linear, out: 2}]\n"
        "loss: {kind: mse}\nfeedback: {rule: bp}\nupdate: {rule: adam, lr: 1e-3}\n"
    )
    commit()
    return sh


Branch = Callable[[str], tuple[str, str]]


def test_one_spec_against_another_branch(branch: Branch, recipes: list[str]) -> None:
    assert " ~ through logits  rank  6 -> 5\n" in branch(recipes[0])[0]


def test_every_spec_against_another_branch(branch: Branch, recipes: list[str]) -> None:
    out, err = branch(recipes[1])
    shown = re.findall(r"^=== (.*) ===\n(.*)$", out, re.MULTILINE)
    assert dict(shown) == {
        "added.fac.yaml": "new spec: 1 layer, 8 parameters, 0 feedback parameters",
        "gone.fac.yaml": "deleted spec: 4 layers, 1,210 parameters, 156 feedback parameters",
        "old place.fac.yaml -> nets/neuer größer Ort.fac.yaml": "routes",
        "nets/pure.fac.yaml -> pure.fac.yaml": "no difference in meaning",
        "spec.fac.yaml": "routes",
    }
    assert len(shown) == 5
    assert err.count("error[FAC105]") == err.count("  --> broken.fac.yaml:7:12\n") == err.count("error[") == 1


def test_a_comment(branch: Branch, recipes: list[str]) -> None:
    _, err = branch(recipes[2])
    assert "error[FAC105]" in err
    comment = branch("cat comment.md; rm comment.md")[0]
    titles = re.findall(r"^### fac diff: (.*)$", comment, re.MULTILINE)
    assert sorted(titles) == [
        "`added.fac.yaml`",
        "`broken.fac.yaml`",
        "`gone.fac.yaml`",
        "`nets/pure.fac.yaml -> pure.fac.yaml`",
        "`old place.fac.yaml -> nets/neuer größer Ort.fac.yaml`",
        "`spec.fac.yaml`",
    ]
    assert "| ~ | `through logits` | `rank` | `6` | `5` |\n" in comment
    assert "> **Not compared**: the new spec has 1 error\n" in comment
    assert "- error FAC105, line 7, column 12: no kind is called `rely` (did you mean `relu`?)\n" in comment
