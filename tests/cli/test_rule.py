"""`fac rule`: the help pages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from fac.checks.pages import pages
from fac.cli.rule import COMMAND
from fac.diagnostics import FacError


def rule(*arguments: str) -> str:
    return CliRunner().invoke(COMMAND, arguments, catch_exceptions=False).stdout


def test_one_page() -> None:
    page = rule("FAC301")
    assert page.startswith("FAC301 rank-exceeds-source (error)\n\nA low-rank matrix")
    assert "\nBad, where `logits` has 10 units:\n\n    feedback:\n" in page
    assert "\n\nSee arXiv 2502.20580 <https://arxiv.org/abs/2502.20580>.\n\nThe examples show" in page
    assert page.endswith("    update: {rule: sgd, lr: 0.1}\n"), "the base that the examples start from"
    assert rule("fac301") == rule("rank-exceeds-source") == page


def test_an_example_that_is_whole_needs_no_base() -> None:
    assert "leave out" not in rule("FAC107")


def test_without_a_code_all_are_listed() -> None:
    head, *rows = rule().splitlines()
    assert head.split() == ["code", "severity", "name", "what", "it", "catches"]
    assert [row.split()[:3] for row in rows] == [[p.rule.code, p.rule.severity, p.rule.name] for p in pages()]
    assert all(row.endswith(page.summary) for row, page in zip(rows, pages(), strict=True))


def test_the_beginning_of_codes_lists_these() -> None:
    rows = rule("fac5").splitlines()[1:]
    assert [row.split()[0] for row in rows] == [
        p.rule.code for p in pages() if p.rule.code.startswith("FAC5")
    ]
    listed = json.loads(rule("FAC5", "--json"))["rules"]
    assert [one["code"] for one in listed] == [row.split()[0] for row in rows]
    assert rule("--json") == rule("--all", "--json")


def test_all_pages_in_order() -> None:
    text = rule("--all")
    assert text.count("leave out are") == 1
    places = [text.index(f"{page.rule.code} {page.rule.name} ({page.rule.severity})") for page in pages()]
    assert places == sorted(places)


def test_json() -> None:
    one = json.loads(rule("FAC106", "--json"))
    assert (one["code"], one["name"], one["severity"]) == ("FAC106", "duplicate-key", "error")
    assert one["summary"] == "A mapping holds one key twice."
    assert one["why"].startswith("YAML parsers often keep the last one")
    assert one["bad"] == [{"where": "", "spec": "train: {epochs: 5, batch: 32, epochs: 10}\n"}]
    assert one["good"] == [{"where": "", "spec": "train: {epochs: 10, batch: 32}\n"}]
    assert one["references"] == []
    everything = json.loads(rule("--all", "--json"))
    assert everything["base"].startswith("fac: 1\n")
    every = everything["rules"]
    assert one in every
    paper = {"text": "arXiv 2502.20580", "url": "https://arxiv.org/abs/2502.20580"}
    assert next(r for r in every if r["code"] == "FAC301")["references"] == [paper]
    assert len(every) == len(pages())


def test_an_unknown_code_names_the_nearest() -> None:
    with pytest.raises(FacError, match=r"no rule is called `dead-rout`; did you mean `FAC303`\?"):
        rule("dead-rout")
    with pytest.raises(FacError, match=r"no rule is called `quack`; `fac rule` lists all rules"):
        rule("quack")
    with pytest.raises(FacError, match=r"no rule is called ``; `fac rule` lists all rules"):
        rule("")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("FAC312", "no rule has the code `FAC312`; its neighbours are `FAC311` and `FAC313`"),
        ("312", "no rule has the code `FAC312`; its neighbours are `FAC311` and `FAC313`"),
        ("301", "no rule is called `301`; did you mean `FAC301`?"),
        ("fac000", "no rule has the code `FAC000`; the first one is `FAC101`"),
        ("FAC9999", f"no rule has the code `FAC9999`; the last one is `{pages()[-1].rule.code}`"),
    ],
)
def test_a_number_that_no_rule_has(code: str, message: str) -> None:
    with pytest.raises(FacError) as caught:
        rule(code)
    assert str(caught.value) == message


def test_markdown_is_the_published_page_without_what_the_examples_get() -> None:
    """Running `fac check` on every example is for the test that writes the page."""
    text = rule("--all", "--markdown")
    assert text.startswith("# The rules\n")
    published = (Path(__file__).parents[2] / "docs" / "rules.md").read_text("utf-8")
    assert re.sub(r"`fac check` says:\n\n```text\n.*?```\n\n", "", published, flags=re.S) == text


@pytest.mark.parametrize(
    "arguments",
    [["FAC301", "--all"], ["FAC301", "--markdown"], ["--all", "--json", "--markdown"], ["--markdown"]],
)
def test_options_that_do_not_go_together(arguments: list[str]) -> None:
    assert CliRunner().invoke(COMMAND, arguments).exit_code == 2
