"""One door for all files that come in: what it opens, and what it refuses in one message."""

from __future__ import annotations

import ast
import errno
import os
import socket
from pathlib import Path

import pytest

import fac
from fac import opening
from fac.diagnostics import FacError
from fac.opening import DATA, MANIFEST, SPEC, Kind, MissingError, content, opened, placed, there

SECRET = "of another folder"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file, and links of all sorts; `outside` stands beside it."""
    folder = tmp_path / "folder"
    (folder / "deeper").mkdir(parents=True)
    (folder / "file").write_text("content")
    (tmp_path / "outside").write_text(SECRET)
    for name, target in {
        "link": "deeper/../file",
        "away": "../outside",
        "far": str(tmp_path / "outside"),
        "broken": "nowhere",
        "circle": "circle",
        "deeper/up": "..",
        "made-up": "/proc/self/environ",
    }.items():
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe")
    (folder / "null").symlink_to("/dev/null")
    return folder


def refused(path: str | Path, kind: Kind = SPEC, within: Path | None = None, *, named: bool = False) -> str:
    with pytest.raises(FacError) as caught:
        content(path, kind, place="`it`", within=within, named=named)
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_a_link_is_followed_within_the_folder_that_was_named(folder: Path) -> None:
    for path in ("file", "link", "deeper/up/file", "deeper/up/link"):
        assert content(folder / path, SPEC, within=folder) == b"content"
    (folder.parent / "alias").symlink_to(folder)
    assert content(folder.parent / "alias/link", SPEC, within=folder.parent / "alias") == b"content"


def test_no_link_leads_out_of_the_folder_that_was_named(folder: Path) -> None:
    said = f"`it` is a link that leads out of `{folder}`: put the file itself there, or name it yourself"
    for path in ("away", "far", "deeper/up/away", "made-up", "null"):
        assert refused(folder / path, within=folder) == said
    assert refused(folder / "link", within=folder / "deeper").startswith("`it` is a link that leads out of ")
    assert refused(folder / "../outside", within=folder) == said.replace("is a link that leads", "leads")


def test_a_link_that_is_named_is_followed(folder: Path) -> None:
    assert content(folder / "away", SPEC) == SECRET.encode()


@pytest.mark.parametrize("named", [False, True])
def test_what_the_system_makes_up_is_never_read(folder: Path, named: bool) -> None:
    said = "`it` is made up by the system as it is read: only a file is read here"
    for path in (folder / "made-up", "/proc/self/environ", "/proc/self/status"):
        assert refused(path, named=named) == said
    # One of each file system that is mounted here, as cgroups are below a folder that is on none of them.
    found = {of: path for of, path in map(mounted, Path(opening.MOUNTS).read_text().splitlines()) if path}
    assert {"proc"} <= found.keys()
    for path in found.values():
        assert refused(path, named=named) == said


def mounted(line: str) -> tuple[str, Path | None]:
    """A file system that is made up and a file of it that may be read, if it has one at its top."""
    fields = line.split()
    system, top = fields[fields.index("-") + 1], Path(fields[4])
    if system not in opening.MADE_UP or not os.access(top, os.R_OK):
        return system, None
    return system, next((p for p in sorted(top.iterdir()) if p.is_file() and os.access(p, os.R_OK)), None)


def test_nothing_is_waited_for_that_is_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
        for path, what in {
            "pipe": "a pipe",
            "socket": "a socket",
            "null": "a device",
            "/dev/zero": "a device",
        }.items():
            assert (
                refused(path)
                == refused(path, DATA, named=True)
                == f"`it` is {what}: only a file is read here"
            )
    assert refused("deeper") == refused("/dev", named=True) == "`it` is a folder: name a file"


def test_a_stream_is_read_where_the_command_line_names_it() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as file:
        file.write(b"content")
    assert content(f"/dev/fd/{reading}", SPEC, named=True) == b"content"
    os.close(reading)
    said = "`it` has more than 1,000,000 bytes: a spec may have 1,000,000"
    assert refused("/dev/zero", named=True) == said, "and no further than it may be long"


def test_a_file_that_is_too_large_is_not_read(folder: Path) -> None:
    with (folder / "giant").open("wb") as file:
        file.truncate(1 << 40)
    said = "`it` has 1,099,511,627,776 bytes: a manifest may have 10,000,000"
    assert refused(folder / "giant", MANIFEST) == said


def test_a_link_that_leads_nowhere_is_there(folder: Path) -> None:
    assert there(folder / "broken")
    assert not there(folder / "nothing")
    assert not there(folder / ("x" * 300))
    assert not there("a\0b")
    for within in (None, folder):
        assert refused(folder / "broken", within=within) == (
            "`it` is a link that leads nowhere: mend it, or remove it"
        )
        with pytest.raises(MissingError, match=r"^`it` does not exist$"):
            content(folder / "nothing", SPEC, place="`it`", within=within)


def test_what_the_system_refuses_is_told_with_a_remedy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    circle = "`it` cannot be read: too many levels of symbolic links: mend the links, which lead in a circle"
    assert refused(folder / "circle") == refused(folder / "circle", within=folder) == circle
    assert refused(folder / ("x" * 300)) == "`it` cannot be read: file name too long: use a shorter one"
    assert refused("a\0b") == "`it` cannot be read: embedded null byte"

    def none_left(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "open", none_left)
    assert refused(folder / "file") == "`it` cannot be read: too many open files: raise `ulimit -n`"


def test_a_file_that_comes_to_the_place_of_another_is_looked_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the opening, a pipe: it is not waited for."""
    before = os.stat(folder / "file")
    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", lambda path: before)
        assert refused(folder / "pipe") == "`it` is a pipe: only a file is read here"


