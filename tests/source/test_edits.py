"""Edits of texts: what changes, what stays to the letter, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fac.diagnostics import Edit, Fix, Path
from fac.source import parse_text
from fac.source.edits import Edited, edited


def fix(*edits: Edit) -> Fix:
    return Fix("for tests", edits)


def out(*path: str | int) -> Fix:
    return fix(Edit(path, None))


def put(text: str, *path: str | int) -> Fix:
    return fix(Edit(path, text))


def call(text: str, *path: str | int) -> Fix:
    return fix(Edit(path, text, key=True))


def after(text: str, *fixes: Fix) -> str:
    """The text with all the fixes made."""
    document = parse_text(text)
    assert not document.diagnostics
    result = edited(document, fixes)
    assert result.applied == tuple(dict.fromkeys(fixes))
    return result.document.text


REPLACED = {
    "plain": ("a: one  # c\n", "a: two  # c\n"),
    "single quotes": ("a: 'one'\n", "a: 'two'\n"),
    "double quotes": ('a: "one"   # c\n', 'a: "two"   # c\n'),
    "flow": ("{a: one, b: 1}\n", "{a: two, b: 1}\n"),
    "flow without blanks": ("a: {b: [one,1]}\n", "a: {b: [two,1]}\n"),
    "JSON": ('{\n\t"a": "one"\n}', '{\n\t"a": "two"\n}'),
    "carriage returns": ("x: 1\r\na: one\r\nb: 2\r\n", "x: 1\r\na: two\r\nb: 2\r\n"),
    "no line end": ("a: one", "a: two"),
    "anchor": ("a: &x one\n", "a: &x two\n"),
    "wide letters": ("ä: 'ü'\na: one # é\n", "ä: 'ü'\na: two # é\n"),
}


@pytest.mark.parametrize(("before", "expected"), REPLACED.values(), ids=REPLACED)
def test_a_value_is_replaced_in_its_quotes(before: str, expected: str) -> None:
    path: Path = ("a", "b", 0) if before.startswith("a: {") else ("a",)
    assert after(before, put("two", *path)) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"512"', "512", "512"),
        ("'512'", "512", "512"),
        ("no", "false", "false"),
        ("one", '"12"', '"12"'),
        ("one", '"true"', '"true"'),
        ("one", '"a: b"', '"a: b"'),
        ("'one'", '"it\'s"', "'it''s'"),
        ("'one'", '"a\\nb"', '"a\\nb"'),
        ("one", '"*"', '"*"'),
        ("one", '"fc*"', "fc*"),
        ("12", "13", "13"),
    ],
)
def test_how_a_value_is_written(old: str, new: str, expected: str) -> None:
    assert after(f"k: [{old}, 1]\n", put(new, "k", 0)) == f"k: [{expected}, 1]\n"


def test_a_key_is_renamed() -> None:
    assert after("uot: 1 # c\n", call("out", "uot")) == "out: 1 # c\n"
    assert after("x: {'uot':1}\n", call("out", "x", "uot")) == "x: {'out':1}\n"
    assert after('{"uot": "1"}', call("out", "uot"), put("1", "uot")) == '{"out": 1}'
    assert after("x:\n  uot:\n    b: 1\n", call("out", "x", "uot"), put("2", "x", "uot", "b")) == (
        "x:\n  out:\n    b: 2\n"
    )


BLOCK = """\
# head
a:
  - x: 1  # one
    y: 2

  # about two
  - {x: 2}  # two
  - x: [
      3,  # three
    ]
  # end
