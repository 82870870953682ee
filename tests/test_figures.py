"""Figures that a page tells of the code are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fac import opening, signals
from fac.cli import ci, export
from fac.render.diff import markdown
from fac.training import outcome

DOCS = Path(__file__).parents[1] / "docs"
WORDS = {"half": 0.5, "two": 2.0, "three": 3.0, "four": 4.0}

FIGURES = (
    (
        "running.md",
        r"outputs are within (\S+) \(float32\) or (\S+) \(float64\) of the largest output",
        (export.BOUND["float32"], export.BOUND["float64"]),
    ),
    ("running.md", r"or within (\w+) times what rounding does to NumPy's", (export.MORE,)),
    ("running.md", r"comes again within (\w+) a second is the same one", (signals.AT_ONCE,)),
    ("running.md", r"on the training samples the loss is above (\S+) L and (\S+) C", (outcome.RISEN,) * 2),
    ("running.md", r"the loss is at least (\S+) C and the accuracy", (outcome.SHARE,)),
    ("running.md", r"at most (\S+) standard errors above the share", (outcome.ERRORS,)),
    ("running.md", r"made at most (\S+) % of the way from there", (100 * outcome.ROOM,)),
    ("running.md", r"no class has the majority, (\S+) C is enough", (outcome.SHARE_OF_CLASSES,)),
    ("checking.md", r"A spec has at most (\S+) bytes", (opening.SPEC.most,)),
)
"""The page, the sentence, and what its figures should be."""


def value(word: str) -> float:
    return WORDS[word] if word in WORDS else float(word.replace(",", ""))


@pytest.mark.parametrize(("page", "sentence", "figures"), FIGURES, ids=[f[1][:40] for f in FIGURES])
def test_a_page_tells_the_figures_of_the_code(page: str, sentence: str, figures: tuple[float, ...]) -> None:
    text = " ".join((DOCS / page).read_text("utf-8").split())
    (found,) = re.finditer(sentence, text)
    assert tuple(map(value, found.groups())) == pytest.approx(figures)


def test_what_goes_to_github_stays_below_its_limits() -> None:
    text = (DOCS / "diff.md").read_text("utf-8")
    (most,) = re.findall(r"stays below the ([\d,]+) characters that GitHub takes", text)
    assert value(most) > markdown.ROOM
    assert ci.ROOM < 1 << 20
