"""Hostile texts at every place of a spec and of settings: what formats of findings, and pictures, make of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from fac.diagnostics import Diagnostic, FacError, Path, SpecError
from fac.lint.run import linted
from fac.lint.schema import parse as parse_settings
from fac.lint.settings import Settings
from fac.pipeline import parse, resolved
from fac.program.program import Program
from fac.render import graph
from fac.render.findings import Checked, Report, render
from fac.render.findings.summary import markdown
from fac.source import Document, override, parse_text
from tests.escaping.texts import ALL, NAMES, PARTS, TEXTS, assert_calm, unseen
from tests.render.formats.checked import command

SPEC: dict[str, Any] = {
    "fac": 1,
    "name": "a",
    "inputs": {"left": {"shape": [8]}, "right": {"shape": [8]}},
    "layers": [
        {"kind": "linear", "name": "fc1", "from": "left", "out": 8},
        {
            "kind": "repeat",
            "name": "block",
            "times": 2,
            "body": [{"kind": "linear", "name": "inner", "out": 8}],
        },
        {"kind": "add", "name": "sum", "from": ["block", "right"]},
        {"kind": "linear", "name": "logits", "out": 4},
    ],
    "losses": [{"kind": "cross_entropy", "of": "logits", "target": "y", "name": "main"}],
    "feedback": {
        "subspaces": [{"name": "task", "of": "loss", "rank": 2}],
        "routes": [
            {"through": "logits", "matrix": {"kind": "low_rank", "rank": 2}},
            {"to": "fc1", "from": "task", "matrix": {"kind": "random"}},
        ],
    },
    "update": {"rule": "sgd", "lr": 0.1, "groups": [{"match": "*.bias", "lr_scale": 0}]},
    "data": {"source": "arrays", "train": "a.npz", "test": "b.npz", "names": ["left", "right", "y"]},
    "train": {"epochs": 1, "batch": 8},
    "probes": [{"kind": "alignment"}],
    "constraints": {"max_rank": 1},
}


def places(data: Any, path: Path = ()) -> Iterator[tuple[Path, bool]]:
    """Each text, and each key, of a spec."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield (*path, key), True
            yield from places(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from places(value, (*path, index))
    elif isinstance(data, str):
        yield path, False


PLACES = tuple(places(SPEC))


def changed(text: str, path: Path, key: bool) -> dict[str, Any]:
    """The spec with a text at a place."""
    spec = deepcopy(SPEC)
    *above, last = path
    at: Any = spec
    for part in above:
        at = at[part]
    if key:
        at[text] = at.pop(last)
    else:
        at[last] = text
    return spec


def report(spec: dict[str, Any], name: str, comment: str, *assignments: str) -> Report:
    """What is found in its text, with a comment and a file that cannot be read beside it."""
    written = json.dumps(spec, indent=1, ensure_ascii=False)
    body = "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in written)
    note = "".join(c for c in comment if c.isprintable())
    document = override(parse_text(f"{body}\n# fac: ignore[{note}] {note}\n", name), assignments)
    found = linted(document, Settings())
    checked = Checked(document, found.findings, ignored=found.ignored, ran=found.ran)
    return Report((checked,), ((name, f"`{name}` cannot be read"),), root="/")


FULL = re.compile(
    r"(error|warning)\[FAC\d+\]: .+|  --> .+| *\d+ \|( .*)?|     *\|[ \t]*\^+| +=  ?help: .+|\d+ .+ in 1 file.*|"
)


def assert_findings_are_calm(of: Report) -> None:
    findings = of.checked[0].findings
    full, concise, github = (render(form, of) for form in ("full", "concise", "github"))
    for text in (full, concise):
        assert_calm(text.replace("\t", " "))
    assert [line for line in full.split("\n") if not FULL.fullmatch(line)] == []
    assert len(concise.split("\n")) == len(findings) + 1
    assert unseen(github) == ""
    *commands, _ = github.split("\n")
    assert len(commands) == len(findings) + 1
    for line in commands:
        assert set(command(line)[1]) <= {"title", "file", "line", "col", "endLine", "endColumn"}
    for form in ("json", "gitlab", "sarif"):
        text = render(form, of)
        assert text.isascii()
        assert told(json.loads(text)) == []
    junit = ElementTree.fromstring(render("junit", of))
    assert {e.tag for e in junit.iter()} <= {
        "testsuites",
        "testsuite",
        "testcase",
        "failure",
        "error",
        "skipped",
        "system-out",
    }
    for element in junit.iter():
        assert all(unseen(text, "\n\t") == "" for text in (element.text or "", *element.attrib.values()))
    assert_page_is_calm(markdown(of, drawn, "https://example.org/blob", 10**6))


READ = frozenset({"message", "help", "description", "text", "check_name", "name"})
"""Fields that people are shown. Paths, and text to be inserted, are for programs, which need them as they are."""


def told(found: Any, key: str = "") -> list[str]:
    """What should not be in a text that people are shown."""
    if isinstance(found, dict):
        shown = {k: v for k, v in found.items() if k != "insertedContent"}
        return [bad for k, v in shown.items() for bad in told(v, k)]
    if isinstance(found, list):
        return [bad for item in found for bad in told(item, key)]
    bad = unseen(found) if isinstance(found, str) and key in READ else ""
    return [found] if bad else []


TAGS = re.compile(r"</?code>|<details( open)?><summary>.*</summary>\n?|</details>\n?", re.DOTALL)


def assert_page_is_calm(page: str) -> None:
    """Markdown: links lead to the source alone, tags are ours, each chart is one block of its own."""
    assert unseen(page) == ""
    parsed = MarkdownIt("commonmark", {"html": True}).enable("table").parse(page)
    tokens = [child for token in parsed for child in (token, *(token.children or ()))]
    kinds = {token.type for token in tokens}
    assert "image" not in kinds
    for token in tokens:
        if token.type == "link_open":
            assert str(token.attrs["href"]).startswith("https://example.org/blob/")
        if token.type in ("html_inline", "html_block"):
            assert TAGS.fullmatch(token.content), token.content
            assert "](" not in token.content
        if token.type == "fence":
            assert token.info == "mermaid"
            assert_chart_is_calm(token.content)


CHART = re.compile(r'[\w ,;:#.&%~=<>/(){}^|"\[\]+×→…–\-�]*')


def assert_chart_is_calm(chart: str) -> None:
    """Mermaid: texts are in quotes, and hold nothing but words, entity codes and our line breaks."""
    read = re.sub(r"#(\d+);", lambda found: chr(int(found[1])), chart)
    assert unseen(read) == ""
    for line in chart.split("\n"):
        assert line.count('"') in (0, 2), line
        quoted = line.split('"')[1] if '"' in line else ""
        assert not re.search(r"[<>`\\\[\]{}|]", quoted.replace("<br/>", "")), line
        outside = "".join(line.split('"')[::2]) if not line.strip().startswith("%%") else ""
        assert CHART.fullmatch(outside), line
        assert not re.match(r"\s*click\b", outside), line


def lowered(document: Document) -> Program | None:
    spec, _ = parse(document)
    try:
        return None if spec is None else resolved(spec, document)
    except SpecError:
        return None


def drawn(document: Document) -> str | None:
    program = lowered(document)
    return None if program is None else graph.mermaid(program)


SVG = frozenset({"svg", "title", "desc", "style", "g", "rect", "path", "circle", "text", "tspan"})


def assert_pictures_are_calm(program: Program) -> None:
    svg = graph.render(program, "svg").decode()
    assert unseen(svg) == ""
    root = ElementTree.fromstring(svg)
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= SVG
    for element in root.iter():
        assert not any(key.startswith("on") or "href" in key for key in element.attrib)
    dot = graph.render(program, "dot").decode()
    assert unseen(dot) == ""
    for line in dot.split("\n"):
        # Outside of quotes and of labels of marked-up text nothing is left that a spec has said.
        rest = re.sub(r'"(?:[^"\\]|\\.)*"', "", re.sub(r"label=<<table.*</table>>", "", line))
        assert re.fullmatch(r"[\w ={}\[\];,.<>-]*", rest), line
    assert_chart_is_calm(graph.render(program, "mmd").decode())


@pytest.mark.parametrize(
    ("path", "key"),
    PLACES,
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else str(value),
)
def test_all_texts_at_one_place_of_a_spec(path: Path, key: bool) -> None:
    of = report(changed(ALL, path, key), "a.fac.yaml", "x")
    assert_findings_are_calm(of)
    program = lowered(of.checked[0].document)
    if program is not None:
        assert_pictures_are_calm(program)


@given(st.sampled_from(PLACES), TEXTS, NAMES, TEXTS, TEXTS)
@settings(max_examples=30)
def test_texts_at_any_place_of_a_spec(
    place: tuple[Path, bool], text: str, name: str, comment: str, value: str
) -> None:
    of = report(changed(text, *place), name, comment)
    assert_findings_are_calm(of)
    program = lowered(of.checked[0].document)
    if program is not None:
        assert_pictures_are_calm(program)


def test_a_tab_in_the_name_of_an_input_has_a_sign_in_pictures() -> None:
    program = lowered(report(changed("\t", ("inputs", "left"), True), "a", "x").checked[0].document)
    assert program is not None
    assert_pictures_are_calm(program)


@pytest.mark.parametrize("name", [*PARTS, ALL], ids=ascii)
def test_each_name_of_a_file(name: str) -> None:
    name = re.sub(r"[/\0\ud800-\udbff\udfff]", "", name)
    if name:
        assert_findings_are_calm(report(SPEC, name, name, "update.lr=text"))


@given(TEXTS)
@settings(max_examples=50)
def test_values_of_set(value: str) -> None:
    try:
        assert_findings_are_calm(
            report(SPEC, "a", "x", f"name={json.dumps(value)}", f"layers.fc1.kind={value}")
        )
    except FacError as error:
        assert_calm(str(error))


@given(TEXTS, TEXTS)
@settings(max_examples=50)
def test_keys_and_values_of_settings(key: str, value: str) -> None:
    for said in (
        {key: value},
        {"select": [value]},
        {"severity": {key: value}},
        {"constraints": {key: value}},
    ):
        try:
            parse_settings(said, f"{value}.toml")
        except FacError as error:
            assert_calm(str(error))


def test_a_finding_that_nobody_escaped() -> None:
    """Made by hand, as a plug-in may."""
    from tests.render.formats.checked import RANK

    finding = Diagnostic(RANK, ("name",), ALL, ALL)
    of = report(SPEC, "a", "x")
    of = Report((Checked(of.checked[0].document, (finding,)),), (("a", ALL),), root="/")
    assert_findings_are_calm(of)
