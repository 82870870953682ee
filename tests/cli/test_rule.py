"""`fac rule`: the help pages."""

from __future__ import annotations

import json

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
    assert "\nGood: `" in page
    assert rule("fac301") == rule("rank-exceeds-source") == page


def test_all_pages_in_order() -> None:
    text = rule("--all")
    places = [text.index(f"{page.rule.code} {page.rule.name} ({page.rule.severity})") for page in pages()]
    assert places == sorted(places)


def test_json() -> None:
    one = json.loads(rule("FAC106", "--json"))
    assert (one["code"], one["name"], one["severity"]) == ("FAC106", "duplicate-key", "error")
    every = json.loads(rule("--all", "--json"))["rules"]
    assert one in every
    assert len(every) == len(pages())


def test_an_unknown_code_names_the_nearest() -> None:
    with pytest.raises(FacError, match=r"no rule is called `dead-rout`; did you mean `FAC303`\?"):
        rule("dead-rout")
    with pytest.raises(FacError, match=r"`fac rule --all` prints every rule"):
        rule("quack")


@pytest.mark.parametrize("arguments", [[], ["FAC301", "--all"]])
def test_code_and_all_exclude_each_other(arguments: list[str]) -> None:
    assert CliRunner().invoke(COMMAND, arguments).exit_code == 2
