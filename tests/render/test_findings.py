"""Diagnostics in each format, to the character."""

from __future__ import annotations

import re

from fac.diagnostics import Diagnostic, Rule, Severity, Span
from fac.render.findings.concise import concise
from fac.render.findings.full import full
from fac.render.findings.json import as_json
from fac.render.findings.report import summary
from fac.source import Document, from_data, override, parse_text

ERROR = Rule("FAC301", "rank-exceeds-source")
WARNING = Rule("FAC501", "saves-nothing", Severity.WARNING)

SPEC = """\
fac: 1
feedback:
  routes:
    - {to: fc1, from: tsak, matrix: {kind: random}}
update: {lr: 0.1}
"""
TSAK = ERROR.at(("feedback", "routes", 0, "from"), "no `tsak`", help="did you mean `task`?")
VERSION = WARNING.at(("fac",), "the version", key=True)


def document(text: str = SPEC) -> Document:
    return parse_text(text, "mlp.fac.yaml")


def carets(text: str, *path: str | int) -> list[str]:
    """The source line and the caret line of a finding at a path."""
    return full(document(text), [ERROR.at(path, "x")]).splitlines()[2:]


def test_full() -> None:
    assert (
        full(document(), [TSAK, VERSION])
        == """\
warning[FAC501]: the version
  --> mlp.fac.yaml:1:1
   1 | fac: 1
     | ^^^

error[FAC301]: no `tsak`
  --> mlp.fac.yaml:4:23
   4 |     - {to: fc1, from: tsak, matrix: {kind: random}}
     |                       ^^^^
     = help: did you mean `task`?"""
    )


def test_colour_adds_nothing_but_colour() -> None:
    coloured = full(document(), [TSAK, VERSION], color=True)
    assert "\x1b[1;31merror" in coloured
    assert "\x1b[1;33mwarning" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == full(document(), [TSAK, VERSION])


def test_concise() -> None:
    assert concise(document(), [TSAK, VERSION]) == (
        "mlp.fac.yaml:1:1: FAC501 the version\nmlp.fac.yaml:4:23: FAC301 no `tsak`"
    )


def test_json() -> None:
    (row,) = as_json(document(), [TSAK])
    assert row == {
        "code": "FAC301",
        "name": "rank-exceeds-source",
        "severity": "error",
        "message": "no `tsak`",
        "help": "did you mean `task`?",
        "file": "mlp.fac.yaml",
        "line": 4,
        "column": 23,
        "end_line": 4,
        "end_column": 27,
        "path": "feedback.routes[0].from",
        "set": None,
        "fix": None,
    }


def test_findings_at_set_name_the_spec_and_the_assignment() -> None:
    edited = override(document(), ["update.lr=abc"])
    found = ERROR.at(("update", "lr"), "text", help="a number")
    where = "mlp.fac.yaml (--set update.lr=abc)"
    assert full(edited, [found]) == f"error[FAC301]: text\n  --> {where}\n     = help: a number"
    assert concise(edited, [found, VERSION]).splitlines()[1] == f"{where}: FAC301 text"
    (row,) = as_json(edited, [found])
    assert (row["file"], row["line"], row["path"]) == ("mlp.fac.yaml", None, "update.lr")
    assert row["set"] == "update.lr=abc"


def test_of_several_assignments_the_one_that_counts_is_shown() -> None:
    edited = override(document(), ["update.lr=abc", "train.epochs=1", "update={lr: x}", "train.seed=-1"])
    (lr, seed) = as_json(edited, [ERROR.at(("update", "lr"), "x"), ERROR.at(("train", "seed"), "x")])
    assert (lr["set"], seed["set"]) == ("update={lr: x}", "train.seed=-1")


def test_findings_in_python_data_show_the_path() -> None:
    data = from_data({"layers": [{"out": -1}]})
    assert concise(data, [ERROR.at(("layers", 0, "out"), "x")]) == "<python>:layers[0].out: FAC301 x"
    (row,) = as_json(data, [ERROR.at(("layers", 0, "out"), "x")])
    assert (row["file"], row["path"], row["set"]) == ("<python>", "layers[0].out", None)


def test_order_is_position_then_code() -> None:
    found = [WARNING.at(("fac",), "b"), TSAK, ERROR.at(("fac",), "a")]
    assert [line[-1] for line in concise(document(), found).splitlines()] == ["a", "b", "`"]


def test_summary() -> None:
    assert summary([]) == "no findings"
    assert summary([TSAK]) == "1 error"
    assert summary([VERSION, TSAK, TSAK, TSAK]) == "3 errors, 1 warning"


def test_tabs_are_copied_into_the_caret_line() -> None:
    assert carets('{\n\t"a":\t12\n}', "a") == ['   2 | \t"a":\t12', "     | \t    \t^^"]


def test_wide_characters_take_two_columns() -> None:
    assert carets("{名: x, a: 語語}", "a") == ["   1 | {名: x, a: 語語}", "     |            ^^^^"]


def test_a_value_over_lines_shows_its_first_line() -> None:
    text = "a:\n  - b: 1\n    c: 2\n\n\nd: 1"
    assert carets(text, "a", 0) == ["   2 |   - b: 1", "     |     ^^^^"]


def test_a_place_beyond_the_text_is_the_end_of_the_text() -> None:
    found = Diagnostic(ERROR, (), "x", span=Span(9, 4, 9, 5))
    lines = full(document("a: [1\n\n"), [found]).splitlines()
    assert lines[1:] == ["  --> mlp.fac.yaml:1:6", "   1 | a: [1", "     |      ^"]


def test_long_lines_are_cut_around_the_place() -> None:
    line, caret = carets("a: [" + "1, " * 500 + "222, " + "3, " * 500 + "4]", "a", 500)
    assert len(line) < 180
    assert line.startswith("   1 | …, 1")
    assert line.endswith("…")
    assert [line[i] for i, c in enumerate(caret) if c == "^"] == ["2", "2", "2"]


def test_large_line_numbers_widen_the_gutter() -> None:
    assert carets("\n" * 12344 + "a: 1", "a") == ["12345 | a: 1", "      |    ^"]


def test_control_characters_do_not_reach_the_terminal() -> None:
    text = document("a: \x1b[31m")
    assert "\x1b" not in full(text, text.diagnostics)
