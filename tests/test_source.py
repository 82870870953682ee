"""The loader: every row of the hardening list, spans, files, and `--set`."""

from __future__ import annotations

import io
import re
import sys
from itertools import product
from pathlib import Path as FilePath
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fac.diagnostics import FacError, Rule, Span
from fac.source import from_data, override, parse_text, read
from fac.source.document import START

AT = Rule("FAC000", "for-tests").at

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)
)

REFUSED = {
    "empty": ("", "FAC107", "the spec is empty", (1, 1)),
    "comments only": ("# nothing\n\n", "FAC107", "the spec is empty", (1, 1)),
    "null": ("---\n", "FAC107", "the spec is empty", (1, 1)),
    "list on top": ("- 1\n", "FAC108", "a spec is a mapping of keys to values, found a list", (1, 1)),
    "text on top": ("hello", "FAC108", "a spec is a mapping of keys to values, found `hello`", (1, 1)),
    "alias of parent": ("a: &x [*x]", "FAC108", "an alias refers to its own parent", (1, 8)),
    "alias bomb": (BOMB, "FAC108", "more than 200,000 values", (1, 34)),
    "brackets": ("[" * 2000 + "]" * 2000, "FAC108", "nested more than 100 levels deep", (1, 102)),
    "open brackets": ("[" * 90_000, "FAC108", "nested more than 100 levels deep", (1, 102)),
    "deep": ("a: " + "[" * 150 + "]" * 150, "FAC108", "nested more than 100 levels deep", (1, 104)),
    "NUL": ("a: 1\r\nb: \0", "FAC101", "the character U+0000 is not allowed in YAML", (2, 4)),
    "two documents": ("a: 1\n---\nb: 2\n", "FAC101", "a second document starts here", (2, 1)),
    "undefined alias": ("a: *x\n", "FAC101", "no anchor is called `x`", (1, 4)),
    "tab": ("a:\n\tb: 1\n", "FAC101", "a tab is not allowed here", (2, 1)),
    "colon": ("a: b: c\n", "FAC101", "`:` is not allowed here", (1, 5)),
    "open bracket": ("a: [1, 2\nb: 3\n", "FAC101", "not YAML: expected `,` or `]`, but got `:`", (2, 2)),
    "tag on value": ("a: !foo 1\n", "FAC108", "the tag `!foo` is not supported", (1, 4)),
    "tag on list": ("a: !foo [1]\n", "FAC108", "the tag `!foo` is not supported", (1, 4)),
    "tag on key": ("!foo a: 1\n", "FAC108", "the tag `!foo` is not supported", (1, 1)),
    "tag of Python": ("a: !!python/name:os.system x", "FAC108", None, (1, 4)),
    "set": ("a: !!set {b}\n", "FAC108", "the tag `!!set` is not supported", (1, 4)),
    "list as key": ("? [a]\n: 1\n", "FAC108", "a key must be text, found a list", (1, 3)),
    "mapping as key": ("{a: 1}: 1\n", "FAC108", "a key must be text, found a mapping", (1, 1)),
    "number as key": ("a:\n  1: x\n", "FAC108", "a key must be text, found `1`", (2, 3)),
    "true as key": ("true: x\n", "FAC108", "a key must be text, found `true`", (1, 1)),
    "nothing as key": (": x\n", "FAC108", "a key must be text, found nothing", (1, 1)),
    "date": ("a: 2026-01-01", "FAC108", "`2026-01-01` is a date, and no value of a spec is one", (1, 4)),
    "binary": ("a: !!binary aGk=", "FAC108", "the tag `!!binary` is not supported", (1, 4)),
    "nan": ("a: .nan", "FAC108", "`.nan` is not a finite number", (1, 4)),
    "inf": ("a: -.inf", "FAC108", "`-.inf` is not a finite number", (1, 4)),
    "overflow": ("a: 1e999", "FAC108", "`1e999` is not a finite number", (1, 4)),
    "no integer": ("a: !!int abc", "FAC108", "`abc` is not a whole number", (1, 4)),
    "no float": ("a: !!float abc", "FAC108", "`abc` is not a number", (1, 4)),
    "no boolean": ("a: !!bool maybe", "FAC108", "`maybe` is neither `true` nor `false`", (1, 4)),
    "underscore": (
        "a: 1_000",
        "FAC108",
        "`1_000` is a number to some readers of YAML and text to others",
        (1, 4),
    ),
    "underscore behind a point": (
        "a: 0.00_1",
        "FAC108",
        "`0.00_1` is a number to some readers of YAML and text to others",
        (1, 4),
    ),
    "binary number": (
        "a: 0b11",
        "FAC108",
        "`0b11` is a number to some readers of YAML and text to others",
        (1, 4),
    ),
    "leading zero": (
        "a: 010",
        "FAC108",
        "`010` is octal to some readers of YAML and decimal to others",
        (1, 4),
    ),
    "octal number": (
        "a: 0o10",
        "FAC108",
        "`0o10` is a number to some readers of YAML and text to others",
        (1, 4),
    ),
    "hexadecimal number with a sign": (
        "a: -0x1f",
        "FAC108",
        "`-0x1f` is a number to some readers of YAML and text to others",
        (1, 4),
    ),
    "large integer": ("a: 9223372036854775808", "FAC108", None, (1, 4)),
    "huge integer": ("a: " + "9" * 5000, "FAC108", f"the whole number `{'9' * 37}...` is too large", (1, 4)),
    "half a pair": ('{"a": "\\ud83d"}', "FAC108", "the text holds half of a surrogate pair", (1, 7)),
    "half a pair in a key": ('{"\\ud83d": 1}', "FAC108", "the text holds half of a surrogate pair", (1, 2)),
    "merge key": ("a: &x {b: 1}\nc:\n  <<: *x\n", "FAC108", "merge keys are not supported", (3, 3)),
    "duplicate": ("a: 1\nb:\n  a: 1\n  a: 2\n", "FAC106", "key `a` is written twice", (4, 3)),
    "NUL in quotes": ('a: "\0"\n', "FAC101", "the character U+0000 is not allowed in YAML", (1, 5)),
    "escape character": ("a: \x1b[1m\n", "FAC101", "the character U+001B is not allowed in YAML", (1, 4)),
    "byte order mark inside": (
        "a: 1\nb: \ufeff2\n",
        "FAC101",
        "the character U+FEFF is not allowed in YAML",
        (2, 4),
    ),
    "tab before a dash": ("a:\n\t- 1\n", "FAC101", "a tab is not allowed here", (2, 1)),
    "tab in a list": ("a:\n  - 1\n\t- 2\n", "FAC101", "a tab is not allowed here", (3, 1)),
    "huge hexadecimal": (
        "a: 0x" + "f" * 5000,
        "FAC108",
        f"the whole number `0x{'f' * 35}...` is too large",
        (1, 4),
    ),
    "huge exponent": ("a: 1e" + "9" * 5000, "FAC108", f"`1e{'9' * 35}...` is not a finite number", (1, 4)),
    "number too far below": ("a: -1e999", "FAC108", "`-1e999` is not a finite number", (1, 4)),
    "float as key": ("1.5: x\n", "FAC108", "a key must be text, found `1.5`", (1, 1)),
    "null as key": ("~: x\n", "FAC108", "a key must be text, found `~`", (1, 1)),
    "date as key": ("2026-01-01: x\n", "FAC108", "a key must be text, found `2026-01-01`", (1, 1)),
    "merge list": ("a: &x {b: 1}\nc: {<<: [*x]}\n", "FAC108", "merge keys are not supported", (2, 5)),
    "duplicate in brackets": ("a: {b: 1, b: 2}\n", "FAC106", "key `b` is written twice", (1, 11)),
    "duplicate in other quotes": ("a: 1\n'a': 2\n", "FAC106", "key `a` is written twice", (2, 1)),
    "document that ends": ("a: 1\n...\nb: 2\n", "FAC101", None, (3, 1)),
    "tag that includes": (
        "a: !include /etc/passwd\n",
        "FAC108",
        "the tag `!include` is not supported",
        (1, 4),
    ),
    "tag that calls": (
        "a: !!python/object/apply:os.system [ls]\n",
        "FAC108",
        "the tag `!!python/object/apply:os.system` is not supported",
        (1, 4),
    ),
    "unknown escape": ('a: "\\q"\n', "FAC101", "not YAML: found unknown escape character `q`", (1, 6)),
    "escaped line separator": (
        'a: "\\\u2028"\n',
        "FAC101",
        "not YAML: found unknown escape character `\\u2028`",
        (1, 6),
    ),
    "YAML 3.0": (
        "a:\n%YAML 3.0\n",
        "FAC101",
        "YAML versions other than 1.2 are not supported",
        (2, 1),
    ),
    "YAML 1.1": (
        "%YAML 1.1\n---\na: no\n",
        "FAC101",
        "YAML versions other than 1.2 are not supported",
        (1, 1),
    ),
}


