"""`fac check`: its options, and settings files as a run sees them."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_check import GOOD, WARNED, check
from tests.forked import python

BAD = GOOD.replace("out: 4", "out: 1").replace("lr: 0.1", "lr: 0.1, groups: [{match: x, lr_scale: 2}]")
"""FAC207 on line 8, FAC208 on line 9."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FAC_OUTPUT_FORMAT", raising=False)
    for name, text in {"good": GOOD, "bad": BAD, "warned": WARNED}.items():
        (tmp_path / f"{name}.fac.yaml").write_text(text)
    return tmp_path


def fac(*arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, for messages of the command line as a whole."""
    return python(Path.cwd(), "-m", "fac", *arguments)


def codes(*arguments: str) -> list[str]:
    return [row["code"] for row in json.loads(check(*arguments, "--json").stdout)["findings"]]


# -- which findings ------------------------------------------------------------------------------------------------


def test_select_and_ignore() -> None:
    assert codes("bad.fac.yaml", "warned.fac.yaml") == ["FAC207", "FAC208", "FAC205"]
    assert codes(".", "--ignore", "FAC208") == ["FAC207", "FAC205"]
    assert codes(".", "--ignore", "FAC208,unread-layer") == ["FAC207"]
    assert codes(".", "--ignore", "FAC1", "--ignore", "FAC2") == []
    assert codes("warned.fac.yaml", "--select", "FAC3") == []
    assert codes("warned.fac.yaml", "--select", "FAC3", "--select", "fac205") == ["FAC205"]


def test_what_is_ignored_does_not_fail() -> None:
    assert check("bad.fac.yaml").exit_code == 1
    result = check("bad.fac.yaml", "--ignore", "FAC207,FAC208")
    assert (result.exit_code, result.stdout) == (0, "no findings in 1 file\n")


@pytest.mark.parametrize("option", ["--select", "--ignore"])
def test_an_unknown_code(option: str) -> None:
    ended = fac("check", "good.fac.yaml", option, "FAC3010")
    assert ended.returncode == 2
    assert ended.stderr == f"fac: `{option}`: no rule is called `FAC3010`; did you mean `FAC301`?\n"
    assert ended.stdout == ""


# -- exit status ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("warned.fac.yaml",), 0),
        (("warned.fac.yaml", "--fail-on", "error"), 0),
        (("warned.fac.yaml", "--fail-on", "warning"), 1),
        (("good.fac.yaml", "--fail-on", "warning"), 0),
        (("bad.fac.yaml", "--exit-zero"), 0),
        (("bad.fac.yaml", "nowhere.yaml", "--exit-zero"), 2),
        (("bad.fac.yaml", "--output-format", "sarif"), 1),
        (("bad.fac.yaml", "--output-format", "sarif", "--exit-zero"), 0),
        (("bad.fac.yaml", "nowhere.yaml", "--output-format", "sarif"), 2),
        (("good.fac.yaml", "--fail-on", "never"), 2),
        (("good.fac.yaml", "--config", "nowhere.toml"), 1),
    ],
)
def test_exit_status(arguments: tuple[str, ...], status: int) -> None:
    assert check(*arguments).exit_code == status


def test_the_bar_of_each_file_is_its_own(folder: Path) -> None:
    (folder / "strict").mkdir()
    (folder / "strict/fac.toml").write_text("fail-on = 'warning'\n")
    (folder / "strict/warned.fac.yaml").write_text(WARNED)
    assert check("warned.fac.yaml", "strict").exit_code == 1
    assert check("strict", "--fail-on", "error").exit_code == 0


# -- output --------------------------------------------------------------------------------------------------------


def test_output_file(folder: Path) -> None:
    result = check("bad.fac.yaml", "good.fac.yaml", "--output-file", "report.txt")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "fac: 2 errors in 2 files: see `report.txt`\n"
    assert (folder / "report.txt").read_text() == check("bad.fac.yaml", "good.fac.yaml").stdout
    assert sorted(p.name for p in folder.iterdir() if "report" in p.name) == ["report.txt"]


def test_output_file_follows_no_link_out_of_its_folder(tmp_path: Path, folder: Path) -> None:
    """In a CI the report has a name that anybody knows, and a link of that name may come with what is checked."""
    (folder / "checked").mkdir()
    (folder / "precious").write_text("mine")
    (folder / "checked/report.json").symlink_to("../precious")
    ended = fac("check", "good.fac.yaml", "--json", "--output-file", "checked/report.json")
    assert ended.returncode == 2
    assert "`checked/report.json` is a link that leads out of its folder" in ended.stderr
    assert (tmp_path / "precious").read_text() == "mine"


def test_output_file_replaces_what_a_link_leads_to(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "report.json").symlink_to(folder / "deep/real.json")
    check("good.fac.yaml", "--json", "--output-file", "report.json")
    assert (folder / "report.json").is_symlink()
    assert json.loads((folder / "deep/real.json").read_text())["files"] == ["good.fac.yaml"]


def test_output_file_may_be_a_device() -> None:
    assert check("good.fac.yaml", "--output-file", os.devnull).exit_code == 0
    assert not Path(os.devnull).is_file()


def test_output_file_that_cannot_be_written(folder: Path) -> None:
    (folder / "kept.txt").write_text("before")
    ended = fac("check", "good.fac.yaml", "--output-file", "nowhere/report.txt")
    assert ended.returncode == 2
    assert ended.stderr == "fac: cannot write `nowhere/report.txt`: no such file or directory\n"
    ended = fac("check", "good.fac.yaml", "--output-file", ".")
    assert ended.stderr == "fac: cannot write `.`: is a directory\n"


@pytest.mark.parametrize("name", ["good.fac.yaml", "new.fac.yml", "net.yaml", "link"])
def test_output_file_over_a_spec(folder: Path, name: str) -> None:
    (folder / "net.yaml").write_text(GOOD)
    (folder / "link").symlink_to("net.yaml")
    result = check("net.yaml", "bad.fac.yaml", "--output-file", name)
    assert result.exit_code == 2
    assert f"--output-file would write findings over `{name}`, which is a spec" in result.stderr
    assert (folder / "good.fac.yaml").read_text() == (folder / "net.yaml").read_text() == GOOD
    assert not (folder / "new.fac.yml").exists()


def test_format_by_option_then_environment_then_file(folder: Path) -> None:
    (folder / "fac.toml").write_text("output-format = 'concise'\n")
    assert check("bad.fac.yaml").stdout.startswith("bad.fac.yaml:8:14: FAC207")
    env = {"FAC_OUTPUT_FORMAT": "json"}
    assert check("bad.fac.yaml", env=env).stdout.startswith("{")
    assert check("bad.fac.yaml", "--output-format", "full", env=env).stdout.startswith("error[FAC207]")


def test_statistics() -> None:
    result = check(".", "--statistics")
    assert result.exit_code == 1
    assert result.stdout == (
        " code    name                   severity  findings\n"
        " FAC205  unread-layer           warning          1\n"
        " FAC207  loss-output-mismatch   error            1\n"
        " FAC208  group-matches-nothing  error            1\n"
        "\n"
        "2 errors, 1 warning in 3 files\n"
    )
    assert check("good.fac.yaml", "--statistics").stdout == "no findings in 1 file\n"
    assert check("good.fac.yaml", "--statistics", "--quiet").stdout == ""


def test_statistics_as_json() -> None:
    report = json.loads(check("warned.fac.yaml", "nowhere.yaml", "--statistics", "--json").stdout)
    assert report == {
        "files": ["warned.fac.yaml"],
        "checked_in_part": [],
        "ignored": 0,
        "unreadable": [{"path": "nowhere.yaml", "message": "`nowhere.yaml` does not exist"}],
        "errors": 0,
        "warnings": 1,
        "statistics": [{"code": "FAC205", "name": "unread-layer", "severity": "warning", "count": 1}],
    }


def test_statistics_have_no_place_in_other_formats() -> None:
    result = check("good.fac.yaml", "--statistics", "--output-format", "sarif")
    assert result.exit_code == 2
    assert "--statistics is for full, concise, json, github, not for sarif" in result.stderr


def test_what_was_not_checked_is_said(folder: Path) -> None:
    """A key that is wrong hides names and routes: a run that saw no more does not look like one that saw all."""
    (folder / "bad.fac.yaml").write_text(GOOD.replace("out: 8", "uot: 8"))
    assert check("bad.fac.yaml").stdout.endswith(
        "\n1 error in 1 file, checked in part, 1 fixable with --fix\n"
    )
    assert check(".").stdout.endswith(
        "\n1 error, 1 warning in 3 files, 1 checked in part, 1 fixable with --fix\n"
    )


def test_what_comments_leave_out_is_counted(folder: Path) -> None:
    (folder / "warned.fac.yaml").write_text(f"# fac: ignore-file[FAC205] the next version reads it\n{WARNED}")
    assert check("warned.fac.yaml", "good.fac.yaml").stdout == "no findings in 2 files, 1 ignored\n"


@pytest.mark.parametrize(
    "arguments", [("--ignore", "FAC1"), ("--select", "FAC3"), ("--config", "lenient.toml"), ()]
)
def test_what_cannot_be_read_cannot_be_overlooked(folder: Path, arguments: tuple[str, ...]) -> None:
    """Else one comment would switch all the other checks off, and a policy with them."""
    (folder / "lenient.toml").write_text(
        "ignore = ['FAC1']\nseverity = {FAC1 = 'warning'}\nper-file-ignores = {'*' = ['FAC1']}\n"
    )
    (folder / "x.fac.yaml").write_text(f"{GOOD}note: 1  # fac: ignore[FAC103] mine\n")
    result = check("x.fac.yaml", "--output-format", "concise", *arguments)
    assert result.exit_code == 1
    assert "x.fac.yaml:10:1: FAC103 `note` is not a field of the spec" in result.stdout
    if not arguments:
        assert "x.fac.yaml:10:10: FAC109 `FAC103` cannot be ignored: what cannot be read" in result.stdout


@pytest.mark.parametrize(
    "line",
    ["ignore = ['FAC103']", "severity = {unknown-key = 'warning'}", "per-file-ignores = {x = ['FAC101']}"],
)
def test_a_setting_that_would_overlook_it_is_told(folder: Path, line: str) -> None:
    (folder / "fac.toml").write_text(line)
    ended = fac("check", "good.fac.yaml")
    assert ended.returncode == 2
    assert (
        "cannot be ignored, because what cannot be read is not checked; `exclude` leaves out" in ended.stderr
    )
    assert fac("check", "--isolated", "--ignore", "FAC101", "good.fac.yaml").returncode == 2


def test_a_backend_that_is_not_there_is_told_before_anything_else() -> None:
    ended = fac("check", "bad.fac.yaml", "--backend", "nope")
    assert (ended.returncode, ended.stdout) == (2, "")


def test_quiet() -> None:
    assert check("good.fac.yaml", "--quiet").output == ""
    loud, quiet = check("bad.fac.yaml"), check("bad.fac.yaml", "-q")
    assert loud.stdout == f"{quiet.stdout}\n2 errors in 1 file\n"
    assert check("bad.fac.yaml", "-q", "--output-format", "concise").stdout.count("\n") == 2
    assert check("good.fac.yaml", "-q", "--output-file", "report.txt").output == ""
    assert check("nowhere.yaml", "-q").stderr == "fac: `nowhere.yaml` does not exist\n", "failures are told"


# -- settings files ------------------------------------------------------------------------------------------------


def test_settings_of_the_nearest_file(folder: Path) -> None:
    (folder / "pyproject.toml").write_text("[tool.fac]\nignore = ['FAC205']\n")
    (folder / "near").mkdir()
    (folder / "near/warned.fac.yaml").write_text(WARNED)
    assert codes(".", "--ignore", "FAC207,FAC208") == []
    (folder / "near/fac.toml").write_text("severity = { FAC205 = 'error' }\n")
    (row,) = json.loads(check(".", "--ignore", "FAC207,FAC208", "--json").stdout)["findings"]
    assert (row["file"], row["severity"]) == ("near/warned.fac.yaml", "error")
    assert codes("near", "--isolated") == ["FAC205"]
    assert codes("near", "--config", "pyproject.toml") == []


def test_a_wrong_settings_file_hides_no_other_file(folder: Path) -> None:
    (folder / "near").mkdir()
    (folder / "near/warned.fac.yaml").write_text(WARNED)
    (folder / "near/fac.toml").write_text("ignroe = []\n")
    result = check(".", "--json")
    assert result.exit_code == 2
    message = "`near/fac.toml`: `ignroe` is not a field of `settings`; did you mean `ignore`?"
    assert result.stderr == f"fac: {message}\n"
    report = json.loads(result.stdout)
    assert report["unreadable"] == [{"path": "near/warned.fac.yaml", "message": message}]
    assert report["files"] == ["bad.fac.yaml", "good.fac.yaml", "warned.fac.yaml"]
    assert check("near", "--isolated").exit_code == 0


def test_a_wrong_settings_file_of_the_current_folder(folder: Path) -> None:
    (folder / "fac.toml").write_text("ignore = 3\n")
    ended = fac("check", "good.fac.yaml")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "fac: `fac.toml`: expected a list for `ignore`, found `3`\n"


def test_exclude(folder: Path) -> None:
    (folder / "fac.toml").write_text("exclude = ['bad.*', 'drafts', 'old/*']\n")
    for name in ("drafts/deep/a.fac.yaml", "old/b.fac.yaml", "new/c.fac.yaml"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(GOOD)
    files = json.loads(check("--json").stdout)["files"]
    assert files == ["good.fac.yaml", "new/c.fac.yaml", "warned.fac.yaml"]
    result = check("drafts")
    assert (result.exit_code, result.stdout) == (0, "no findings in 0 files\n")
    assert result.stderr == "fac: no spec of `drafts` is checked: settings exclude all of them\n"


def test_an_excluded_folder_is_told(folder: Path) -> None:
    (folder / "fac.toml").write_text("exclude = ['*']\n")
    result = check(".")
    assert (result.exit_code, result.stdout) == (0, "no findings in 0 files\n")
    assert result.stderr == "fac: no spec of `.` is checked: settings exclude all of them\n"


def test_a_folder_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody may take the specs in it for clean."""
    (folder / "locked").mkdir()
    scandir = os.scandir

    def refusing(path: str) -> Iterator[os.DirEntry[str]]:
        if str(path).endswith("locked"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    result = check(".")
    assert result.exit_code == 2
    assert result.stderr == "fac: the folder `./locked` cannot be read: permission denied\n"


def test_folders_nested_too_deep_to_be_searched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`os.walk` calls itself for each level in Python 3.11."""

    def deep(path: str, **_: object) -> Iterator[None]:
        raise RecursionError

    monkeypatch.setattr(os, "walk", deep)
    result = check(".")
    assert result.exit_code == 2
    assert result.stderr == "fac: the folders in `.` are nested too deep: name the ones to check\n"


def test_what_is_hidden_is_left_out(folder: Path) -> None:
    """Tools keep copies and environments of their own there."""
    (folder / ".venv").mkdir()
    for name in (".venv/bad.fac.yaml", ".bad.fac.yaml"):
        (folder / name).write_text(BAD)
    assert json.loads(check("--json").stdout)["files"] == ["bad.fac.yaml", "good.fac.yaml", "warned.fac.yaml"]
    assert check(".bad.fac.yaml").exit_code == check(".venv").exit_code == 1, "unless it is named"


def test_a_pipe_in_a_folder_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.fac.yaml")
    ended = subprocess.run(
        [sys.executable, "-m", "fac", "check", "."], capture_output=True, text=True, timeout=60
    )
    assert "in 3 files" in ended.stdout
    assert (ended.returncode, ended.stderr) == (
        2,
        "fac: `pipe.fac.yaml` is a pipe: only a file is read here\n",
    )


def test_what_is_named_is_excluded_too(folder: Path) -> None:
    (folder / "fac.toml").write_text("exclude = ['bad.*']\n")
    result = check("bad.fac.yaml", "good.fac.yaml")
    assert (result.exit_code, result.stdout) == (0, "no findings in 1 file\n")
    assert result.stderr == "fac: `bad.fac.yaml` is excluded by `fac.toml`\n"
    assert check("bad.fac.yaml", "good.fac.yaml", "--quiet").output == ""


def test_name_of_standard_input(folder: Path) -> None:
    (folder / "near").mkdir()
    (folder / "near/fac.toml").write_text("[per-file-ignores]\n'x.*' = ['FAC208']\n")
    result = check("-", "--stdin-filename", "near/x.fac.yaml", "--output-format", "concise", stdin=BAD)
    assert result.stdout.startswith("near/x.fac.yaml:8:14: FAC207")
    assert result.stdout.endswith("\n1 error in 1 file\n")
    (folder / "near/fac.toml").write_text("exclude = ['x.*']\n")
    assert check("-", "--stdin-filename", "near/x.fac.yaml", stdin=BAD).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("good.fac.yaml", "--stdin-filename", "x"), "--stdin-filename names what is read from -"),
        (("good.fac.yaml", "--config", "fac.toml", "--isolated"), "exclude each other"),
        (("good.fac.yaml", "--json", "--output-format", "sarif"), "--json is short for --output-format json"),
        (
            ("good.fac.yaml", "--diff", "--output-format", "sarif"),
            "--diff prints a patch: leave out --output-",
        ),
        (("good.fac.yaml", "--config", ""), "it is empty"),
        (("good.fac.yaml", "--output-file", ""), "it is empty"),
    ],
)
def test_options_that_make_no_sense(arguments: tuple[str, ...], message: str) -> None:
    result = check(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_policy_for_a_team(folder: Path) -> None:
    (folder / "policy.toml").write_text("[constraints]\nallowed_rules = ['ldfa']\n")
    (folder / "pyproject.toml").write_text("[tool.fac]\nextends = 'policy.toml'\n")
    result = check("good.fac.yaml")
    assert result.exit_code == 1
    assert result.stdout == (
        "error[FAC354]: errors are exact: `bp` is not among the `allowed_rules` in `policy.toml`\n"
        "  --> good.fac.yaml:4:1\n"
        "   4 | layers:\n"
        "     | ^^^^^^\n"
        "     = help: use `ldfa`\n"
        "\n"
        "1 error in 1 file\n"
    )
