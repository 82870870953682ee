"""Escapes for what an encoding lacks, and carets that stay where they point to."""

from __future__ import annotations

from random import Random
from unicodedata import combining

import pytest

from fac.diagnostics import Diagnostic, Rule, Span
from fac.render.encodable import encodable
from fac.render.findings.full import full
from fac.source import parse_text

LETTERS = "ab {}:#\tηéЖ漢ﬀ…𝜂\u0301"
RULE = Rule("FAC301", "a-rule")


def drawn(line: str, start: int, end: int, color: bool) -> str:
    """How a finding about a part of a line is drawn, below its place."""
    span = Span(1, start + 1, 1, end + 1)
    text = full(parse_text(f"{line}\n"), [Diagnostic(RULE, (), "a fact", "a help", span=span)], color)
    return text.split("\n", 2)[2]


@pytest.mark.parametrize("encoding", ["ascii", "cp437", "cp1252", "latin-1", "koi8-r", "shift_jis", "utf-8"])
def test_it_is_drawn_as_if_the_escapes_had_been_written(encoding: str) -> None:
    def escaped(text: str) -> str:
        return text.encode(encoding, "backslashreplace").decode(encoding)

    random = Random(encoding)
    for _ in range(300):
        line = "# " + "".join(random.choices(LETTERS, k=random.randrange(30)))
        # A combining character goes with what stands before it.
        places = [i for i in range(len(line) + 1) if i == len(line) or not combining(line[i])]
        start, end = sorted(random.choices(places, k=2))
        color = random.random() < 0.5
        before, inside = escaped(line[:start]), escaped(line[start:end])
        expected = drawn(escaped(line), len(before), len(before) + len(inside), color)
        if start < end or start == len(line):
            assert encodable(drawn(line, start, end, color), encoding) == expected


def test_signs_of_tables_have_a_spelling() -> None:
    assert encodable("– ± η", "ascii") == "- +- \\u03b7"
    assert encodable("– ± η", "cp1252") == "– ± \\u03b7"


def test_other_lines_are_not_taken_for_carets() -> None:
    assert encodable("η\n  | ^^", "ascii") == "\\u03b7\n  | ^^"
