"""The caret stands under the same token however a spec is laid out: flow, block, comments, quotes, CRLF, JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fac import pipeline
from fac.diagnostics import Diagnostic, Span
from fac.diagnostics import Path as Place
from fac.source import Document, parse_text
from fac.source.plain import load
from tests.fuzz.layout import LAYOUTS, Layout, Written, write

FOLDERS = sorted(path for path in Path(__file__).parent.iterdir() if path.name.startswith("FAC"))

BY_THE_TEXT = {"FAC101", "FAC106", "FAC107", "FAC108", "FAC109", "FAC110"}
"""Findings of a text, not of what it says: another layout has others."""
BY_MORE_THAN_THE_SPEC = {
    folder.name for folder in FOLDERS if (folder / "site").is_dir() or (folder / "arguments.txt").exists()
}
"""Findings that take a plug-in, or an option such as a backend."""


def documents() -> dict[str, Document]:
    """The bad specs whose findings are those of the pipeline."""
    named = {folder.name: parse_text((folder / "bad.yaml").read_text("utf-8")) for folder in FOLDERS}
    return {name: d for name, d in named.items() if name not in BY_THE_TEXT | BY_MORE_THAN_THE_SPEC}


DOCUMENTS = documents()


def said(found: tuple[Diagnostic, ...]) -> list[tuple[str, Place, str, str, bool]]:
    return [(f.rule.code, f.path, f.message, f.help, f.key) for f in found]


def at(data: Any, path: Place) -> Any:
    for part in path:
        data = data[part]
    return data


def expected(written: Written, data: Any, finding: Diagnostic) -> tuple[Span, Place, bool]:
    """Where the writer knows the caret should stand, of which path that is, and whether of its key."""
    path = finding.path
    if finding.key and path in written.keys:
        return written.span(written.keys[path]), path, True
    while path not in written.values:
        path = path[:-1]
    span = written.span(written.values[path])
    if path in written.keys:
        key = written.span(written.keys[path])
        below = span.line > key.line and isinstance(at(data, path), dict | tuple)
        if span.end_line > span.line or below:
            return key, path, True
    return span, path, False


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_layout(name: str, layout: Layout) -> None:
    original = DOCUMENTS[name]
    found = pipeline.check(original)
    assert {finding.rule.code for finding in found} == {name}
    written = write(original.data, layout)
    document = parse_text(written.text)
    again = pipeline.check(document)
    assert said(again) == said(found)
    for finding in again:
        span, path, is_key = expected(written, original.data, finding)
        place = document.place(finding)
        assert place == span
        if span.line == span.end_line:
            token = document.lines[span.line - 1][span.column - 1 : span.end_column - 1]
            assert load(token)[0] == (path[-1] if is_key else at(original.data, path))
