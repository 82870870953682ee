"""`# fac: ignore[...]`: which of them a text has, and what they are about."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fac import source
from fac.diagnostics import Span
from fac.source.comments import Ignore, ignores

KNOWN = {code.lower(): code for code in ("FAC101", "FAC203", "FAC301")} | {"shape-mismatch": "FAC203"}
MARK = "# fac: ignore[FAC301]"


def found(text: str) -> tuple[Ignore, ...]:
    """The ignores of a text of YAML in which nothing else is wrong."""
    document = source.parse_text(text)
    assert not document.diagnostics
    kept, wrong = ignores(document, KNOWN)
    assert not wrong
    return kept


def lines(text: str) -> list[int | None]:
    return [ignore.line for ignore in found(text)]


def wrong(text: str) -> list[tuple[str, str]]:
    kept, invalid = ignores(source.parse_text(text), KNOWN)
    assert not kept
    assert {finding.rule.code for finding in invalid} <= {"FAC110"}
    return [(finding.message, finding.help) for finding in invalid]


def test_at_the_end_of_a_line() -> None:
    (ignore,) = found("a: 1\nb: 2  # fac: ignore[FAC301] because\nc: 3\n")
    assert ignore == Ignore(Span(2, 7, 2, 36), ("FAC301",), 2)


def test_alone_above_a_line() -> None:
    (ignore,) = found("a: 1\n  # fac: ignore[FAC301, shape-mismatch] because   \nb: 2\n")
    assert ignore == Ignore(Span(2, 3, 2, 48), ("FAC301", "FAC203"), 3)


def test_several_comments_above_one_line() -> None:
    assert lines(f"a: 1\n{MARK}\n# prose\n{MARK}\nb: 2\n") == [5, 5]


def test_a_blank_line_ends_what_a_comment_is_about() -> None:
    assert lines(f"a: 1\n{MARK}\n\nb: 2\n") == [3]


def test_at_the_end_of_the_file() -> None:
    assert lines(f"a: 1\n{MARK}") == [3]


def test_for_a_whole_file() -> None:
    text = "%YAML 1.2\n# about\n\n# fac: ignore-file[FAC301] because\n---\n# fac: ignore-file[FAC203]\na: 1\n"
    assert [(i.codes, i.line) for i in found(text)] == [(("FAC301",), None), (("FAC203",), None)]


def test_for_a_file_of_comments() -> None:
    document = source.parse_text("# fac: ignore-file[FAC101]\n")
    assert [ignore.line for ignore in ignores(document, KNOWN)[0]] == [None]


def test_several_in_one_comment() -> None:
    one, two = found("a: 1 # see # fac: ignore[FAC301] x # fac: ignore[FAC203] y\n")
    assert (one.span, one.codes) == (Span(1, 12, 1, 35), ("FAC301",))
    assert (two.span, two.codes) == (Span(1, 36, 1, 59), ("FAC203",))


@pytest.mark.parametrize(
    "text",
    [
        "#fac:ignore[FAC301]",
        "#\tfac:\tignore [fac301]",
        "# fac: ignore[ FAC301 ,]",
        "# fac: ignore[FAC301 FAC203]",
    ],
)
def test_ways_to_write_it(text: str) -> None:
    (ignore,) = found(f"a: 1 {text}\n")
    assert ignore.codes[0] == "FAC301"


@pytest.mark.parametrize(
    "text",
    [
        f'a: "{MARK}"\n',
        f"a: '{MARK}'\n",
        f'a: "x\n  {MARK}\n  y"\n',
        f"a: 'x\n\n  {MARK}'\n",
        f"a: |\n  {MARK}\n  y {MARK}\n",
        f"a: >-\n\n   {MARK}\n",
        f"a: &anchor |2+\n    {MARK}\n\nb: 1\n",
        f"a: !!str >\n  {MARK}\n",
        "a: x#fac: ignore[FAC301]\n",
        f'"{MARK}": 1\n',
        f"? |\n  {MARK}\n: 1\n",
        f'{{"a": ["{MARK}"]}}\n',
        f'a: "é😀 {MARK}"\n',
    ],
)
def test_within_a_scalar_it_is_text(text: str) -> None:
    assert ignores(source.parse_text(text), KNOWN) == ((), ())


@pytest.mark.parametrize(
    "text",
    [
        f'a: "# x" {MARK}\n',
        f'a: "x\n  # y" {MARK}\n',
        f"a: | {MARK}\n  # x\n",
        f"a: &anchor !!str >- {MARK}\n  x\n",
        f"a: x#y {MARK}\n",
        f"a: {{b: 1}}{MARK}\n",
        f"a: [1,{MARK}\n  2]\n",
        f"- &x 1 {MARK}\n- *x {MARK}\n",
        f"a: {MARK}\n  1\n",
        f"{{ {MARK}\n'a': 1 }}\n",
        f"a: 'it''s' {MARK}\n",
        f'a: "\\"" {MARK}\n',
        f"a: 1\n... {MARK}\n",
        f"--- {MARK}\na: 1\n",
        f"a: é😀 {MARK}\r\n",
    ],
)
def test_behind_a_scalar_it_is_a_comment(text: str) -> None:
    document = source.parse_text(text)
    kept, invalid = ignores(document, KNOWN)
    assert not invalid
    assert kept
    for ignore in kept:
        assert ignore.line == ignore.span.line
        assert document.lines[ignore.span.line - 1][ignore.span.column - 1 :].startswith("# fac:")
        assert ignore.span.end_column == len(document.lines[ignore.span.line - 1]) + 1


@pytest.mark.parametrize("text", ["a: [\n# fac: ignore[FAC301]\n", "a: 'x\n# fac: ignore[FAC301]\n"])
def test_a_text_that_is_not_yaml_has_no_comments(text: str) -> None:
    assert source.parse_text(text).diagnostics
    assert ignores(source.parse_text(text), KNOWN) == ((), ())


def test_data_of_python_has_no_comments() -> None:
    assert ignores(source.from_data({"a": MARK}), KNOWN) == ((), ())


EXAMPLE = "write `# fac: ignore[FAC301] reason`"
EVERY = "`fac rule` lists all of them"


@pytest.mark.parametrize(
    ("comment", "message", "help"),
    [
        ("ignore", "the comment names no rule that is to be ignored", EXAMPLE),
        ("ignore FAC301", "the comment names no rule that is to be ignored", EXAMPLE),
        ("ignore[]", "the comment names no rule that is to be ignored", EXAMPLE),
        ("ignore-file[ , ]", "the comment names no rule that is to be ignored", EXAMPLE),
        ("ignore[FAC301 reason", "the bracket of the comment is not closed", EXAMPLE),
        ("ignore[FAC31]", "no rule is called `FAC31`", "did you mean `FAC301`?"),
        ("ignore[shape-missmatch]", "no rule is called `shape-missmatch`", "did you mean `shape-mismatch`?"),
        ("ignore[qqq]", "no rule is called `qqq`", EVERY),
        (
            "ignroe[FAC301]",
            "`ignroe` is nothing that a `# fac:` comment can ask for",
            "did you mean `ignore`?",
        ),
        ("noqa [FAC301]", "`noqa` is nothing that a `# fac:` comment can ask for", EXAMPLE),
        (
            "ignore-file[FAC301]",
            "`ignore-file` stands below the first value of the file",
            "move it to the top, or write `ignore`",
        ),
    ],
)
def test_what_is_wrong_with_it(comment: str, message: str, help: str) -> None:
    assert wrong(f"a: 1\nb: 2 # fac: {comment}\n") == [(message, help)]


def test_what_is_known_counts_beside_what_is_not() -> None:
    kept, invalid = ignores(source.parse_text("a: 1 # fac: ignore[FAC999, FAC301]\n"), KNOWN)
    assert [ignore.codes for ignore in kept] == [("FAC301",)]
    assert [finding.message for finding in invalid] == ["no rule is called `FAC999`"]


@pytest.mark.parametrize(
    "text", ["# fac: 1", "# fac: compares with last year", "# see fac: ignore[FAC301]", "# fac"]
)
def test_prose_is_left_alone(text: str) -> None:
    assert ignores(source.parse_text(f"{text}\na: 1 {text}\n"), KNOWN) == ((), ())


# -- by construction -----------------------------------------------------------------------------------------------

VALUES = (
    "1",
    "x#y",
    f'"{MARK}"',
    f"'it''s {MARK}'",
    f'"x\n\n  {MARK}\n  y"',
    f"'é😀\n  {MARK}'",
    f"[a, 'b {MARK}', {{c: 1}}]",
    "{a: 1,\n  b: 2}",
    f"|{{}}\n  x {MARK}\n  {MARK}",
    f">-{{}}\n  x\n\n  {MARK}",
    f"&k{{number}} |{{}}\n  {MARK}",
    f'!!str "{MARK}"',
    "",
)
"""`{}` is where a comment may stand if not behind the value."""


@st.composite
def texts(draw: st.DrawFn) -> tuple[str, list[int | None]]:
    """A text and the lines that its comments are about."""
    text, expected = "", list[int | None]()
    for _ in range(draw(st.integers(0, 2))):
        text += draw(st.sampled_from(["# prose\n", "\n"]))
    if draw(st.booleans()):
        text += "# fac: ignore-file[FAC301] at the top\n"
        expected.append(None)
    for number in range(draw(st.integers(1, 6))):
        above = draw(st.integers(0, 2))
        text += "".join(f"{' ' * draw(st.integers(0, 1))}{MARK}\n" for _ in range(above))
        line = text.count("\n") + 1
        expected += [line] * above
        value = draw(st.sampled_from(VALUES)).replace("{number}", str(number))
        comment = draw(st.sampled_from(["", f" {MARK}", f"   {MARK} why # not", "  # prose"]))
        before, _, after = value.partition("{}")
        entry = before + comment + after
        if MARK in comment:
            expected.append(line + before.count("\n"))
        text += f"key{number}: {entry}\n"
        text += draw(st.sampled_from(["", "\n"]))
    return text, expected


@settings(max_examples=300)
@given(texts())
def test_any_text(made: tuple[str, list[int | None]]) -> None:
    text, expected = made
    assert lines(text) == expected
    assert lines(text.replace("\n", "\r\n")) == expected
