"""Which near miss is surely a slip of the hand, so that `--fix` may mend it: stricter than what a help suggests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from fac.diagnostics import Edit, Fix, Path
from fac.spec.words import plain

SHORT, LONG = 3, 7
"""Letters that a word has at least in which one may be wrong, missing or too many; or wrong at its end."""
CLOSE = 0.65
"""How alike another known word is that could be meant as well, by `difflib`: `slice` is none for `linea`."""
_TAG = re.compile(r"(^|[_.-]).$|[a-z][A-Z]$")
"""A single letter at the end of a name, which tells it from others: `branch_a`, `branchA`."""
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")
"""A number in JSON, which means the same in every YAML."""


def respelt(path: Path, word: str, meant: str, known: Iterable[str], *, key: bool = False) -> Fix | None:
    """The fix of a word, or of a key, that is not among the known ones; None if another could be meant as well."""
    return renamed(path, word, meant, key=key) if meant and sure(word, meant, list(known)) else None


def renamed(path: Path, word: str, meant: str, *, key: bool = False) -> Fix:
    """The fix of a word, or of a key, that is known to mean another."""
    return Fix(f"replace `{word}` by `{meant}`", (Edit(path, json.dumps(meant, ensure_ascii=False), key),))


def sure(word: str, meant: str, known: list[str]) -> bool:
    """Whether no other of the known words could be meant."""
    if word == meant or [name for name in known if plain(name) == plain(word)] == [meant]:
        return True
    # `fc3` is no slip for `fc1`: numbers tell layers apart.
    if re.findall(r"\d+", word) != re.findall(r"\d+", meant):
        return False
    if word[-1:] != meant[-1:] and _TAG.search(meant):
        return False
    near = {k.lower() for k in get_close_matches(word.lower(), [k.lower() for k in known], n=2, cutoff=CLOSE)}
    return _slipped(plain(word), plain(meant)) and not near - {meant.lower()}


def _slipped(word: str, meant: str) -> bool:
    """Whether one slip of the hand makes one word of another.

    Two letters are swapped, or one behind the first is another, missing or too many. At the end too many is only the
    same once more, and another one only in a long word. What stands in front or behind makes another word: `bilinear`
    is not `linear`, `prelu` not `relu`.
    """
    start = next(
        (i for i, (a, b) in enumerate(zip(word, meant, strict=False)) if a != b), min(len(word), len(meant))
    )
    rest, other = word[start:], meant[start:]
    if len(word) == len(meant):
        swapped = rest[1::-1] + rest[2:] == other and len(rest) > 1
        return swapped or (
            0 < start < len(word) - (len(word) < LONG) and len(word) >= SHORT and rest[1:] == other[1:]
        )
    if rest == other[1:]:
        return start > 0 and len(meant) >= SHORT
    return (
        rest[1:] == other and start > 0 and len(meant) >= SHORT and (bool(other) or rest == word[start - 1])
    )


def unquoted(path: Path, text: str) -> Fix | None:
    """The fix of a number that stands in quotes."""
    return rewritten(path, text) if _NUMBER.fullmatch(text) else None


def written(path: Path, value: Any) -> Fix:
    """The fix of a value that stands without the mapping or the list that it belongs in."""
    return Fix(f"write `{_flow(value)}`", (Edit(path, json.dumps(value, ensure_ascii=False)),))


def _flow(value: Any) -> str:
    match value:
        case dict():
            return f"{{{', '.join(f'{key}: {_flow(inner)}' for key, inner in value.items())}}}"
        case list():
            return f"[{', '.join(map(_flow, value))}]"
    return str(value)


def rewritten(path: Path, text: str) -> Fix:
    """The fix of a value that is written in another way than it should be."""
    return Fix(f"write `{text}`", (Edit(path, text),))