def test_paths_from_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert placed("base", "a/b", "`it`") == "base/a/b"
    assert placed("base", "/a", "`it`") == "/a"
    assert placed("base", "~/a", "`it`") == "/home/me/a"
    for written in ("~nosuchuser/a", "~nosuchuser"):
        with pytest.raises(FacError, match=r"^`it`: there is no user `nosuchuser`: write the whole path$"):
            placed("base", written, "`it`")
    with pytest.raises(FacError, match=r"^`it` cannot be read: embedded null byte$"):
        placed("base", "~a\0b/c", "`it`")


def test_a_file_is_closed_where_it_is_refused(folder: Path) -> None:
    with (folder / "giant").open("wb") as file:
        file.truncate(1 << 30)
    before = os.listdir("/proc/self/fd")
    for path in ("giant", "pipe", "away", "broken"):
        refused(folder / path, within=folder)
    with opened(folder / "file", DATA) as file:
        assert file.read() == b"content"
    assert os.listdir("/proc/self/fd") == before


SOURCES = Path(fac.__file__).parent
OWN = {
    "bench/memory.py",
    "memory.py",
    "opening.py",
    "cli/init.py",
    "build/processor.py",
    "training/data/digits.py",
    "testing/sessions.py",
}
"""Read what belongs to the system or to the package, or what they wrote, and nothing that comes in."""


def reads(call: ast.Call) -> bool:
    """Whether a call opens a file to read it, by other means than the door."""
    match call.func:
        case ast.Name("open") | ast.Attribute(ast.Name("io"), "open") | ast.Attribute(_, "open"):
            given = [*call.args, *(keyword.value for keyword in call.keywords)]
            texts = [
                arg.value for arg in given if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
            ]
            plain = isinstance(call.func, ast.Name) or any(text in ("r", "rb", "rt") for text in texts)
            return plain and not any(set(text) & set("wxa+") and len(text) < 4 for text in texts)
        case ast.Attribute(_, "read_text" | "read_bytes"):
            return True
        case ast.Attribute(ast.Name("np" | "numpy" | "tomllib" | "json" | "pickle" | "torch"), "load"):
            return True
        case ast.Name("safe_open" | "load_file") | ast.Attribute(
            _, "safe_open" | "load_file" | "fromfile" | "loadtxt"
        ):
            return True
    return False


def test_no_other_module_opens_a_file_to_read() -> None:
    """What comes in comes by one door: a new reader has to take it."""
    found = {
        path.relative_to(SOURCES).as_posix()
        for path in SOURCES.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and reads(node)
    }
    assert found == OWN


def test_the_look_for_readers_sees_them() -> None:
    for text, expected in {
        "open(path)": True,
        "open(path, 'rb')": True,
        "path.open('rb')": True,
        "path.read_bytes()": True,
        "np.load(path)": True,
        "open(path, 'wb')": False,
        "path.open('xb')": False,
        "artifact.open(state)": False,
    }.items():
        call = ast.parse(text, mode="eval").body
        assert isinstance(call, ast.Call)
        assert reads(call) == expected, text
