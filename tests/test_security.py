"""A spec is data: checking one runs nothing of it, starts nothing, writes nothing, and reads no other file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from fac.render.findings import FORMATS
from tests.forked import python

ROOT = Path(__file__).parents[1]
MARK = "kilroy"
"""Stands in every text that would be run."""
SECRET = "secret-of-another-file"

WATCHED = """
import json, os, sys
report, arguments = sys.argv[1], sys.argv[2:]
out, seen, busy = open(report, "w"), [], []
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC

def hook(event, details):
    if busy or event.startswith(("import", "object.", "sys.", "marshal.", "code.", "os.listdir", "os.scandir")):
        return
    busy.append(event)
    if event == "open":
        path, mode, flags = details
        writes = bool(isinstance(mode, str) and set(mode) & set("wax+") or (flags or 0) & WRITING)
        seen.append((event, "write" if writes else "read", os.fsdecode(path) if not isinstance(path, int) else ""))
    elif event == "compile":
        text, file = details
        seen.append((event, str(text), str(file)))
    else:
        seen.append((event, "", repr(details)))
    busy.clear()

from fac.cli import main
sys.addaudithook(hook)
sys.argv = ["fac", *arguments]
try:
    main()
except SystemExit as end:
    status = end.code
busy.append("done")
with out:
    json.dump({"status": status, "seen": seen}, out)
"""


class Event(NamedTuple):
    """What Python tells its audit hooks."""

    name: str
    kind: str
    """Of a file, whether it is opened to read or to write; of code its text."""
    detail: str


HEAD = "fac: 1\nname: a\ninput: {shape: [4]}\n"
NET = "layers: [{kind: linear, name: fc1, out: 8}, {kind: relu}, {kind: linear, name: logits, out: 4}]\n"
TAIL = "loss: {kind: cross_entropy}\nupdate: {rule: sgd, lr: 0.1}\n"
CALL = f"__import__('os').system('echo {MARK}')"

EVIL = {
    "harmless": HEAD + NET + TAIL,
    "a tag that calls": f"{HEAD}a: !!python/object/apply:os.system ['echo {MARK}']\n",
    "a tag that makes": f"{HEAD}a: !!python/object/new:subprocess.Popen [[echo, {MARK}]]\n",
    "a tag that names": f"{HEAD}a: !!python/name:os.system {MARK}\n",
    "a tag that imports": f"{HEAD}a: !!python/module:{MARK}\n",
    "a tag that includes": f"{HEAD}layers: !include {SECRET}.txt\nloss: !include ../{SECRET}.txt\n",
    "a merge": f"{HEAD}<<: !include {SECRET}.txt\n",
    "a directive": f"%TAG ! tag:{MARK},2000:\n---\n{HEAD}a: !x 1\n",
    "a schema": f"$schema: file:///{SECRET}.txt\n{HEAD}{NET}{TAIL}",
    "a schema on the net": f"# yaml-language-server: $schema=http://127.0.0.1:9/{MARK}\n"
    f"$schema: http://127.0.0.1:9/{MARK}\n{HEAD}{NET}{TAIL}",
    "data": f"{HEAD}{NET}{TAIL}data: {{source: arrays, train: {SECRET}.txt, test: ../../{SECRET}.txt}}\n",
    "data that is fetched": f"{HEAD}{NET}{TAIL}data: {{source: fashion_mnist}}\ntrain: {{epochs: 1}}\n",
    "names that are paths": f"fac: 1\nname: ../../{SECRET}.txt\ninput: {{shape: [4]}}\n{NET}{TAIL}"
    f"feedback: {{rule: fa, nodes: /{SECRET}.txt}}\n",
    "names that are code": f'fac: 1\nname: "{CALL}"\ninput: {{shape: [4]}}\n'
    f'layers: [{{kind: linear, name: "{CALL}", out: 4}}]\n{TAIL}feedback: {{rule: "{CALL}"}}\n',
    "names of a sound net": f"{HEAD}layers: [{{kind: linear, name: {MARK}, out: 8}}, {{kind: relu}}, "
    f"{{kind: linear, name: {MARK}.b, out: 4}}]\n{TAIL}"
    f"constraints: {{backward_macs: {{at_most: 1}}, peak_memory: {{at_most: 1 B}}}}\n",
    "templates": f"{HEAD}layers: [{{kind: '{{{{ {CALL.replace(chr(39), '')} }}}}', out: '${{{MARK}}}'}}]\n"
    f"loss: '{{0.__class__}} %(x)s $({MARK}) `{MARK}`'\n",
    "settings of another file": f"extends: {SECRET}.txt\n{HEAD}{NET}{TAIL}",
    "steering": f'{HEAD}layers: [{{kind: "\\x1b]0;{MARK}\\a\\x1b[2J", name: "\\x1b[31m"}}]\n{TAIL}',
    "comments": f"# fac: ignore-file[{SECRET}.txt]\n# fac: ignore[{MARK}]\n{HEAD}{NET}{TAIL}",
    "a misspelt key": f"{HEAD}{NET.replace('kind: relu', 'knid: relu')}{TAIL}lr: {MARK}\n",
    "circles": f"{HEAD}{NET}{TAIL}feedback: {{routes: [{{to: logits, from: fc1, matrix: {{kind: random}}}}]}}\n",
}

# The name of an event, or how it begins, of all that reaches out of a process.
REACHING_OUT = (
    "subprocess.",
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.spawn",
    "os.startfile",
    "os.kill",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.chmod",
    "os.chown",
    "os.truncate",
    "os.utime",
    "pty.",
    "shutil.",
    "socket.",
    "tempfile.",
    "urllib.",
    "http.",
    "webbrowser.",
    "pickle.",
)


def checked(folder: Path, *options: str) -> tuple[int, list[Event]]:
    """The exit status of `fac check` in a process of its own, and what it did.

    All of fac is imported there before anybody watches: that reads and runs no spec.
    """
    report = folder / "report.json"
    done = python(folder, "-c", WATCHED, str(report), "check", *options)
    assert "Traceback" not in done.stderr, done.stderr
    assert SECRET.upper() not in done.stdout
    found = json.loads(report.read_text("utf-8"))
    return found["status"], [Event(*event) for event in found["seen"]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with all specs, a settings file, and files that no spec has any business with."""
    folder = tmp_path / "specs"
    folder.mkdir()
    for name, text in EVIL.items():
        (folder / f"{name}.fac.yaml").write_text(text)
    (folder / "fac.toml").write_text('fail-on = "warning"\n')
    for place in (folder, tmp_path):
        (place / f"{SECRET}.txt").write_text(SECRET.upper())
    return folder


