"""`fac check`: what it reads, what it prints, and its exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fac.cli.check import COMMAND

GOOD = """\
fac: 1
name: example
input: {shape: [6]}
layers:
  - {kind: linear, name: fc1, out: 8}
  - {kind: relu}
  - {kind: linear, name: logits, out: 4}
loss: {kind: cross_entropy}
update: {rule: sgd, lr: 0.1}
"""
BAD = GOOD.replace("kind: relu", "kind: relu, from: fc2")
WARNED = GOOD.replace("name: logits", "name: logits, from: fc1")
"""FAC205 on line 6."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FAC_OUTPUT_FORMAT", raising=False)
    for name, text in {"good": GOOD, "bad": BAD, "warned": WARNED}.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def check(*arguments: str, stdin: str | None = None, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(COMMAND, arguments, input=stdin, env=env)


def test_errors_exit_1() -> None:
    result = check("bad.yaml")
    assert result.exit_code == 1
    assert result.stdout == (
        "error[FAC201]: no layer is called `fc2`\n"
        "  --> bad.yaml:6:24\n"
        "   6 |   - {kind: relu, from: fc2}\n"
        "     |                        ^^^\n"
        "     = help: did you mean `fc1`?\n"
        "\n"
        "1 error in 1 file\n"
    )


def test_warnings_exit_0() -> None:
    result = check("warned.yaml")
    assert result.exit_code == 0
    assert result.stdout.endswith("\n\n1 warning in 1 file\n")


def test_several_files_are_summed_up() -> None:
    result = check("bad.yaml", "warned.yaml", "good.yaml")
    assert result.exit_code == 1
    assert result.stdout.endswith("\n\n1 error, 1 warning in 3 files\n")


def test_a_folder_stands_for_the_specs_in_it(folder: Path) -> None:
    for name in (
        "a.fac.yaml",
        "deep/b.fac.yml",
        "deep/c.fac.json",
        ".venv/d.fac.yaml",
        "e.yaml",
        "f.fac.txt",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}" if name.endswith("json") else GOOD)
    result = check("--json")
    assert json.loads(result.stdout)["files"] == ["a.fac.yaml", "deep/b.fac.yml", "deep/c.fac.json"]
    assert check("deep", "--json").exit_code == 1, "`{}` is no spec"
    assert check("a.fac.yaml", "good.yaml").stdout == "no findings in 2 files\n"


def test_a_folder_without_specs_cannot_be_checked() -> None:
    result = check(".")
    assert result.exit_code == 2
    assert "in the folder `.`" in result.stderr


def test_standard_input() -> None:
    result = check("-", "--output-format", "concise", stdin=BAD)
    assert result.exit_code == 1
    assert result.stdout == "<stdin>:6:24: FAC201 no layer is called `fc2`\n1 error in 1 file\n"


def test_a_missing_file_does_not_hide_the_others() -> None:
    result = check("nowhere.yaml", "bad.yaml")
    assert result.exit_code == 2
    assert result.stderr == "fac: `nowhere.yaml` does not exist\n"
    assert "FAC201" in result.stdout


def test_json_is_one_object_on_one_line() -> None:
    result = check("bad.yaml", "--json")
    assert result.stdout.count("\n") == 1
    report = json.loads(result.stdout)
    (finding,) = report.pop("findings")
    assert report == {
        "files": ["bad.yaml"],
        "unreadable": [],
        "checked_in_part": [],
        "errors": 1,
        "warnings": 0,
        "ignored": 0,
    }
    assert finding == {
        "code": "FAC201",
        "name": "unknown-name",
        "severity": "error",
        "message": "no layer is called `fc2`",
        "help": "did you mean `fc1`?",
        "file": "bad.yaml",
        "line": 6,
        "column": 24,
        "end_line": 6,
        "end_column": 27,
        "path": "layers[1].from",
        "set": None,
        "fix": None,
    }
    assert check("bad.yaml", "--output-format", "json").stdout == result.stdout
    assert check("bad.yaml", env={"FAC_OUTPUT_FORMAT": "json"}).stdout == result.stdout


def test_set_edits_before_checking() -> None:
    assert check("bad.yaml", "--set", "layers[1].from=fc1").exit_code == 0
    result = check("good.yaml", "--set", "layers.fc1.out=-1")
    assert result.exit_code == 1
    assert result.stdout == (
        "error[FAC102]: `out` must be greater than 0, is -1\n"
        "  --> good.yaml (--set layers.fc1.out=-1)\n"
        "     = help: write at least 1\n"
        "\n"
        "1 error in 1 file, checked in part\n"
    )


def test_set_can_make_a_finding_of_the_checks() -> None:
    result = check(
        "good.yaml", "--output-format=concise", "--set", "feedback.rule=fa", "--set", "feedback.nodes=fc2"
    )
    assert result.stdout == (
        "good.yaml (--set feedback.nodes=fc2): FAC209 no layer with weights matches `fc2`\n1 error in 1 file\n"
    )


def test_json_names_the_spec_and_the_assignment() -> None:
    result = check("good.yaml", "warned.yaml", "--set", "constraints.no_weight_transport=true", "--json")
    found = [f for f in json.loads(result.stdout)["findings"] if f["set"]]
    assert {f["file"] for f in found} == {"good.yaml", "warned.yaml"}
    assert {(f["set"], f["line"]) for f in found} == {("constraints.no_weight_transport=true", None)}


def test_each_file_is_checked_once(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub/a.fac.yaml").write_text(GOOD)
    arguments = ("sub", "sub/a.fac.yaml", "./sub/../sub", "good.yaml", str(folder / "good.yaml"), "--json")
    assert json.loads(check(*arguments).stdout)["files"] == ["sub/a.fac.yaml", "good.yaml"]
    assert check("-", "-", stdin=GOOD).stdout == "no findings in 1 file\n"


def test_json_lists_what_could_not_be_read(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep/a.fac.yaml").write_bytes(b"name: caf\xe9\n")
    (folder / "deep/b.fac.yaml").write_text(GOOD)
    result = check("nowhere.yaml", "deep", "--json")
    assert result.exit_code == 2
    report = json.loads(result.stdout)
    assert report["unreadable"] == [
        {"path": "nowhere.yaml", "message": "`nowhere.yaml` does not exist"},
        {"path": "deep/a.fac.yaml", "message": "`deep/a.fac.yaml` is not UTF-8 text: byte 0xe9 on line 1"},
    ]
    assert report["files"] == ["deep/b.fac.yaml"], "one bad file of a folder does not hide the others"


def test_a_set_that_makes_no_sense_is_told_once() -> None:
    result = check("good.yaml", "warned.yaml", "--set", "lr", "--json")
    assert result.exit_code == 2
    assert result.stderr.count("is not of the form") == 1
    assert [u["path"] for u in json.loads(result.stdout)["unreadable"]] == ["good.yaml", "warned.yaml"]


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("layers.fc9.out=4", "no item of `layers` is called `fc9`; did you mean `fc1`?"),
        ("lr", "is not of the form `key=value`"),
    ],
)
def test_a_set_that_makes_no_sense_exits_2(assignment: str, message: str) -> None:
    result = check("good.yaml", "--set", assignment)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "no file could be checked" in result.stdout


def test_no_colour_where_nobody_looks() -> None:
    assert "\x1b" not in check("bad.yaml").stdout


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["check", "good.yaml"], 0),
        (["check", "bad.yaml"], 1),
        (["check", "nowhere.yaml"], 2),
        (["check", "--wrong"], 2),
        (["rule", "FAC999"], 2),
        (["rule", "FAC301"], 0),
        (["init", "good.yaml"], 2),
    ],
)
def test_exit_status_of_the_process(arguments: list[str], status: int) -> None:
    run = subprocess.run([sys.executable, "-m", "fac", *arguments], capture_output=True, text=True)
    assert run.returncode == status
    assert "Traceback" not in run.stderr
    assert (not run.stderr) == (status < 2)
