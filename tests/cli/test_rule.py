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
    assert page.endswith("See arXiv 2502.20580.\n")
    assert rule("fac301") == rule("rank-exceeds-source") == page


def test_all_pages_in_order() -> None:
    text = rule("--all")
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
    with pytest.raises(FacError, match=r"`fac rule --all` prints every rule"):
        rule("quack")


def test_markdown_is_the_published_page_without_what_the_examples_get() -> None:
    """Running `fac check` on every example is for the test that writes the page."""
    text = rule("--all", "--markdown")
    assert text.startswith("# The rules\n")
    published = (Path(__file__).parents[2] / "docs" / "rules.md").read_text("utf-8")
    assert re.sub(r"`fac check` says:\n\n```text\n.*?```\n\n", "", published, flags=re.S) == text


@pytest.mark.parametrize(
    "arguments",
    [[], ["FAC301", "--all"], ["FAC301", "--markdown"], ["--all", "--json", "--markdown"], ["--markdown"]],
)
def test_options_that_do_not_go_together(arguments: list[str]) -> None:
    assert CliRunner().invoke(COMMAND, arguments).exit_code == 2
