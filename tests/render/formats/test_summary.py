"""The page of a run, to the character, and as a reader of Markdown takes it."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from fac.diagnostics import Diagnostic
from fac.program.lower import lower
from fac.render.findings import Checked, Report
from fac.render.findings.summary import PICTURES, ROWS, markdown
from fac.render.graph import mermaid
from fac.source import Document, parse_text
from tests.render.formats.checked import GOOD, RANK, report
from tests.render.formats.test_odd_names import NAMES, TEXTS

HERE = Path(__file__).parent
SOURCE = "https://example.org/team/nets/blob/abc"
ROOM = 1_000_000


def drawn(document: Document) -> str | None:
    from fac.pipeline import parse

    spec, _ = parse(document)
    return None if spec is None else mermaid(lower(spec))


def page(of: Report, source: str = SOURCE, room: int = ROOM) -> str:
    return markdown(of, drawn, source, room)


def tokens(text: str) -> list[Token]:
    return MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)


def test_to_the_character() -> None:
    golden = HERE / "summary.md"
    if os.environ.get("FAC_UPDATE_GOLDEN"):
        golden.write_text(page(report()))
    assert page(report()) == golden.read_text()


def test_charts_are_blocks_of_their_own() -> None:
    found = [token for token in tokens(page(report())) if token.type == "fence"]
    assert [token.info for token in found] == [
        "mermaid"
    ] * 3  # of five files one is not YAML, and one not a spec
    assert all(token.content.startswith("flowchart TB\n") for token in found)


def test_without_an_address_nothing_is_a_link() -> None:
    assert "](" not in page(report(), source="")
    assert f"]({SOURCE}/specs/bad.fac.yaml#L12)" in page(report())


def test_a_clean_run() -> None:
    text = page(Report((Checked(parse_text(GOOD, "a.fac.yaml"), ()),)))
    assert text.startswith(
        "### fac check: no findings in 1 file\n\n<details><summary><code>a.fac.yaml</code>: "
    )
    assert "|---|" not in text


def test_a_large_run_is_cut() -> None:
    found = tuple(RANK.at(("fac",), f"finding {i}") for i in range(ROWS + 7))
    files = [Checked(parse_text(GOOD, f"{i}.fac.yaml"), ()) for i in range(PICTURES + 4)]
    text = page(Report((*files, Checked(parse_text(GOOD, "last.fac.yaml"), found))))
    assert text.count("| error |") == ROWS
    assert "\n… and 7 more.\n" in text
    assert text.count("```mermaid") == PICTURES
    assert text.index("<code>last.fac.yaml") < text.index("<code>0.fac.yaml")
    assert text.endswith("\n5 more files: `fac show SPEC -o graph.svg` draws one.\n")


def test_a_long_message_is_cut() -> None:
    found = (Diagnostic(RANK, ("fac",), "x" * 1000, "y" * 1000),)
    text = page(Report((Checked(parse_text(GOOD, "a.fac.yaml"), found),)))
    assert (text.count("x" * 400), text.count("x" * 401)) == (1, 0)
    assert (text.count("y" * 400), text.count("y" * 401)) == (1, 0)


@pytest.mark.parametrize("room", [*range(0, 4000, 97), 4000, 6000, 8000])
def test_it_keeps_to_its_room(room: int) -> None:
    text = page(report(), room=room)
    assert len(text.encode()) <= room
    assert text == "" or (
        text.count("```mermaid\n") + text.count("Not drawn: it is no spec yet, or too large.")
        == text.count("</details>")
    )


@given(NAMES, TEXTS, TEXTS | st.just("`a` and `b|c` <x>"))
def test_no_text_leaves_its_cell(name: str, message: str, help: str) -> None:
    found = (Diagnostic(RANK, ("fac",), message, help), Diagnostic(RANK, ("nowhere",), help, message))
    of = Report((Checked(parse_text(GOOD, name), found),), ((name, message),))
    text = page(of)
    assert text.encode()
    read = tokens(text)
    rows = [i for i, token in enumerate(read) if token.type == "tr_open"]
    assert len(rows) == 4
    assert sum(token.type == "td_open" for token in read) == 12
    cells = [token for before, token in pairwise(read) if before.type == "td_open"]
    links = [child for cell in cells for child in cell.children or () if child.type == "link_open"]
    assert all(str(link.attrGet("href")).startswith(SOURCE) for link in links)
    tags = [c.content for cell in cells for c in cell.children or () if c.type == "html_inline"]
    assert set(tags) <= {"<code>", "</code>"}
    assert [token.info for token in read if token.type == "fence"] == ["mermaid"]