@pytest.mark.parametrize(("text", "code", "message", "place"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(text: str, code: str, message: str | None, place: tuple[int, int]) -> None:
    document = parse_text(text)
    (found,) = document.diagnostics
    span = document.span(found)
    assert (found.rule.code, (span.line, span.column)) == (code, place)
    assert message is None or found.message == message
    assert "\n" not in found.message + found.help


ACCEPTED = {
    "exponent": ("a: [1e-3, 1.e2, .5e1, 1E+1, 01.5]", (0.001, 100.0, 5.0, 10.0, 1.5)),
    "words": ("a: [on, no, yes, off]", ("on", "no", "yes", "off")),
    "booleans": ("a: [true, False]", (True, False)),
    "nulls": ("a: [~, null, ]", (None, None)),
    "integers": ("a: [10, 0, 0x1f, -1, +1, -0]", (10, 0, 31, -1, 1, 0)),
    "times": ("a: 12:30", "12:30"),
    "quoted": ("a: ['784', \"1e3\", '<<']", ("784", "1e3", "<<")),
    "tagged text": ("a: !!str 5", "5"),
    "anchor used twice": ("a: [&x 1, &x 2, *x]", (1, 2, 2)),
    "alias": ("b: &x {c: 1}\na: *x", {"c": 1}),
    "byte order mark": ("\ufeffa: 1", 1),
    "CRLF": ("a:\r\n  - 1\r\n  - 2\r\n", (1, 2)),
    "JSON with tabs": ('{\n\t"a": [\n\t\t1\n\t]\n}', (1,)),
    "surrogate pair": ('{"a": "\\ud83d\\ude00"}', "😀"),
    "emoji": ("a: 😀", "😀"),
    "missing at the end": ("a:\n", None),
    "largest": ("a: 9223372036854775807", 2**63 - 1),
    "merge key in quotes": ('a: {"<<": 1}', {"<<": 1}),
}


@pytest.mark.parametrize(("text", "value"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(text: str, value: object) -> None:
    document = parse_text(text)
    assert document.diagnostics == ()
    assert document.data["a"] == value
    assert type(document.data["a"]) is type(value)


YAML_11 = (
    # https://yaml.org/type/int.html and float.html, with the base of each form
    (r"[-+]?0b[0-1_]+", 2),
    (r"[-+]?0[0-7_]+", 8),
    (r"[-+]?(?:0|[1-9][0-9_]*)", 10),
    (r"[-+]?0x[0-9a-fA-F_]+", 16),
    (r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|[-+]?\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?", None),
)
YAML_12 = (
    # https://yaml.org/spec/1.2.2/#1032-tag-resolution
    (r"[-+]?[0-9]+", 10),
    (r"0o[0-7]+", 8),
    (r"0x[0-9a-fA-F]+", 16),
    (r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", None),
)


def resolved(text: str, forms: tuple[tuple[str, int | None], ...]) -> float | str:
    """What a reader of one version of YAML takes a plain scalar for."""
    for pattern, base in forms:
        if re.fullmatch(pattern, text):
            digits = re.sub("^([-+]?)0[box]", r"\1", text.replace("_", ""))
            return float(digits) if base is None else int(digits if digits[-1:].isalnum() else "0", base)
    return text


def test_a_number_is_the_same_number_to_every_reader_of_yaml() -> None:
    """All short scalars that begin like a number. `1e3` alone is text to YAML 1.1, and a number in JSON."""
    parts = [("", "+", "-"), ("0", "1", "8", "."), *[("", *"0178xobe_.:")] * 3]
    texts = sorted({t for t in map("".join, product(*parts)) if t[-1] not in ":+-." or t[-1:] == "."})
    document = parse_text("a:\n" + "".join(f"  - {text}\n" for text in texts if text not in ("-", "+")))
    refused = {d.path[1]: d.message for d in document.diagnostics}
    assert len(texts) == len(document.data["a"]) > 5000
    for index, (text, value) in enumerate(zip(texts, document.data["a"], strict=True)):
        old, new = resolved(text, YAML_11), resolved(text, YAML_12)
        if index in refused:
            # neither version has `+0o7` or `0_8` for a number, and ruamel.yaml does
            assert old != new or "_" in text or re.match("[-+]?0[0-7]|[-+]0o", text), text
            assert " to some readers of YAML" in refused[index] or "_" in text, text
        elif isinstance(value, str):
            assert new == text == value, text
        else:
            assert value == new, text
            assert value == old or (old == text and "e" in text), text


@pytest.mark.parametrize(
    ("text", "help"),
    [
        ("a: 1\n---\nb: 2\n", "one file holds one spec: put the second one in a file of its own"),
        ("a: 010", "write `10`, or `8`"),
        ("a: -017", "write `-17`, or `-15`"),
        ("a: 007", "write `7`"),
        ("a: 08", "write `8`"),
        ("a: 0o10", "write `8`"),
        ("a: 0b1_0", "write `2`"),
        ("a: +0x1f", "write `31`"),
        ("a: 1_000", "write `1000`"),
        ("a: 1_0.5", "write `10.5`"),
        ("a:\t1\n", "write spaces, both to indent and behind `:`"),
        ("a:\n\tb: 1\n", "write spaces, both to indent and behind `:`"),
    ],
)
def test_what_to_do_about_text_that_cannot_be_read(text: str, help: str) -> None:
    (found,) = parse_text(text).diagnostics
    assert found.help == help


def test_all_findings_of_a_text_are_reported_and_the_rest_is_read() -> None:
    document = parse_text("a: .nan\n1: x\nb: 2\nb: 3\n")
    assert [d.rule.code for d in document.diagnostics] == ["FAC108", "FAC108", "FAC106"]
    assert document.data == {"a": None, "b": 2}
    assert document.diagnostics[2].help == "first written on line 3"


@given(st.text(alphabet="ab:-[]{},&*!|>%'\"#?<= \n\t\r\0\\1.~", max_size=60))
@settings(max_examples=300)
def test_no_text_makes_the_loader_fail(text: str) -> None:
    document = parse_text(text)
    for found in document.diagnostics:
        span = document.span(found)
        assert 1 <= span.line <= len(document.lines)
        assert 1 <= span.column <= len(document.lines[span.line - 1]) + 1


@pytest.mark.parametrize("char", ["\x85", "\u2028", "\u2029"])
def test_the_line_ends_of_yaml_1_1_are_characters(char: str) -> None:
    document = parse_text(
        f"a: 1 # x{char}y: [\nb: 'x{char}y'\nc: {{d: x{char}y, e: 2}} # {char}\nf: |\n  x{char}y\ng: 3\n"
    )
    assert document.diagnostics == ()
    text = f"x{char}y"
    assert document.data == {"a": 1, "b": text, "c": {"d": text, "e": 2}, "f": f"{text}\n", "g": 3}
    assert len(document.lines) == 7
    assert document.values["b",] == Span(2, 4, 2, 9)
    assert document.values["c", "d"] == Span(3, 8, 3, 11)
    assert document.keys["c", "e"] == Span(3, 13, 3, 14)
    assert document.values["g",] == Span(6, 4, 6, 5)


def test_line_ends_of_yaml_1_1_beside_what_stands_for_them() -> None:
    document = parse_text('a: "\U000f2028\u2028"\nb: 1\n')
    assert document.data == {"a": "\U000f2028\u2028", "b": 1}
    assert document.values["b",] == Span(2, 4, 2, 5)


def test_spans_behind_a_mark_and_two_characters_for_each_line_end() -> None:
    document = parse_text("\ufefffac: 1\r\nlayers:\r\n  - out: 5\r\n")
    assert document.mark == "\ufeff"
    assert document.keys["fac",] == Span(1, 1, 1, 4)
    assert document.values["layers", 0, "out"] == Span(3, 10, 3, 11)


SPEC = """\
fac: 1
layers:
  - {kind: linear, name: fc1, out: 5}
  - kind: relu
update:
  lr:

"""


@pytest.mark.parametrize(
    ("path", "key", "span"),
    [
        (("fac",), False, Span(1, 6, 1, 7)),
        (("fac",), True, Span(1, 1, 1, 4)),
        (("layers", 0, "out"), False, Span(3, 36, 3, 37)),
        (("layers", 0, "out"), True, Span(3, 31, 3, 34)),
        (("layers", 0, "in"), True, Span(3, 5, 3, 38)),  # nearest ancestor
        (("layers", 0, "linear", "out", 7), False, Span(3, 5, 3, 38)),
        (("update", "lr"), False, Span(6, 3, 6, 5)),  # nothing is written: the key
        (("update",), False, Span(5, 1, 5, 7)),  # runs over lines: the key
        (("nothing",), False, Span(1, 1, 6, 5)),  # to the end of what is written
    ],
)
def test_span(path: tuple[str | int, ...], key: bool, span: Span) -> None:
    assert parse_text(SPEC).span(AT(path, "x", key=key)) == span


def test_read_a_file(tmp_path: FilePath) -> None:
    path = tmp_path / "a.fac.yaml"
    path.write_bytes(b"\xef\xbb\xbffac: 1\r\n")
    assert read(path).data == {"fac": 1}
    assert read(path).name == str(path)
    assert read(path).diagnostics == ()


def test_read_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"fac: 1\n")))
    document = read("-")
    assert (document.name, document.data) == ("<stdin>", {"fac": 1})


def test_files_that_cannot_be_read(tmp_path: FilePath) -> None:
    (tmp_path / "latin").write_bytes(b"fac: 1\nname: caf\xe9\n")
    (tmp_path / "large").write_bytes(b"#" * 1_500_000)
    for name, message in {
        "missing": "` does not exist",
        "": "` is a folder: name a file",
        "latin": "` is not UTF-8 text: byte 0xe9 on line 2",
        "large": "` has 1,500,000 bytes: a spec may have 1,000,000",
        "a\0b": "` cannot be read: embedded null byte",
    }.items():
        with pytest.raises(FacError) as caught:
            read(tmp_path / name)
        assert str(caught.value).endswith(message)


@pytest.mark.parametrize("size", [1_000_001, 5_000_000])
def test_standard_input_that_is_too_long(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO(b"#" * size)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))
    with pytest.raises(FacError) as caught:
        read("-")
    assert str(caught.value) == "`<stdin>` has more than 1,000,000 bytes: a spec may have 1,000,000"
    assert stream.tell() == 1_000_001


def test_a_text_of_just_the_largest_size(tmp_path: FilePath) -> None:
    path = tmp_path / "a.fac.yaml"
    path.write_bytes(b"a: 1\n".ljust(1_000_000, b"#"))
    assert read(path).data == {"a": 1}


@pytest.mark.parametrize("raw", [b"\xed\xa0\x80", b"\xff", b"\xc0\xaf", b"\xf5\x80\x80\x80"])
def test_bytes_that_are_no_characters(raw: bytes, tmp_path: FilePath) -> None:
    path = tmp_path / "a.fac.yaml"
    path.write_bytes(b"fac: 1\nname: " + raw)
    with pytest.raises(FacError) as caught:
        read(path)
    assert str(caught.value) == f"`{path}` is not UTF-8 text: byte 0x{raw[0]:02x} on line 2"


def test_an_endless_input_is_not_read_to_its_end() -> None:
    with pytest.raises(FacError, match="has more than 1,000,000 bytes"):
        read("/dev/zero")


def test_python_data_becomes_what_the_loader_makes() -> None:
    document = from_data({"fac": 1, "layers": [{"shape": [1, 2.5, None, True]}]})
    assert document.data == {"fac": 1, "layers": ({"shape": (1, 2.5, None, True)},)}
    assert document.diagnostics == ()
    assert document.place(AT(("layers", 0), "x")) == "<python>:layers[0]"
    assert document.place(AT((), "x")) == "<python>"


def test_python_data_that_no_text_could_hold() -> None:
    loop: list[object] = []
    loop.append(loop)
    for data, message in (
        ({"a": float("nan")}, "`nan` is not a finite number"),
        ({"a": 10**5000}, "the whole number is too large"),
        ({"a": {1, 2}}, "a value of type `set` is not plain data"),
        ({1: 2}, "a key must be text, found one of type `int`"),
        (loop, "nested more than 100 levels deep"),
        (None, "the spec is empty"),
        ([1], "a spec is a mapping of keys to values, found a list"),
    ):
        assert [d.message for d in from_data(data).diagnostics] == [message]


def test_override_reaches_mappings_lists_and_what_is_missing() -> None:
    document = override(
        parse_text(SPEC),
        ["layers.fc1.out=[1, 2]", "layers[1].kind=tanh", "update.lr=1e-2", "train.epochs=3", "fac="],
    )
    assert document.data == {
        "fac": None,
        "layers": ({"kind": "linear", "name": "fc1", "out": (1, 2)}, {"kind": "tanh"}),
        "update": {"lr": 0.01},
        "train": {"epochs": 3},
    }


def test_a_text_in_the_place_of_a_list_of_overrides_is_told() -> None:
    with pytest.raises(
        FacError,
        match=r"`overrides` is `'update.lr=0.5'`: give a list of texts, such as `\['update.lr=0.01'\]`",
    ):
        override(from_data({}), "update.lr=0.5")


def test_override_is_the_place_of_what_it_wrote() -> None:
    document = override(parse_text(SPEC), ["layers.fc1.out={a: 1}", "train.epochs=3", "train.seed=1"])
    out, epochs, seed = "--set layers.fc1.out={a: 1}", "--set train.epochs=3", "--set train.seed=1"
    for path, place in (
        (("layers", 0, "out"), out),
        (("layers", 0, "out", "a"), out),
        (("train",), epochs),
        (("train", "epochs"), epochs),
        (("train", "seed"), seed),
    ):
        assert document.place(AT(path, "x")) == place
    assert document.place(AT(("layers", 0, "name"), "x")) == Span(3, 26, 3, 29)
    assert document.place(AT(("train", "epochs"), "x", key=True)) == epochs


def test_override_reaches_all_copies_and_not_one() -> None:
    text = "layers:\n  - {kind: repeat, name: deep, times: 2, body: [{kind: linear, name: fc1, out: 4}]}\n"
    changed = override(parse_text(text), ["layers.deep.fc1.out=8", "layers.deep.times=3"])
    assert changed.data["layers"][0]["body"][0]["out"] == 8
    assert changed.data["layers"][0]["times"] == 3
    with pytest.raises(FacError) as caught:
        override(parse_text(text), ["layers.deep.1.fc1.out=8"])
    assert str(caught.value) == (
        "`--set layers.deep.1.fc1.out=8`: all copies in `layers[0]` have one text, in which none has a number: "
        "leave out `1`"
    )


def test_override_reaches_into_blocks() -> None:
    inner = "[{kind: linear, name: fc1, out: 4}, {kind: relu, name: times}]"
    block = f"{{kind: residual, name: res, body: [], shortcut: {inner}}}"
    document = parse_text(f"layers:\n  - {{kind: repeat, name: deep, times: 2, body: [{block}]}}\n")
    path = ("layers", 0, "body", 0, "shortcut", 0, "out")
    changed = override(document, ["layers.deep.res.fc1.out=8"])
    assert changed.data["layers"][0]["body"][0]["shortcut"][0]["out"] == 8
    assert changed.place(AT(path, "x")) == "--set layers.deep.res.fc1.out=8"
    # The place written out means the same, and a field goes before a layer of its name.
    assert override(document, ["layers.0.body.0.shortcut.fc1.out=8"]).data == changed.data
    assert override(document, ["layers.deep.times=9"]).data["layers"][0]["times"] == 9


def test_override_reaches_branches_by_their_numbers() -> None:
    layers = [[{"kind": "linear", "name": "fc1", "out": out}] for out in (4, 5)]
    document = from_data({"layers": [{"kind": "parallel", "name": "wide", "branches": layers}]})
    changed = override(document, ["layers.wide.1.fc1.out=8"])
    assert [branch[0]["out"] for branch in changed.data["layers"][0]["branches"]] == [4, 8]
    with pytest.raises(FacError, match=r"`layers\[0\].branches` has 2 items, the first is item 0"):
        override(document, ["layers.wide.2.fc1.out=8"])


def test_override_reaches_names_with_dots() -> None:
    """Those of a network that is written out; the longest name counts."""
    names = ("r", "r.1", "r.1.act")
    document = from_data({"layers": [{"kind": "relu", "name": name} for name in names]})
    changed = override(document, ["layers.r.1.act.kind=tanh", "layers.r.1.kind=gelu"])
    assert [layer["kind"] for layer in changed.data["layers"]] == ["relu", "gelu", "tanh"]
    inside = from_data({"layers": [{"kind": "sequence", "name": "b", "body": document.data["layers"]}]})
    changed = override(inside, ["layers.b.r.1.act.kind=tanh"])
    assert [layer["kind"] for layer in changed.data["layers"][0]["body"]] == ["relu", "relu", "tanh"]


def test_an_override_of_a_whole_section_replaces_those_within() -> None:
    document = override(parse_text(SPEC), ["update.lr=3", "update={lr: 4}"])
    assert document.place(AT(("update", "lr"), "x")) == "--set update={lr: 4}"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("lr", "`--set lr` is not of the form `key=value`, such as `update.lr=0.01`"),
        ("a..b=1", "`--set a..b=1` is not of the form `key=value`, such as `update.lr=0.01`"),
        (
            "layers.fc2.out=1",
            "`--set layers.fc2.out=1`: no item of `layers` is called `fc2`; did you mean `fc1`?",
        ),
        ("layers.xyz=1", "`--set layers.xyz=1`: no item of `layers` is called `xyz`"),
        ("layers.9=1", "`--set layers.9=1`: `layers` has 2 items, the first is item 0"),
        ("fac.x=1", "`--set fac.x=1`: `fac` is `1`, which has no `x`"),
        ("a=[1", "`--set a=[1`: not YAML: expected `,` or `]`, but got `<stream end>`"),
        ("a=.nan", "`--set a=.nan`: `.nan` is not a finite number"),
        (
            "update.match=*.bias",
            "`--set update.match=*.bias`: no anchor is called `.bias`; text that starts with `*` needs quotes, "
            "in a shell `--set 'update.match=\"*.bias\"'`",
        ),
        (
            "feedback={rule:fa}",
            "`--set feedback={rule:fa}`: YAML needs a space after the colon, in a shell "
            "`--set 'feedback={rule: fa}'`",
        ),
        (
            "probes=[{kind:alignment}]",
            "`--set probes=[{kind:alignment}]`: YAML needs a space after the colon, in a shell "
            "`--set 'probes=[{kind: alignment}]'`",
        ),
    ],
)
def test_override_refuses(assignment: str, message: str) -> None:
    with pytest.raises(FacError) as caught:
        override(parse_text(SPEC), [assignment])
    assert str(caught.value) == message


def test_the_start_of_a_text_is_within_every_text() -> None:
    assert parse_text("").span(AT(("a",), "x")) == START
