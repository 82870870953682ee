"""Changes of a text that know nothing of what it means."""

from __future__ import annotations

import re

from tests.fuzz.choices import Choices
from tests.fuzz.layout import Layout
from tests.fuzz.oddities import BYTES, TEXT

_TOKEN = re.compile(r"[\w.]+|[^\S\n]+|\n|.")


def layout(choices: Choices) -> Layout:
    """A way to write a spec: as it comes, or strange throughout."""
    if choices.pick(2):
        return Layout(flow=lambda n: (n - 1) * choices.pick(2))
    free = choices.pick
    indent = choices.one((2, 3, 4, 8))
    line_end = choices.one(("\n", "\r\n", "\n", "\r"))
    return Layout(
        flow=free, quote=free, comment=free, anchor=free, number=free, indent=indent, line_end=line_end
    )


def mutated(text: str, choices: Choices) -> bytes:
    """The text after a few changes, as bytes."""
    for _ in range(choices.pick(5)):
        text = _changed(text, choices)
    if choices.rarely(12):
        text = "\ufeff" + text
    # What Python can hold and UTF-8 cannot, a lone surrogate for one, is left out here and put in as bytes.
    raw = text.encode("utf-8", "ignore")
    if choices.rarely(25):
        at = choices.pick(len(raw) + 1)
        raw = raw[:at] + choices.one(BYTES) + raw[at:]
    return raw


def _changed(text: str, choices: Choices) -> str:
    tokens = _TOKEN.findall(text) or [""]
    at = choices.pick(len(tokens))
    match choices.pick(10):
        case 0:
            tokens[at] = ""
        case 1 | 2:
            tokens[at] = choices.one(TEXT)
        case 3 | 4:
            tokens.insert(at, choices.one(TEXT))
        case 5:
            other = choices.pick(len(tokens))
            tokens[at], tokens[other] = tokens[other], tokens[at]
        case 6:
            until = min(len(tokens), at + 1 + choices.pick(40))
            tokens[at:at] = tokens[at:until] * (1 + choices.pick(3))
        case 7:
            del tokens[at : at + 1 + choices.pick(40)]
        case 8:
            del tokens[at:]
        case _:
            return _reindented(text, choices)
    return "".join(tokens)


def _reindented(text: str, choices: Choices) -> str:
    lines = text.split("\n")
    at = choices.pick(len(lines))
    until = min(len(lines), at + 1 + choices.pick(4))
    indent = choices.one((" ", "  ", "\t", "", "      "))
    lines[at:until] = [indent + line.lstrip() if indent else line[1:] for line in lines[at:until]]
    return "\n".join(lines)
