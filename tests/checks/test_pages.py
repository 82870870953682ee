"""The help pages: their parts, their examples run, and the page that is made from them.

`FAC_UPDATE_GOLDEN=1 pytest` writes docs/rules.md anew.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from fac.checks.pages import BASE, Example, Page, Reference, pages
from fac.diagnostics import Rule
from fac.render.rules import page
from tests.checks.test_golden import check

ROOT = Path(__file__).parents[2]
PAGES = {page.rule.code: page for page in pages()}

HELP = """\
What it catches.

Why it matters, over
two lines.

And more, with `code: here`.

Bad, where `a: b` holds:

    feedback:
      routes: []

    update: {}

Bad: `x`, or `y`.

Good:

    feedback: {}

See Oja 1989; arXiv 1609.01596."""


def test_the_parts_of_a_page() -> None:
    made = Page(Rule("FAC999", "example"), HELP)
    assert made.summary == "What it catches."
    assert made.why == "Why it matters, over two lines.\n\nAnd more, with `code: here`."
    assert made.bad == (
        Example("where `a: b` holds", "feedback:\n  routes: []\n\nupdate: {}\n"),
        Example("", "`x`, or `y`"),
    )
    assert made.good == (Example("", "feedback: {}\n"),)
    assert made.references == (
        Reference("Oja 1989", None),
        Reference("arXiv 1609.01596", "https://arxiv.org/abs/1609.01596"),
    )


def test_examples_of_one_line() -> None:
    made = Page(Rule("FAC999", "example"), "What.\n\nBad, for `--x y`: `{a: b}`.\nGood: `{c: d}`.")
    assert made.bad == (Example("for `--x y`", "{a: b}"),)
    assert made.good == (Example("", "{c: d}"),)


@pytest.mark.parametrize("code", PAGES)
def test_every_page_says_what_why_and_how(code: str) -> None:
    page = PAGES[code]
    assert page.summary.endswith(".")
    assert "\n" not in page.summary
    assert len(page.why) > 60
    assert page.bad
    assert page.good
    for example in (*page.bad, *page.good):
        assert "\n" in example.spec, "an example is an indented block"


def sections(text: str) -> dict[str, str]:
    """Top-level entries of a spec by key, as they are written."""
    found = re.split(r"(?m)^(?=\w)", text)
    return {part.partition(":")[0]: part for part in found if part}


def whole(example: Example) -> str:
    """The example in the place of the sections that it names."""
    if example.where == "as the whole file":
        return example.spec
    base, own = sections(BASE), sections(example.spec)
    if "inputs" in own:  # another form of `input`
        own["input"] = own.pop("inputs")
    if "losses" in own:
        del base["loss"]
    if "solve" in own:
        del base["update"]
    return "".join((base | own).values())


def checked(example: Example, code: str, home: Path, *arguments: str) -> str:
    """What `fac check` prints, asked and equipped as for the golden files of the rule."""
    shutil.copytree(Path(__file__).parent / code, home)
    (home / "example.yaml").write_text(whole(example), "utf-8")
    return check(home, "example.yaml", *arguments)


def reported(example: Example, code: str, home: Path) -> set[str]:
    """Codes of the findings."""
    return {finding["code"] for finding in json.loads(checked(example, code, home, "--json"))["findings"]}


@pytest.mark.parametrize("code", PAGES)
def test_bad_examples_have_this_finding_and_good_ones_none(code: str, tmp_path: Path) -> None:
    page = PAGES[code]
    for number, example in enumerate(page.bad):
        assert reported(example, code, tmp_path / f"bad{number}") == {code}
    for number, example in enumerate(page.good):
        assert reported(example, code, tmp_path / f"good{number}") == set()


def test_the_base_of_the_examples_is_clean(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(BASE, "utf-8")
    assert check(tmp_path, "base.yaml") == "no findings in 1 file\n"


def test_the_published_page_is_the_one_of_the_checks(tmp_path: Path) -> None:
    reports = {code: checked(one.bad[0], code, tmp_path / code) for code, one in PAGES.items()}
    actual = page(PAGES.values(), BASE, reports)
    golden = ROOT / "docs" / "rules.md"
    if os.environ.get("FAC_UPDATE_GOLDEN"):
        golden.write_text(actual, "utf-8")
    assert actual == golden.read_text("utf-8")


def test_every_rule_has_an_anchor_and_a_row() -> None:
    text = (ROOT / "docs" / "rules.md").read_text("utf-8")
    headings = re.findall(r"(?m)^### (.*)$", text)
    assert headings == list(PAGES)
    assert re.findall(r"(?m)^\| \[(\w+)\]\(#(\w+)\)", text) == [(code, code.lower()) for code in PAGES]


def test_papers_are_cited_by_their_numbers() -> None:
    for one in PAGES.values():
        for reference in one.references:
            assert reference.url or re.search(r"\d{4}$", reference.text), reference