b: 1
"""
JSON = """\
{
  "a": [
    {"x": 1},
    {"x": 2},
    {
      "x": 3
    }
  ],
  "b": 1
}
"""
REMOVED = {
    "block, first": (BLOCK, [("a", 0)], BLOCK.replace("  - x: 1  # one\n    y: 2\n", "")),
    "block, middle": (BLOCK, [("a", 1)], BLOCK.replace("  - {x: 2}  # two\n", "")),
    "block, last": (BLOCK, [("a", 2)], BLOCK.replace("  - x: [\n      3,  # three\n    ]\n", "")),
    "block, two": (
        BLOCK,
        [("a", 0), ("a", 2)],
        "# head\na:\n\n  # about two\n  - {x: 2}  # two\n  # end\nb: 1\n",
    ),
    "block, all": (BLOCK, [("a", 0), ("a", 1), ("a", 2)], "# head\na: []\n\n  # about two\n  # end\nb: 1\n"),
    "block, entry": (BLOCK, [("b",)], BLOCK.replace("b: 1\n", "")),
    "block, entry behind a dash": (BLOCK, [("a", 0, "x")], BLOCK.replace("x: 1  # one\n    y", "y")),
    "block, entry below a dash": (BLOCK, [("a", 0, "y")], BLOCK.replace("    y: 2\n", "")),
    "block, all entries of an item": (
        "a:\n  - x: 1\n    y: 2 # c\n  - 3\n",
        [("a", 0, "x"), ("a", 0, "y")],
        "a:\n  - {} # c\n  - 3\n",
    ),
    "block, two entries behind a dash": (
        "a:\n  - x: 1\n    y: 2 # c\n    z: 3\n    w: 4\n",
        [("a", 0, "x"), ("a", 0, "y")],
        "a:\n  - z: 3\n    w: 4\n",
    ),
    "block, not indented": ("a:\n- 1\n- 2\nb: 3\n", [("a", 1)], "a:\n- 1\nb: 3\n"),
    "block, no line end": ("a:\n- 1\n- 2", [("a", 1)], "a:\n- 1\n"),
    "block, carriage returns": ("a:\r\n- 1\r\n- 2\r\nb: 3\r\n", [("a", 0)], "a:\r\n- 2\r\nb: 3\r\n"),
    "block, only one": ("a:  # c\n  - 1\nb: 3\n", [("a", 0)], "a: []  # c\nb: 3\n"),
    "block, only key": ("a:\n  x: 1\nb: 3\n", [("a", "x")], "a: {}\nb: 3\n"),
    "block, list in a list": ("a:\n  - - 1\n    - 2\n", [("a", 0, 0)], "a:\n  - - 2\n"),
    "block, text": ("a:\n  - |\n    x\n    y\n  - 2\n", [("a", 0)], "a:\n  - 2\n"),
    "block, nothing written": ("a:\n  x:\n  y: 1\n", [("a", "x")], "a:\n  y: 1\n"),
    "flow, first": ("a: [1, 2, 3]\n", [("a", 0)], "a: [2, 3]\n"),
    "flow, middle": ("a: [1, 2, 3]\n", [("a", 1)], "a: [1, 3]\n"),
    "flow, last": ("a: [1, 2, 3]\n", [("a", 2)], "a: [1, 2]\n"),
    "flow, last two": ("a: [1, 2, 3]\n", [("a", 1), ("a", 2)], "a: [1]\n"),
    "flow, ends": ("a: [1, 2, 3] # c\n", [("a", 0), ("a", 2)], "a: [2] # c\n"),
    "flow, all": ("a: [1, 2]\n", [("a", 0), ("a", 1)], "a: []\n"),
    "flow, without blanks": ("a: [1,2,3]\n", [("a", 1)], "a: [1,3]\n"),
    "flow, with blanks": ("a: { x: 1, y: 2 }\n", [("a", "y")], "a: { x: 1 }\n"),
    "flow, first with blanks": ("a: { x: 1, y: 2 }\n", [("a", "x")], "a: { y: 2 }\n"),
    "flow, comma at the end": ("a: [1, 2,]\n", [("a", 1)], "a: [1, ]\n"),
    "flow, nothing written": ("a: {x: , y, z: 1}\n", [("a", "x"), ("a", "y")], "a: {z: 1}\n"),
    "flow, anchor": ("a: [1, &x 2, 3]\n", [("a", 1)], "a: [1, 3]\n"),
    "flow, comments": (
        "a: [\n  1, # one\n  2, # two\n  3 # three\n]\n",
        [("a", 1)],
        "a: [\n  1, # one\n  3 # three\n]\n",
    ),
    "flow, comments, last": (
        "a: [\n  1, # one\n  2, # two\n  3 # three\n]\n",
        [("a", 1), ("a", 2)],
        "a: [\n  1 # one\n]\n",
    ),
    "flow, commas and brackets in text": (
        "a: ['],', \"x,\", 1]\n",
        [("a", 0)],
        'a: ["x,", 1]\n',
    ),
    "JSON, first": (JSON, [("a", 0)], JSON.replace('    {"x": 1},\n', "")),
    "JSON, last": (JSON, [("a", 2)], JSON.replace(',\n    {\n      "x": 3\n    }', "")),
    "JSON, last entry": (JSON, [("b",)], JSON.replace(',\n  "b": 1', "")),
    "JSON, on one line": ('{"a":[{"x":1},{"x":2}],"b":1}', [("a", 0), ("b",)], '{"a":[{"x":2}]}'),
}


@pytest.mark.parametrize(("before", "paths", "expected"), REMOVED.values(), ids=REMOVED)
def test_entries_are_removed(before: str, paths: list[Path], expected: str) -> None:
    assert after(before, *(out(*path) for path in paths)) == expected


def test_json_stays_json() -> None:
    text = after(JSON, out("a", 1), out("a", 2), call("c", "b"))
    assert json.loads(text) == {"a": [{"x": 1}], "c": 1}


def applied(text: str, *fixes: Fix) -> tuple[str, list[int]]:
    """The text, and the numbers of the fixes that were made."""
    document = parse_text(text)
    result = edited(document, fixes)
    return result.document.text, [i for i, fix in enumerate(fixes) if fix in result.applied]


def test_a_repeated_fix_is_made_once() -> None:
    assert after("a: [1, 2]\n", out("a", 0), out("a", 0)) == "a: [2]\n"


def test_fixes_that_meet_are_left_for_later() -> None:
    assert applied("a: {b: 1}\nc: 2\n", put("2", "a", "b"), put("3", "a", "b")) == ("a: {b: 2}\nc: 2\n", [0])
    assert applied("a: {b: 1}\nc: 2\n", put("2", "a", "b"), out("a")) == ("a: {b: 2}\nc: 2\n", [0])
    assert applied("a: {b: 1}\nc: 2\n", out("a"), put("2", "a", "b")) == ("c: 2\n", [0])
    assert applied("a: {b: 1}\nc: 2\n", out("a"), call("d", "a")) == ("c: 2\n", [0])
    assert applied("a: {b: 1}\nc: 2\n", call("d", "a"), out("a")) == ("d: {b: 1}\nc: 2\n", [0])


def test_two_keys_cannot_become_one() -> None:
    text = "oot: 1\nuot: 2\n"
    assert applied(text, call("out", "oot"), call("out", "uot")) == (text, [])
    assert applied("out: 1\nuot: 2\n", call("out", "uot")) == ("out: 1\nuot: 2\n", [])


def test_a_fix_is_made_whole_or_not_at_all() -> None:
    both = fix(Edit(("a",), "2"), Edit(("c",), None))
    assert applied("a: 1\nc: 2\n", both) == ("a: 2\n", [0])
    assert applied("a: 1\nc: 2\n", put("3", "c"), both) == ("a: 1\nc: 3\n", [0])


def test_text_that_stands_for_several_values_is_left() -> None:
    text = "a: &m {r: 1}\nb: *m\nc: {r: 1}\n"
    fixes = [put("2", key, "r") for key in "abc"]
    assert applied(text, *fixes) == (text.replace("c: {r: 1", "c: {r: 2"), [2])
    assert applied(text, out("a"), out("b")) == ("c: {r: 1}\n", [0, 1])
    assert applied(text, out("a")) == (text, [])


@pytest.mark.parametrize(
    ("text", "fixes"),
    [
        ("? a\n: 1\nb: 2\n", [out("a")]),
        ("a:\nb: 1\n", [put("2", "a")]),
        ("a: 1\n", [put("2", "b"), out("b"), out("a", 0)]),
        ("a: [1, 2\n", [out("a", 0)]),
        ("a: 1\na: 2\n", [put("2", "a")]),
    ],
)
def test_what_cannot_be_done_is_left(text: str, fixes: list[Fix]) -> None:
    assert applied(text, *fixes) == (text, [])


def test_a_byte_order_mark_is_kept() -> None:
    result = edited(parse_text("\ufeffa: 1\r\n"), [put("2", "a")])
    assert result.document.mark + result.document.text == "\ufeffa: 2\r\n"


def test_many_fixes_with_a_bad_one() -> None:
    text = "x: &x 1\ny: *x\n" + "".join(f"k{i}: {i}\n" for i in range(300))
    fixes = [put("5", "x"), *(put("0", f"k{i}") for i in range(300))]
    result = edited(parse_text(text), fixes)
    assert len(result.applied) == 300


# -- any data in any layout ----------------------------------------------------------------------------------------

SCALARS = st.sampled_from([1, 2.5, True, None, "one", "a b", "it's", "x, y", "# no", "12", "", "ü"])
KEYS = st.sampled_from(["a", "b", "c d", "e,", "1", "#"])
DATA = st.dictionaries(
    KEYS,
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
        max_leaves=12,
    ),
    min_size=1,
    max_size=4,
)


def block(value: Any, depth: int = 0) -> str:
    """Plain data in block style, with a comment at each scalar."""
    indent = "  " * depth
    if not isinstance(value, dict | list) or not value:
        return f" {json.dumps(value, ensure_ascii=False)} # c\n"
    rows = value.items() if isinstance(value, dict) else ((None, item) for item in value)
    text = "" if not depth else "\n"
    for key, item in rows:
        text += f"{indent}{'-' if key is None else json.dumps(key) + ':'}{block(item, depth + 1)}"
    return text


LAYOUTS: dict[str, Callable[[Any], str]] = {
    "block": block,
    "one line": json.dumps,
    "indented": lambda data: json.dumps(data, indent=2),
    "tight": lambda data: json.dumps(data, separators=(",", ": ")),
}


def paths(value: Any, at: Path = ()) -> list[Path]:
    rows = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for part, item in rows for path in [(*at, part), *paths(item, (*at, part))]]


@settings(max_examples=150)
@given(st.data())
def test_every_removal_is_made_in_every_layout(data: st.DataObject) -> None:
    value = data.draw(DATA)
    text = LAYOUTS[data.draw(st.sampled_from(sorted(LAYOUTS)))](value)
    document = parse_text(text)
    chosen = data.draw(st.lists(st.sampled_from(paths(value)), min_size=1, max_size=4, unique=True))
    chosen = [p for p in chosen if not any(p != q and p[: len(q)] == q for q in chosen)]
    if len({p for p in chosen if len(p) == 1}) == len(value):
        return  # nothing would be left
    result: Edited = edited(document, [out(*path) for path in chosen])
    assert len(result.applied) == len(chosen), text