def assert_harmless(events: list[Event], folder: Path) -> None:
    """It read the specs, the settings, and what belongs to Python and the packages. It ran none of the specs."""
    own = [Path(p).resolve() for p in (sys.prefix, sys.base_prefix, ROOT / "fac", ROOT / "backends")]
    for event in events:
        assert not event.name.startswith(REACHING_OUT), event
        if event.name == "open" and event.detail:
            assert event.kind == "read", event
            path = (folder / event.detail).resolve()
            known = path.name.endswith(".fac.yaml") or path.name in ("fac.toml", "pyproject.toml")
            assert known or any(path.is_relative_to(place) for place in own), event
        if event.name == "compile":
            assert MARK not in event.kind, event


OPTIONS = {
    "as it comes": (),
    "without settings": ("--isolated",),
    "for a backend": ("--isolated", "--backend", "reference"),
    "fixes": ("--isolated", "--diff"),
    "counts": ("--isolated", "--statistics"),
} | {name: ("--output-format", name) for name in FORMATS}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_specs_run_nothing_write_nothing_and_read_no_other_file(
    options: tuple[str, ...], folder: Path
) -> None:
    before = _contents(folder.parent)
    status, events = checked(folder, *options)
    assert status in (0, 1)
    opened = {Path(event.detail).name for event in events if event.name == "open"}
    assert {f"{name}.fac.yaml" for name in EVIL} <= opened
    assert ("fac.toml" in opened) == ("--isolated" not in options)
    assert_harmless(events, folder)
    after = _contents(folder.parent)
    after.pop(folder / "report.json")
    assert after == before


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_watch_sees_what_it_watches_for(folder: Path) -> None:
    report = folder / "report.json"
    evil = (
        "import os, subprocess; exec(compile('kilroy = 1', 'x', 'exec')); open('made', 'w').close();"
        "subprocess.run(['true']); os.system('true'); open('secret-of-another-file.txt').close()"
    )
    script = WATCHED.replace("    main()\n", f"    {evil}\n    sys.exit(0)\n")
    assert python(folder, "-c", script, str(report)).returncode == 0
    events = [Event(*event) for event in json.loads(report.read_text("utf-8"))["seen"]]
    for event in events:
        text = event.name == "compile" and MARK in event.kind
        if (
            text
            or event.name in ("subprocess.Popen", "os.system")
            or event.detail in ("made", f"{SECRET}.txt")
        ):
            with pytest.raises(AssertionError):
                assert_harmless([event], folder)
    names = [event.name for event in events]
    assert {"subprocess.Popen", "os.system", "compile"} <= set(names)
    assert names.count("open") >= 2
