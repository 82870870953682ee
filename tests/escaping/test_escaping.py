"""Each function of `fac.escaping` against what reads its format."""

from __future__ import annotations

import ast
import csv
import html
import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from markdown_it import MarkdownIt

from fac import escaping
from fac.escaping import UNSEEN
from fac.render.json_text import json_text
from fac.render.tables import comma_separated
from tests.escaping.texts import ALL, NAMES, PARTS, TEXTS, unseen
from tests.render.formats.checked import command

ROOT = Path(__file__).parents[2]
RENDERER = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable(["table", "strikethrough"])
QUICK = settings(max_examples=100)


@pytest.mark.parametrize("text", PARTS, ids=ascii)
def test_people_see_all_of_a_text_on_one_line(text: str) -> None:
    shown = escaping.visible(text)
    assert unseen(shown, "") == ""
    assert len(shown.splitlines()) <= 1
    assert shown.count("\\") >= len(unseen(text, "")) + text.count("\\")


@QUICK
@given(TEXTS)
@example(ALL)
def test_what_stays_in_its_place_is_as_long_as_it_was(text: str) -> None:
    for keep in ("", "\t", "\t\n"):
        shown = escaping.in_place(text, keep)
        assert len(shown) == len(text)
        assert unseen(shown, keep) == ""
        assert all(a == b or (b == UNSEEN and unseen(a, "")) for a, b in zip(text, shown, strict=True))


@QUICK
@given(TEXTS)
@example(ALL)
def test_only_colours_reach_a_terminal_and_only_where_there_are_any(text: str) -> None:
    assert unseen(escaping.calm(text, painted=False), "\n\t") == ""
    painted = escaping.calm(f"\x1b[1;31m{text}\x1b[0m", painted=True)
    assert unseen(re.sub(r"\x1b\[[\d;]*m", "", painted), "\n\t") == ""


@QUICK
@given(TEXTS)
@example(ALL)
@example(" =1+1")
@example("\t@x")
def test_no_cell_of_csv_is_a_formula_or_more_than_one_cell(text: str) -> None:
    written = comma_separated(["a", "b"], [[text, -0.5]])
    (head, row) = csv.reader(io.StringIO(written))
    assert head == ["a", "b"]
    assert row == [escaping.spreadsheet(text), "-0.5"]
    assert row[0].lstrip()[:1] not in {*"=+-@\t\r"} or not row[0].strip()
    assert row[0].removeprefix("'") in (escaping.visible(text), escaping.visible(text).removeprefix("'"))


@pytest.mark.parametrize("text", PARTS, ids=ascii)
def test_no_character_means_anything_to_latex(text: str) -> None:
    """What is left without the commands of the escapes themselves holds none of TeX's special characters."""
    written = escaping.latex(f"[{text}")
    assert not written.startswith("["), "an argument of the end of a row"
    assert not re.search("--|''|,,|`", written), "what TeX joins to a dash or to quotes"
    rest = re.sub(r"\\text[a-z]+\{\}|\\[&%$#_{}]|\{[][]\}|\$(-|\\pm)\$|(?<=[-',])\{\}", "", written)
    assert not {*"\\{}$&#^_%~"} & {*rest}


def test_code_in_a_sentence_is_code_in_latex() -> None:
    told = escaping.latex_prose("`a_b` beside `--no-audit`, 50 %")
    assert told == r"\texttt{a\_b} beside \texttt{-{}-no-audit}, 50 \%"
    assert escaping.latex_prose("-0.5 to `x=-1` of 2020-12") == r"$-$0.5 to \texttt{x=-1} of 2020-12"
    assert escaping.latex_prose("one ` alone") == r"one \textasciigrave{} alone"


@QUICK
@given(TEXTS)
@example(ALL)
def test_xml_has_the_text_and_nothing_else(text: str) -> None:
    shown = escaping.xml(text)
    root = ElementTree.fromstring(f'<a b="{shown}">{shown}</a>'.encode())
    assert (len(root), set(root.attrib)) == (0, {"b"})
    assert root.text == (escaping.in_place(text, "\n") or None)
    assert unseen(shown) == ""


INLINE = {"text", "code_inline", "html_inline", "softbreak"}
OF_OURS = re.compile(r"</?code>")


@pytest.mark.parametrize("write", [escaping.code, escaping.prose, escaping.tagged])
@QUICK
@given(text=TEXTS)
@example(text=ALL)
@example(text="".join(PARTS))
def test_markdown_has_the_text_and_nothing_else(write: Callable[[str], str], text: str) -> None:
    """Neither a link nor a picture, nor a tag, nor another cell."""
    shown = write(text)
    assert unseen(shown, "") == ""
    assert unseen(html.unescape(shown), "") == ""
    page = RENDERER.parse(f"| a | b |\n|---|---|\n| {shown} | c |\n")
    cells = [token for token in page if token.type == "inline"]
    assert len(cells) == 4
    children = cells[2].children or []
    assert {child.type for child in children} <= INLINE
    assert all(OF_OURS.fullmatch(child.content) for child in children if child.type == "html_inline")
    read = "".join(c.content for c in children if c.type in ("text", "code_inline"))
    if len(text) < 300:
        wanted = escaping.visible(text)
        even = write is escaping.prose and wanted.count("`") % 2 == 0
        assert read.split() == (wanted.replace("`", "") if even else wanted).split()


