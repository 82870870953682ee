"""Which near miss is surely a slip of the hand, so that `--fix` may mend it: stricter than what a help suggests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches
from typing import Any

from fac.diagnostics import Edit, Fix, Path
from fac.spec.words import CLOSE, plain

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
    near = {k.lower() for k in get_close_matches(word.lower(), [k.lower() for k in known], n=2)}
    alike = SequenceMatcher(None, meant.lower(), word.lower()).ratio() >= CLOSE
    return alike and not near - {meant.lower()}


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
