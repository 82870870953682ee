"""Whatever a text or a settings file holds: findings or one message, never another exception."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fac.diagnostics import FacError, Span
from fac.lint.run import lint
from fac.lint.settings import Settings, load
from tests.lint.specs import BAD, CLEAN, WARNED, document

PIECES = (
    "# fac: ignore[FAC201]",
    "# fac: ignore-file[FAC205]",
    "#fac:ignore[",
    " # fac: ignore[FAC109,FAC110] x",
    '"',
    "'",
    "|\n",
    ">-\n",
    "&a ",
    "*a",
    "!!str ",
    "\r\n",
    "\u2028",
    "\x85",
    "\t",
    "{",
    "}",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "😀",
    "\ufeff",
    "\n",
    "  ",
)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A spec with pieces put in and taken out."""
    text = draw(st.sampled_from([CLEAN, BAD, WARNED]))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(text)))
        cut = draw(st.integers(0, 3))
        text = text[:at] + draw(st.sampled_from(PIECES)) + text[at + cut :]
    return text


@settings(max_examples=400)
@given(texts())
def test_any_text(text: str) -> None:
    read = document(text)
    for finding in lint(read, Settings()):
        place = read.place(finding)
        if isinstance(place, Span):
            assert 1 <= place.line <= len(read.lines)
            assert 1 <= place.column <= len(read.lines[place.line - 1]) + 1
        if finding.rule.code in ("FAC109", "FAC110"):
            assert isinstance(place, Span)
            assert read.lines[place.line - 1][place.column - 1 : place.end_column - 1].startswith("#")


VALUES = (
    "1", "-1", "1e400", "nan", "true", "''", "'FAC3'", "'x'", "[]", "['FAC3']", "[1]", "[['FAC3']]",
    "{}", "{at_most=1}", "{at_most='x'}", "{FAC301='warning'}", "{'a/*'=['FAC3']}", "2026-01-01",
)  # fmt: skip
KEYS = (
    "select", "ignore", "severity", "per-file-ignores", "per_file_ignores", "fail-on", "output-format",
    "exclude", "extends", "needs", "constraints", "constraints.max_rank", "constraints.peak_memory", "tool.fac",
    "x",
)  # fmt: skip


@settings(max_examples=400)
@given(st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=4))
def test_any_settings(tmp_path_factory: pytest.TempPathFactory, table: dict[str, str]) -> None:
    path = _folder(tmp_path_factory) / "fac.toml"
    path.write_text("".join(f"{key} = {value}\n" for key, value in table.items()))
    with suppress(FacError):
        load(str(path), str(path.parent))


@settings(max_examples=200)
@given(st.binary(max_size=40))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = _folder(tmp_path_factory) / "fac.toml"
    path.write_bytes(content)
    with suppress(FacError):
        load(str(path), str(path.parent))


def test_a_table_that_is_nested_too_deep(tmp_path: Path) -> None:
    for depth in (200, 100_000):
        (tmp_path / "fac.toml").write_text(f"select = {'[' * depth}{']' * depth}\n")
        with pytest.raises(FacError, match=r"nested|not TOML"):
            load(str(tmp_path / "fac.toml"), str(tmp_path))


def _folder(factory: pytest.TempPathFactory) -> Path:
    """One for all examples: thousands of folders would outlast the run."""
    folder = factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    return folder
