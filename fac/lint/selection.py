"""Which rules are reported: codes, prefixes of codes and names of rules, from settings and from options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from fac.diagnostics import FacError
from fac.program.bounds import TOO_LARGE
from fac.source import RULES
from fac.source.comments import INVALID_IGNORE, UNUSED_IGNORE, nearest
from fac.spec import errors

EVERY = ("FAC",)
READING = frozenset(
    rule.code for rule in (*RULES, *errors.RULES, TOO_LARGE) if rule not in (UNUSED_IGNORE, INVALID_IGNORE)
)
"""What keeps a spec from being read. Nothing else is known of it then, so nothing may ask to overlook that."""


@cache
def codes() -> Mapping[str, str]:
    """The code of every rule, by its code and by its name in small letters."""
    from fac.checks.pages import pages

    return {key.lower(): page.rule.code for page in pages() for key in (page.rule.code, page.rule.name)}


def selectors(words: Iterable[str], place: str) -> tuple[str, ...]:
    """Codes and prefixes of codes.

    Args:
        words: as they were written; commas may stand within.
        place: who asks, for the message.

    Raises:
        FacError: a word stands for no rule.
    """
    found = []
    for word in (part.strip() for text in words for part in text.rstrip(", ").split(",")):
        code = codes().get(word.lower())
        if code is None and word and any(code.startswith(word.upper()) for code in codes().values()):
            code = word.upper()
        if code is None:
            hint = nearest(word, codes()) or "`fac rule` lists all of them"
            raise FacError(f"{place}: no rule is called `{word}`; {hint}")
        found.append(code)
    return tuple(found)


def ignorable(words: Iterable[str], place: str) -> tuple[str, ...]:
    """Codes and prefixes of what may be left out.

    Raises:
        FacError: a word stands for no rule, or for what cannot be ignored.
    """
    found = selectors(words, place)
    fixed = next((code for code in found if code in READING), None)
    if fixed is not None:
        raise FacError(
            f"{place}: `{fixed}` cannot be ignored, because what cannot be read is not checked; "
            "`exclude` leaves out whole files"
        )
    return found


def specific(chosen: Iterable[str], code: str) -> int:
    """How exactly a selector names a code: the more letters the more exactly; -1 if none names it."""
    return max((len(selector) for selector in chosen if code.startswith(selector)), default=-1)


@dataclass(frozen=True, slots=True)
class Selection:
    """What is selected and ignored in one place. The more exact of the two wins, at a tie `ignore`."""

    select: tuple[str, ...] = ()
    """Nothing means everything."""
    ignore: tuple[str, ...] = ()

    def reports(self, code: str) -> bool:
        """Whether findings of that code are to be reported."""
        return specific(self.select or EVERY, code) > specific(self.ignore, code)


ALL = Selection()
