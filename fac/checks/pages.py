"""The help page of every rule: what `fac rule` prints and the documentation is made from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from inspect import getdoc
from textwrap import dedent

from fac import source
from fac.checks import BUILDING, CHECKS, COMPILING, ESTIMATES, FOR_BACKEND, locked
from fac.checks.text import TEXT
from fac.diagnostics import Rule
from fac.program.bounds import TOO_LARGE
from fac.spec import errors

_LABEL = re.compile(r"(Bad|Good)(?:, ((?:[^`:]|`[^`]*`)+))?:")
_ARXIV = re.compile(r"arXiv (\d{4}\.\d{4,5})")


@dataclass(frozen=True, slots=True)
class Example:
    """Sections of a spec. What they do not say is as in `BASE`."""

    where: str
    """Completes "bad, ..."; may be empty."""
    spec: str


@dataclass(frozen=True, slots=True)
class Reference:
    """Where more is said: a paper by its number, or a book."""

    text: str
    url: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """A rule and its help, whole and in parts."""

    rule: Rule
    help: str
    summary: str = field(init=False)
    """What the rule catches, in one sentence."""
    why: str = field(init=False)
    """Why that matters: paragraphs; may be empty."""
    bad: tuple[Example, ...] = field(init=False)
    good: tuple[Example, ...] = field(init=False)
    references: tuple[Reference, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Take the help apart: a sentence, paragraphs, `Bad:` and `Good:` with an indented spec each, `See ...`."""
        text: list[str] = []
        examples: dict[str, list[Example]] = {"Bad": [], "Good": []}
        references = ""
        for part in _parts(self.help):
            if match := _LABEL.match(part):
                examples[match[1]].append(Example(match[2] or "", _spec(part[match.end() :])))
            elif part.startswith("See "):
                references = part.removeprefix("See ").rstrip(".")
            else:
                text.append(" ".join(part.split()))
        set_ = object.__setattr__
        set_(self, "summary", text[0] if text else "")
        set_(self, "why", "\n\n".join(text[1:]))
        set_(self, "bad", tuple(examples["Bad"]))
        set_(self, "good", tuple(examples["Good"]))
        set_(self, "references", tuple(_reference(one) for one in references.split("; ") if one))


BASE = """\
fac: 1
name: example
input: {shape: [20]}
layers:
  - {kind: linear, name: fc1, out: 32}
  - {kind: relu}
  - {kind: linear, name: fc2, out: 16}
  - {kind: relu}
  - {kind: linear, name: logits, out: 10}
loss: {kind: cross_entropy}
update: {rule: sgd, lr: 0.1}
"""
"""The spec whose sections the examples replace."""


def pages() -> tuple[Page, ...]:
    """All pages, by code. A check has its help in its docstring, a rule of the text stages in `TEXT`."""
    found = [Page(rule, TEXT[rule.code]) for rule in (*source.RULES, *errors.RULES, TOO_LARGE, *locked.RULES)]
    checks = (*CHECKS, *BUILDING, *ESTIMATES, *COMPILING, *FOR_BACKEND)
    found += [Page(rule, getdoc(check) or "") for rule, check in checks]
    return tuple(sorted(found, key=lambda page: page.rule.code))


def _parts(help: str) -> list[str]:
    """Paragraphs, and examples from their label to the end of the block that follows it."""
    parts: list[str] = []
    for block in re.split(r"\n{2,}", help):
        if block.startswith(" "):
            parts[-1] += f"\n\n{block}"
        else:
            parts += re.split(r"\n(?=(?:Bad|Good)[,:])", block)
    return parts


def _spec(text: str) -> str:
    """An indented block, or what stands in backticks on the line of the label."""
    if text.startswith("\n"):
        return dedent(text).strip("\n") + "\n"
    inline = " ".join(text.split()).removesuffix(".")
    return inline[1:-1] if re.fullmatch(r"`[^`]*`", inline) else inline


def _reference(text: str) -> Reference:
    paper = _ARXIV.search(text)
    return Reference(text, f"https://arxiv.org/abs/{paper[1]}" if paper else None)
