"""`# fac: ignore[FAC301] reason`: where a text has such comments, and what they ask for.

The tree of a text holds no comments. So lines are searched for the words, and what stands inside a scalar is
dropped: in quotes and in block text a `#` is a character like others.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

from fac.diagnostics import Diagnostic, Rule, Severity, Span
from fac.source.document import Document, UnreadableError, short
from fac.source.yaml import compose

UNUSED_IGNORE = Rule("FAC109", "unused-ignore", Severity.WARNING)
INVALID_IGNORE = Rule("FAC110", "invalid-ignore", Severity.WARNING)

WORDS = ("ignore", "ignore-file")
EXAMPLE = "`# fac: ignore[FAC301] reason`"

HINTS = 50
"""For how many misspelt words the nearest rule is looked up. Nobody reads thousands of them."""

_SIGN = re.compile(r"#[ \t]*fac:")
# A comment starts at a blank, or directly behind a bracket, a comma or a closing quote.
_MARK = re.compile(
    r"""(?:(?<=[\s\[\]{},"'])|^)#[ \t]*fac:[ \t]*(?P<word>[A-Za-z][\w-]*)(?P<opens>[ \t]*\[)?"""
)
_BRACKET = re.compile(r"[ \t]*\[(?P<words>[^\]]*)(?P<end>\]?)")
_BLOCK_TEXT = re.compile(r"(?:[&!]\S*\s+)*[|>]")

Place = tuple[int, int]
"""A line and a column."""


@dataclass(frozen=True, slots=True)
class Ignore:
    """A comment that asks for findings to be left out."""

    span: Span
    codes: tuple[str, ...]
    line: int | None
    """The line whose findings are meant; None for the whole file."""


def ignores(
    document: Document, known: Mapping[str, str]
) -> tuple[tuple[Ignore, ...], tuple[Diagnostic, ...]]:
    """The comments of a text that leave findings out, and what is wrong with them.

    Args:
        document: of a text that is YAML; any other has none.
        known: the codes of rules by what they are called, in small letters.
    """
    found: list[Ignore] = []
    wrong: list[Diagnostic] = []
    for comment in _comments(document):
        problem, help = _problem(comment, known, hint=len(wrong) < HINTS)
        if problem:
            wrong.append(Diagnostic(INVALID_IGNORE, (), problem, help, span=comment.span))
        codes = tuple(code for word in comment.words if comment.closed and (code := known.get(word.lower())))
        if codes and comment.word == "ignore":
            found.append(Ignore(comment.span, codes, comment.target))
        elif codes and comment.word == "ignore-file" and comment.leading:
            found.append(Ignore(comment.span, codes, None))
    return tuple(found), tuple(wrong)


def may_ask(document: Document) -> bool:
    """Whether a text may have such comments at all. Most have none, and this is quick to tell."""
    return _SIGN.search(document.text) is not None


def nearest(word: str, known: Mapping[str, str]) -> str:
    """`` did you mean `FAC301`? ``, or nothing where no rule is called alike."""
    close = get_close_matches(word.lower(), known, n=20)
    if not close:
        return ""
    # Many codes are equally near: the family, which the first digit says, is seldom what was mistyped.
    best = min(close, key=lambda called: (-_alike(called, word.lower()), called))
    code = known[best]
    return f"did you mean `{code if best == code.lower() else best}`?"


def _alike(one: str, other: str) -> int:
    """How many letters two words share at their beginning."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))


@dataclass(frozen=True, slots=True)
class _Comment:
    """What looks like a directive."""

    span: Span
    word: str
    words: tuple[str, ...]
    """What stands in the brackets."""
    closed: bool
    target: int
    """The line that it is about: its own, or if it stands alone the next one that is more than a comment."""
    leading: bool
    """Whether it stands alone, with nothing but comments above it."""


def _problem(comment: _Comment, known: Mapping[str, str], *, hint: bool) -> tuple[str, str]:
    """What is wrong with a comment and how to mend it; empty if all is well."""
    if comment.word not in WORDS:
        close = get_close_matches(comment.word, WORDS, n=1) if hint else []
        help = f"did you mean `{close[0]}`?" if close else f"write {EXAMPLE}"
        return f"`{short(comment.word)}` is nothing that a `# fac:` comment can ask for", help
    if not comment.words:
        return "the comment names no rule that is to be ignored", f"write {EXAMPLE}"
    if not comment.closed:
        return "the bracket of the comment is not closed", f"write {EXAMPLE}"
    unknown = next((word for word in comment.words if word.lower() not in known), None)
    if unknown is not None:
        help = nearest(unknown, known if hint else {}) or "`fac rule` lists all of them"
        return f"no rule is called `{short(unknown)}`", help
    if comment.word == "ignore-file" and not comment.leading:
        return (
            "`ignore-file` stands below the first value of the file",
            "move it to the top, or write `ignore`",
        )
    return "", ""


def _comments(document: Document) -> Iterator[_Comment]:
    """All comments that look like directives, in their order."""
    lines = document.lines
    marks = [
        (number, mark) for number, text in enumerate(lines, 1) if "fac:" in text for mark in _directives(text)
    ]
    if not marks:
        return
    try:
        spans = list(_written(document))
    except UnreadableError:
        return
    beyond = (len(lines) + 1, 1)
    scalars = sorted(_inside(span, lines) for span, scalar in spans if scalar)
    first = min(((span.line, span.column) for span, _ in spans), default=beyond)

    def inside(place: Place) -> bool:
        index = bisect_right(scalars, (place, beyond)) - 1
        return index >= 0 and place < scalars[index][1]

    target = [len(lines) + 1] * (len(lines) + 2)
    """The first line from a line on that is more than a comment."""
    for number in range(len(lines), 0, -1):
        text = lines[number - 1]
        comment = text.lstrip().startswith("#") and not inside((number, text.index("#") + 1))
        target[number] = target[number + 1] if comment else number
    for number, mark in marks:
        if not inside((number, mark.column)):
            span = Span(number, mark.column, number, mark.column + len(mark.text))
            leading = target[number] > number and (number, 1) < first
            bracket = _BRACKET.match(mark.text, mark.behind)
            words = tuple(filter(None, re.split(r"[,\s]+", bracket["words"]))) if bracket else ()
            closed = bracket is None or bool(bracket["end"])
            yield _Comment(span, mark.word, words, closed, target[number], leading)


class _Mark(NamedTuple):
    """A directive as it is written."""

    column: int
    text: str
    word: str
    behind: int
    """Where the word ends in the text."""


def _directives(text: str) -> Iterator[_Mark]:
    """The directives of one line, each up to the next. Prose behind `# fac:` is none."""
    found = [mark for mark in _MARK.finditer(text) if mark["word"] in WORDS or mark["opens"]]
    ends = [*(mark.start() for mark in found[1:]), len(text)]
    for mark, end in zip(found, ends, strict=False):
        own = text[mark.start() : end].rstrip()
        yield _Mark(mark.start() + 1, own, mark["word"], mark.end("word") - mark.start())


def _written(document: Document) -> Iterator[tuple[Span, bool]]:
    """Where each key and value stands, and whether it is a scalar.

    Raises:
        UnreadableError: the text is not YAML.
    """
    if not document.diagnostics and not document.overridden:
        yield from ((span, True) for span in document.keys.values())
        yield from ((span, document.is_scalar(path)) for path, span in document.values.items())
        return
    # What is refused, or overridden, has no place in the data.
    tree = compose(document.text)
    stack, seen = [tree] if tree else [], set[int]()
    while stack:
        node = stack.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node.span, node.kind == "scalar"
            if node.kind != "scalar":
                stack += node.value


def _inside(span: Span, lines: Sequence[str]) -> tuple[Place, Place]:
    """Where the text of a scalar stands. The first line of block text may end in a comment."""
    start = (span.line, span.column)
    first = lines[span.line - 1] if span.line <= len(lines) else ""
    if span.end_line > span.line and _BLOCK_TEXT.match(first, span.column - 1):
        start = (span.line + 1, 1)
    return start, (span.end_line, span.end_column)
