"""Words of messages: what was found, what is near a misspelt word, names and lists."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from itertools import accumulate

from fac.diagnostics import MAX_MESSAGE, Path, dotted

LISTED = MAX_MESSAGE - 150
"""Characters of a list in a message. The rest is for the words around it."""

CLOSE = 0.65
"""How alike two words are, by difflib, that are one word misspelt."""


def found(expected: str, value: object) -> str:
    """What was expected, and what stands there instead."""
    match value:
        case None:
            return f"{expected}, found nothing"
        case bool():
            return f"{expected}, found `{str(value).lower()}`"
        case str():
            return f"{expected}, found text `{value if len(value) <= 40 else f'{value[:37]}...'}`"
        case int() | float():
            return f"{expected}, found `{value}`"
        case Mapping():
            return f"{expected}, found a mapping"
        case list() | tuple():
            return f"{expected}, found a list"
    return f"{expected}, found an object of type `{type(value).__name__}`"  # only Python can hand over these


def name(path: Path) -> str:
    """The last key of a path with the indices behind it: `shape[0]`."""
    start = max((i for i, part in enumerate(path) if isinstance(part, str)), default=0)
    return f"`{dotted(path[start:])}`" if path else "the spec"


def is_number(text: str, *, whole: bool) -> bool:
    """Whether text in quotes would be a number without them."""
    try:
        _ = int(text) if whole else float(text)
    except ValueError:
        return False
    return True


def truth(text: str) -> str:
    """`true` or `false` for the words that other tools take for them, else nothing."""
    yes, no = ("yes", "on", "y", "true"), ("no", "off", "n", "false")
    return "true" if text.lower() in yes else "false" if text.lower() in no else ""


def count(words: str, n: int, unit: str) -> str:
    """`at least 2 items`."""
    return f"{words} {n} {unit}{'s' * (n != 1)}"


def field(word: str, missing: list[str], unused: list[str]) -> str:
    """The field that was most likely meant, one that is missing before one that may be left out; or nothing."""
    around = _contained(word, missing) or _contained(word, unused)
    return around or close(word, missing) or close(word, unused)


def close(word: object, known: Sequence[str]) -> str:
    """The known word that was most likely meant, or nothing. Case and `_` do not count, nor do numbers that one lacks.

    Whole words within words (`data` and `dataset`) say more than how many letters differ. Numbers that differ tell
    words apart: `conv3d` is no `conv2d`.
    """
    return _close(str(word), tuple(known))


@lru_cache(maxsize=1024)
def _close(word: str, known: tuple[str, ...]) -> str:
    stem, number = _numbered(word)
    numbered = {k: _numbered(k) for k in known}
    if same := [k for k in known if numbered[k][0] == stem]:
        nearest = min(same, key=lambda k: (numbered[k][1] != number, numbered[k][1] != ""))
        return nearest if "" in (number, numbered[nearest][1]) or number == numbered[nearest][1] else ""
    known = tuple(k for k in known if not number or numbered[k][1] in ("", number))
    if within := _contained(word, known):
        return within
    plainly = {plain(k): k for k in reversed(known)}
    matches = get_close_matches(plain(word), list(plainly), n=1, cutoff=CLOSE)
    return next((plainly[m] for m in matches), "")


def plain(word: str) -> str:
    """Without what tools write differently: case, `_` and `-`."""
    return re.sub(r"[_-]", "", word.lower())


def _numbered(word: str) -> tuple[str, str]:
    """The plain word without the number at its end, and that: (`maxpool`, `2d`)."""
    number = re.search(r"\d+d?$", plain(word))
    return (plain(word)[: number.start()], number[0]) if number else (plain(word), "")


def _contained(word: str, known: Sequence[str]) -> str:
    """The known word that holds the word or is held by it; of several the one nearest in length. Or nothing."""
    word = plain(word)
    found = [k for k in known if min(len(word), len(k)) > 2 and (word in plain(k) or plain(k) in word)]
    return min(found, key=lambda k: abs(len(k) - len(word)), default="")


def either(words: list[str]) -> str:
    """`` `a`, `b` or `c` ``."""
    quoted = [f"`{word}`" for word in words]
    return " or ".join(filter(None, (", ".join(quoted[:-1]), *quoted[-1:])))


def one_of(words: str, known: list[str]) -> str:
    """The words and a list, of as many as a message can hold; nothing where there is nothing to list."""
    ends = accumulate(len(f"`{k}`, ") for k in known)
    shown = sum(end <= LISTED for end in ends) or 1
    more = f" and {len(known) - shown} more" if len(known) > shown else ""
    return f"{words} {', '.join(f'`{k}`' for k in known[:shown])}{more}" if known else ""