def test_numbers_in_a_sentence_of_markdown_are_as_they_are() -> None:
    told = "-1.75 points, 95 % interval -3.14 to 0.5: 1.46e-15, 57.0 ± 19.8"
    assert escaping.prose(told) == told
    assert escaping.prose(f"{told}.") == f"{told}&#46;"


@pytest.mark.parametrize(
    "text",
    ["1.1.1.1", "a1.5", "1.5a", "x/1.5", "1.5/x", "1.5.com", "a@1.5", "a:1.5", "é1.5", "1.5é", "1.5:80"],
)
def test_what_may_be_a_name_or_an_address_keeps_no_point(text: str) -> None:
    shown = escaping.prose(text)
    assert "." not in shown
    assert html.unescape(shown) == text


@QUICK
@given(TEXTS)
@example(ALL)
def test_within_html_it_is_text(text: str) -> None:
    shown = escaping.tagged(text).removeprefix("<code>").removesuffix("</code>")
    assert not set(shown) & set("<>`|\n") or re.fullmatch(r"[^<`|\n]*", shown)
    assert "](" not in shown


@QUICK
@given(TEXTS, TEXTS)
@example(ALL, ALL)
def test_a_workflow_command_is_one_line_and_says_what_it_should(text: str, other: str) -> None:
    line = f"::error file={escaping.workflow_property(text)}::{escaping.workflow(text, other)}"
    assert unseen(line, "") == ""
    name, properties, message = command(line)
    assert (name, set(properties)) == ("error", {"file"})
    assert message == f"{escaping.visible(text)}\n{escaping.visible(other)}"
    assert unseen(properties["file"], "\r\n") == ""


@QUICK
@given(TEXTS)
@example(ALL)
def test_mermaid_reads_one_text_without_markup(text: str) -> None:
    shown = escaping.mermaid(text)
    assert re.fullmatch(r"(?:[\w _.,:/()=→×…–+^�-]|#\d+;)*", shown)
    read = re.sub(r"#(\d+);", lambda found: chr(int(found[1])), shown)
    assert unseen(read, "") == ""
    assert read == escaping.in_place(" ".join(text.split()))


@QUICK
@given(TEXTS)
@example(ALL)
def test_dot_reads_one_string(text: str) -> None:
    shown = escaping.dot(text)
    assert unseen(shown, "") == ""
    assert re.fullmatch(r'(?:[^"\\]|\\["\\])*', shown)
    assert html.unescape(re.sub(r"\\(.)", r"\1", shown)) == escaping.in_place(text, "")


@QUICK
@given(TEXTS)
@example(ALL)
def test_json_is_ascii_and_any_parser_reads_it(text: str) -> None:
    shown = json_text({text: [text]})
    assert shown.isascii()
    read = json.loads(shown)
    ((key, values),) = read.items()
    assert values == [key]
    key.encode()


@QUICK
@given(TEXTS)
@example(ALL)
def test_sarif_has_no_links(text: str) -> None:
    shown = escaping.sarif(text)
    assert unseen(shown, "") == ""
    assert not re.search(r"\[[^\]]*\]\(", shown)


@QUICK
@given(TEXTS)
@example(ALL)
def test_python_has_a_docstring_and_a_comment_and_no_code(text: str) -> None:
    shown = escaping.docstring(text)
    assert unseen(shown, "") == ""
    module = ast.parse(f'"""{shown} """\n# {shown}\nx = 1  # {shown}\n')
    assert [type(line) for line in module.body] == [ast.Expr, ast.Assign]
    assert ast.get_docstring(module, clean=False) == f"{text} "


@QUICK
@given(NAMES)
@example("a\n--- b\n+++ c\n")
@example(os.fsdecode(b"\xff\x9b2J"))
def test_a_patch_names_one_file(name: str) -> None:
    shown = escaping.patch(name)
    assert unseen(shown, "") == ""
    if shown.startswith('"'):
        shown = ast.literal_eval(f"b{shown}").decode("utf-8", "surrogateescape")
    assert shown == name


OWN = re.compile(
    r"saxutils|unicode_escape|&#|quoteattr|html\.escape|unicodedata import .*category|%0A|re\.escape\(.*html"
)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+cmd|'/c calc'!A0", "'+cmd|'/c calc'!A0"),
        ("-2+3", "'-2+3"),
        (" =1", "' =1"),
        ("\t=1", "\\t=1"),
        ("＝1", "'＝1"),
        ("-2.5e-3", "-2.5e-3"),
        ("+1", "+1"),
        ("a=b-c", "a=b-c"),
        ("", ""),
    ],
)
def test_no_cell_is_a_formula(text: str, written: str) -> None:
    assert escaping.cell(text) == written


def test_no_other_module_escapes() -> None:
    files = [*ROOT.glob("fac/**/*.py"), *ROOT.glob("backends/**/*.py")]
    assert len(files) > 300
    found = [str(f.relative_to(ROOT)) for f in files if OWN.search(f.read_text("utf-8"))]
    assert found == ["fac/escaping.py"]
