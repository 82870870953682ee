"""Specs and settings that are links, pipes or locked: nothing of another folder is shown, and no policy is lost."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lint.specs import CLEAN

Run = Callable[..., tuple[int, str, str]]
SECRET = "PASSWORD=hunter2"


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checked folder with one sound spec, and beside it a file that nobody asked to look into."""
    (tmp_path / "s").mkdir()
    (tmp_path / "s/a.fac.yaml").write_text(CLEAN)
    (tmp_path / "secret").write_text(SECRET)
    monkeypatch.setenv("SECRET", SECRET)


def test_a_spec_that_is_a_link_shows_nothing_of_another_folder(run: Run, tmp_path: Path) -> None:
    for name, target in {"x": "../secret", "y": "/proc/self/environ", "z": "/proc/kmsg"}.items():
        (tmp_path / f"s/{name}.fac.yaml").symlink_to(target)
    for form in ("full", "json", "github", "sarif", "junit", "gitlab"):
        status, out, err = run("check", "s", "--output-format", form)
        assert status == 2
        assert SECRET not in out + err
    told = "is a link that leads out of `s`: put the file itself there, or name it yourself"
    assert [line for line in err.splitlines() if told in line] == [
        f"fac: `s/{name}.fac.yaml` {told}" for name in "xyz"
    ]


def test_a_spec_that_is_named_is_read_through_its_link_but_no_environment_is(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "l.fac.yaml").symlink_to("s/a.fac.yaml")
    (tmp_path / "e.fac.yaml").symlink_to("/proc/self/environ")
    assert run("check", "l.fac.yaml")[0] == 0
    for command in ("check", "show", "compile"):
        status, out, err = run(command, "e.fac.yaml")
        assert (status, SECRET in out + err) == (2, False)
        assert "is made up by the system as it is read" in err


def test_a_spec_behind_a_link_that_is_refused_is_checked_all_the_same(run: Run, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t/bad.fac.yaml").write_text("fac: 1\n")
    (tmp_path / "s/link.fac.yaml").symlink_to("../t/bad.fac.yaml")
    status, out, _ = run("check", "s", "t", "--output-format", "concise")
    assert status == 2
    assert "t/bad.fac.yaml:1" in out
    assert run("check", ".", "-q")[0] == 1, "a link within what is checked is as good as the file"


def test_a_link_that_is_named_beside_its_folder_is_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(CLEAN)
    (tmp_path / "s/b.fac.yaml").symlink_to("../b.yaml")
    assert run("check", "s")[0] == 2
    assert run("check", "s", "s/b.fac.yaml")[:2] == (0, "no findings in 2 files\n")


@pytest.mark.parametrize("name", ["fac.toml", "pyproject.toml"])
@pytest.mark.parametrize("what", ["broken", "out", "pipe", "folder", "circle", "locked"])
def test_settings_that_are_there_and_cannot_be_read_end_with_2(
    name: str, what: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a policy could be switched off, and the check would be green."""
    path = tmp_path / "s" / name
    said = {
        "broken": "is a link that leads nowhere: mend it, or remove it",
        "out": f"is a link that leads out of `{tmp_path}/s`: put the file itself there, or name it yourself",
        "pipe": "is a pipe: only a file is read here",
        "folder": "is a folder: name a file",
        "circle": "cannot be read: too many levels of symbolic links: mend the links, which lead in a circle",
        "locked": "cannot be read: permission denied",
    }[what]
    match what:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "locked":
            path.write_text("")
            monkeypatch.setattr(os, "open", lambda asked, flags: _locked(path, asked, flags))
        case _:
            path.symlink_to({"broken": "nowhere", "circle": name, "out": "../secret"}[what])
    assert run("check", "s") == (2, "no file could be checked\n", f"fac: `s/{name}` {said}\n")


def _locked(path: Path, asked: str, flags: int, open: Callable[..., int] = os.open) -> int:
    """As the system does it for who is not root."""
    if Path(asked) == path:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return open(asked, flags)


def test_settings_may_be_a_link_within_their_repository(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "team.toml").write_text("fail-on = 'warning'\n")
    (tmp_path / "s/fac.toml").symlink_to("../team.toml")
    assert run("check", "s")[0] == 0


def test_what_settings_extend_is_a_file(run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "s/pipe.toml")
    for extends, said in {
        "pipe.toml": "`s/pipe.toml` is a pipe: only a file is read here",
        "/dev/zero": "is a device: only a file is read here",
        "/proc/self/environ": "is made up by the system as it is read: only a file is read here",
        "~nosuchuser/x": "`s/fac.toml`: `extends`: there is no user `nosuchuser`: write the whole path",
        "a\\u0000b": "cannot be read: embedded null byte",
        "x" * 300: "cannot be read: file name too long: use a shorter one",
        ".": "is a folder: name a file",
    }.items():
        (tmp_path / "s/fac.toml").write_text(f'extends = "{extends}"\n')
        status, _, err = run("check", "s")
        assert status == 2
        assert said in err
        assert err.count("\n") == 1
        assert SECRET not in err


def test_mistakes_of_settings_outside_of_the_repository_are_not_shown(run: Run, tmp_path: Path) -> None:
    """Whoever may change a settings file could have any other file shown, word by word."""
    for words in (SECRET, "password = 'hunter2'", "max-rank = 'hunter2'", "[tool.fac]"):
        (tmp_path / "secret.toml").write_text(words)
        (tmp_path / "s/fac.toml").write_text("extends = '../secret.toml'\n")
        assert run("check", "s")[::2] == (
            2,
            "fac: `s/fac.toml` extends `secret.toml`, which lies outside of `s` and is no settings file: "
            "`fac check --config secret.toml` says why\n",
        )
    (tmp_path / ".git").mkdir()
    assert "no `[tool.fac]`" not in run("check", "s")[2]
    assert "only `pyproject.toml` needs that" in run("check", "s")[2]
