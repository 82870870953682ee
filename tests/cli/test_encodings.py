"""Every command prints in every encoding: what it lacks is escaped for people, and programs get UTF-8."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fac.cli import COMMANDS, fac, main
from fac.cli.progress import shown
from fac.cli.streams import lasting
from fac.render.encodable import encodable
from fac.render.findings import FORMATS
from fac.training.logs import Plan, Progress
from tests.cli.conftest import DIGITS

ENCODINGS = ("ascii", "cp437", "cp1252", "latin-1")
SPEC, BAD = "größe-η.fac.yaml", "bad-η.fac.yaml"
# η and Ж are in none of the encodings, – in one, é in all but one, ± in two; the error stands behind them.
COMMENT = "# η – é ± Ж 漢字"
TEXT = f"{DIGITS.replace('epochs: 2', 'epochs: 1')}{COMMENT}\n"
WRONG = TEXT.replace("name: digits-small", 'name: "é η 漢 Ж"').replace(
    "{rule: sgd, lr", '{"η–漢\u0301": 1, rule: sdg, lr'
)
PEOPLE, PROGRAMS = "people", "programs"

LINES: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    *[(PEOPLE, 1, ("check", BAD, "--output-format", form)) for form in ("full", "concise")],
    *[(PROGRAMS, 1, ("check", BAD, "--output-format", form)) for form in FORMATS if form not in ("full", "concise")],
    (PROGRAMS, 1, ("check", BAD, "--diff")),
    (PEOPLE, 1, ("check", BAD, "--statistics")),
    (PEOPLE, 0, ("rule", "--all")),
    (PROGRAMS, 0, ("rule", "--all", "--markdown")),
    (PROGRAMS, 0, ("schema",)),
    (PROGRAMS, 0, ("schema", "--markdown")),
    (PEOPLE, 0, ("show", SPEC)),
    (PROGRAMS, 0, ("show", SPEC, "--expand")),
    *[(PROGRAMS, 0, ("show", SPEC, "-o", "-", "--format", form)) for form in ("svg", "dot", "mmd")],
    (PEOPLE, 1, ("show", BAD)),
    (PEOPLE, 0, ("diff", SPEC, "other.fac.yaml")),
    (PROGRAMS, 0, ("diff", SPEC, "other.fac.yaml", "--output-format", "markdown")),
    (PEOPLE, 1, ("diff", SPEC, BAD)),
    (PEOPLE, 0, ("lock", SPEC, "-o", "η.lock")),
    (PEOPLE, 0, ("data", SPEC, "-o", "däta-η")),
    (PEOPLE, 0, ("backends",)),
    (PEOPLE, 0, ("study",)),
    (PEOPLE, 0, ("bench", "--list")),
    (PEOPLE, 2, ("bench", "--compare", "η", "η")),
    (PEOPLE, 2, ("study", "./η")),
    (PEOPLE, 2, ("train", "η.fac.yaml")),
    (PEOPLE, 2, ("sample", "η")),
    (PEOPLE, 2, ("evaluate", "η")),
    (PEOPLE, 2, ("predict", "η", "η.npz", "-o", "η.csv")),
    (PEOPLE, 2, ("plot", "η", "-o", "η.svg")),
    (PEOPLE, 2, ("report", "η", "-o", "η.html")),
    (PEOPLE, 2, ("import", "torch", "netze_η:η", "--input", "4", "-o", "neu")),
    (PEOPLE, 2, ("import", "onnx", "netz-η.onnx", "-o", "neu")),
    (PEOPLE, 2, ("train", "--ηta", SPEC)),
    (PEOPLE, 2, ("show", os.fsdecode(b"\xff\xfe.fac.yaml"))),
)  # fmt: skip
"""Who reads standard output, the exit status, the arguments. What these print is the same at each call."""
ONCE: tuple[tuple[str, ...], ...] = (
    ("init", "neu-η/"),
    ("init", "--plugin", "η/neu"),
    ("compile", SPEC, "--backend", "reference", "-o", "built-η"),
    ("train", SPEC, "--backend", "reference", "--out", "run-η"),
    ("plot", "run-η", "-o", "η.svg"),
    ("report", "run-η", "-o", "η.html"),
    ("export", "run-η", "-o", "η.onnx"),
    ("compare", SPEC, BAD.replace("bad", "good"), "--seeds", "2", "--backend", "reference"),
    (
        *("sweep", SPEC, "--over", "update.lr=0.1,0.2", "--set", "data.validation=0.25", "--seeds", "2"),
        *("--rules", "bp", "--backend", "reference", "--out", "swept"),
    ),
)
"""These print times, or refuse to do it again."""

Printed = tuple[int, bytes, bytes]


@pytest.fixture
def printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Printed]:
    """`printed("ascii", "show", SPEC)` -> (exit status, bytes of standard output, bytes of standard error)."""
    monkeypatch.chdir(tmp_path)
    for file, text in ((SPEC, TEXT), (BAD, WRONG), ("good-η.fac.yaml", TEXT.replace("-small", "-two"))):
        Path(file).write_text(text, encoding="utf-8")
    other = TEXT.replace("ldfa, rank: 9", "fa").replace("fc1", "fc9")
    Path("other.fac.yaml").write_text(other, encoding="utf-8")

    def call(encoding: str, *arguments: str) -> Printed:
        raw = [io.BytesIO(), io.BytesIO()]
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["fac", *arguments])
            for name, buffer in zip(("stdout", "stderr"), raw, strict=True):
                patch.setattr(sys, name, io.TextIOWrapper(buffer, encoding=encoding, write_through=True))
            status: object = 0
            try:
                main()
            except SystemExit as end:
                status = end.code or 0
            out, err = (buffer.getvalue() for buffer in raw)
        assert isinstance(status, int), status
        assert b"internal error" not in err
        return status, out, err

    return call


def test_every_command_is_here() -> None:
    assert {line[0] for *_, line in LINES} | {line[0] for line in ONCE} == set(COMMANDS)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_people_get_escapes_and_programs_get_utf8(encoding: str, printed: Callable[..., Printed]) -> None:
    for reader, status, line in LINES:
        wanted, out, err = printed("utf-8", *line)
        assert wanted == status, (line, err)
        expected = out if reader == PROGRAMS else encodable(out.decode(), encoding).encode(encoding)
        assert printed(encoding, *line) == (
            status,
            expected,
            encodable(err.decode(), encoding).encode(encoding),
        ), line


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_is_done_once_is_told_in_escapes(encoding: str, printed: Callable[..., Printed]) -> None:
    """Tables, too: `±` and `–` are spelt so that columns stay columns."""
    for line in ONCE:
        status, out, err = printed(encoding, *line)
        assert status == 0, (line, err)
        assert ("\\u03b7" in (out + err).decode(encoding)) == (line[0] not in ("compare", "sweep"))
    sign = encodable("±", encoding)
    assert f" {sign} " in out.decode(encoding)


def test_formats_of_programs_can_be_read(printed: Callable[..., Printed]) -> None:
    for form in ("json", "gitlab", "sarif"):
        assert json.loads(printed("cp1252", "check", BAD, "--output-format", form)[1])
    ElementTree.fromstring(printed("cp1252", "check", BAD, "--output-format", "junit")[1])
    ElementTree.fromstring(printed("cp1252", "show", SPEC, "-o", "-", "--format", "svg")[1])
    assert json.loads(printed("cp1252", "schema")[1])["title"] == "fac spec, version 1"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_bar_of_progress(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding=encoding, write_through=True))
    lasting()
    with shown(err=True, label="η") as listener:
        listener.began(Plan(1, 10, 32, 0, 0))
        listener.moved(Progress(1, 5, 0.5, 1.0))
        listener.said("learns η")
    assert b"learns \\u03b7" in raw.getvalue()
    assert b"\\u03b7  epoch 1/1" in raw.getvalue()


def test_help_is_ascii() -> None:
    """click prints it by itself, in UTF-8 where the encoding is ASCII."""
    for name in COMMANDS:
        command = fac.get_command(fac.make_context("fac", [], resilient_parsing=True), name)
        assert command is not None
        assert command.get_help(command.make_context(name, [], resilient_parsing=True)).isascii()


@pytest.mark.parametrize("encoding", ["ascii:strict", "cp437:strict", "cp1252"])
def test_in_a_process_of_its_own(encoding: str, tmp_path: Path) -> None:
    (tmp_path / BAD).write_text(WRONG, encoding="utf-8")
    environment = os.environ | {"PYTHONIOENCODING": encoding, "LC_ALL": "C", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "fac", "check", BAD]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, b"")
    assert b"\\u03b7" in ended.stdout
