"""The help page of every rule: what `fac rule` prints and the documentation is made from."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import getdoc

from fac import source
from fac.checks import CHECKS, COMPILING, FOR_BACKEND
from fac.checks.text import TEXT
from fac.diagnostics import Rule
from fac.spec import errors


@dataclass(frozen=True, slots=True)
class Page:
    """A rule and its help."""

    rule: Rule
    help: str


def pages() -> tuple[Page, ...]:
    """All pages, by code. A check has its help in its docstring, a rule of the text stages in `TEXT`."""
    found = [Page(rule, TEXT[rule.code]) for rule in (*source.RULES, *errors.RULES)]
    found += [Page(rule, getdoc(check) or "") for rule, check in (*CHECKS, *COMPILING, *FOR_BACKEND)]
    return tuple(sorted(found, key=lambda page: page.rule.code))
