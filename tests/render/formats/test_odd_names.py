"""Whatever files and messages are called, each format stays what it is."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator

from fac.diagnostics import Diagnostic, plain
from fac.escaping import sound, visible
from fac.render.findings import Checked, Report, render
from fac.render.findings.portable import path_in
from fac.source import parse_text
from tests.render.formats.checked import GOOD, RANK, command
from tests.render.formats.test_sarif import schema

VALIDATOR = Draft4Validator(schema())
BYTES = st.binary(min_size=1, max_size=12).filter(
    lambda b: not {0, *b"/\\"} & {*b} and b not in (b".", b"..")
)
NAMES = BYTES.map(os.fsdecode) | st.sampled_from(
    [b"a b.fac.yaml", b"a:b,c%0A.fac.yaml", b"x\n::error::y", "é😀".encode(), b"\xff\xfe", b"#?&;|`[](<>"]
).map(os.fsdecode)
TEXTS = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["%0A", "::error::", "]]>", "<b>", "a\r\nb", "`|`", "\ud83d\ude00", "\ud83d"]
)


def report(name: str, message: str, help: str) -> Report:
    # Not by `RANK.at`, which would write control characters in another way.
    found = (Diagnostic(RANK, ("fac",), message, help), Diagnostic(RANK, ("nowhere",), message))
    return Report((Checked(parse_text(GOOD, name), found),), ((name, message),))


@given(NAMES, TEXTS, TEXTS)
def test_github(name: str, message: str, help: str) -> None:
    text = render("github", report(name, message, help))
    assert text.encode()
    first, second, third, closing = text.split("\n")
    assert closing == "2 errors in 1 file"
    _, properties, told = command(first)
    assert properties["file"] == re.sub(r"[^\r\n]+", lambda part: visible(part[0]), path_in("", name))
    assert f"FAC301 {visible(message)}" in told
    assert command(second)[1].keys() == {"title", "file", "line", "col", "endLine", "endColumn"}
    assert command(third)[2] == visible(message)


@given(NAMES, TEXTS, TEXTS)
def test_people(name: str, message: str, help: str) -> None:
    """No name begins a line of its own, which the runner of a CI might take for a command."""
    found = RANK.at(("fac",), message, help=help), RANK.at(("nowhere",), message)
    of = Report((Checked(parse_text(GOOD, name), found),))
    told = [f"{plain(name)}:1:{column}: FAC301 {plain(message)}" for column in (1, 6)]
    assert render("concise", of).split("\n") == [*told, "2 errors in 1 file"]
    text = render("full", of)
    assert text.encode()
    lines = text.split("\n")
    assert lines[:2] == [f"error[FAC301]: {plain(message)}", f"  --> {plain(name)}:1:1"]
    assert len(lines) == 4 + bool(help) + 1 + 4 + 1 + 1


def test_a_line_is_not_turned_round() -> None:
    text = GOOD.replace("fac: 1", "fac: 1 # \u202eevil\u2069")
    shown = render("full", Report((Checked(parse_text(text, "a"), (RANK.at(("fac",), "x"),)),)))
    assert shown.split("\n")[2] == "   1 | fac: 1 # �evil�"


@given(NAMES, TEXTS, TEXTS)
def test_gitlab(name: str, message: str, help: str) -> None:
    entries: list[Any] = json.loads(render("gitlab", report(name, message, help)))
    assert json.dumps(entries, ensure_ascii=False).encode()
    assert entries[0]["location"]["path"] == sound(path_in("", name))
    assert visible(message) in entries[0]["description"]


@given(NAMES, TEXTS, TEXTS)
def test_sarif(name: str, message: str, help: str) -> None:
    log: Any = json.loads(render("sarif", report(name, message, help)))
    assert json.dumps(log, ensure_ascii=False).encode()
    assert list(VALIDATOR.iter_errors(log)) == []
    (artifact,) = log["runs"][0]["artifacts"]
    uri = artifact["location"]["uri"]
    assert uri.isascii()
    assert unquote_to_bytes(uri.removeprefix("file://")) == os.fsencode(path_in("", name))


@given(NAMES, TEXTS, TEXTS)
def test_junit(name: str, message: str, help: str) -> None:
    text = render("junit", report(name, message, help))
    root = ElementTree.fromstring(text.encode())
    assert len(list(root.iter("testcase"))) == 5
    assert len(list(root.iter("failure"))) == 1


def test_paths_start_at_the_top_of_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "repo/sub").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "repo/sub")
    top = str(tmp_path / "repo")
    assert path_in(top, "a.fac.yaml") == "sub/a.fac.yaml"
    assert path_in(top, "../a.fac.yaml") == "a.fac.yaml"
    assert path_in(top, "./x/../a.fac.yaml") == "sub/a.fac.yaml"
    assert path_in(top, "<stdin>") == "<stdin>"
    assert path_in(top, "../..x/a") == "..x/a"
    outside = str(tmp_path / "other.fac.yaml")
    assert path_in(top, outside) == outside.replace(os.sep, "/")
    of = Report((Checked(parse_text(GOOD, outside), ()),), root=top)
    (artifact,) = json.loads(render("sarif", of))["runs"][0]["artifacts"]
    assert artifact["location"] == {"uri": (tmp_path / "other.fac.yaml").as_uri()}
