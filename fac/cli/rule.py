"""`fac rule`: what a code means, why it is reported, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from difflib import get_close_matches
from textwrap import indent
from typing import Any

import click

from fac.checks.pages import BASE, Page, pages
from fac.cli.output import echo, pass_on
from fac.diagnostics import FacError
from fac.render.columns import columns
from fac.render.json_text import json_text
from fac.render.rules import page as render

_NUMBER = re.compile(r"(?:FAC)?(\d{1,9})", re.IGNORECASE)


@click.command("rule")
@click.argument("code", required=False)
@click.option("--all", "every", is_flag=True, help="Print the page of every rule.")
@click.option("--json", "as_object", is_flag=True, help="Print one JSON object.")
@click.option("--markdown", is_flag=True, help="With --all: as a page to read.")
def COMMAND(code: str | None, every: bool, as_object: bool, markdown: bool) -> None:
    """Explain a rule by its CODE, such as FAC301, or by its name.

    Without a CODE, or with the beginning of several such as FAC3, the rules are listed.
    """
    if every and code is not None:
        raise click.UsageError("give either a CODE or --all")
    if markdown and (as_object or not every):
        raise click.UsageError("--markdown goes with --all, and without --json")
    chosen = pages() if code is None else find(code)
    if isinstance(chosen, Page):
        echo(json_text(_object(chosen)) if as_object else f"{_text(chosen)}{_base(chosen)}")
    elif as_object:
        echo(json_text({"base": BASE, "rules": [_object(page) for page in chosen]}))
    elif markdown:
        pass_on(render(chosen, BASE, {}))
    elif every:
        echo("\n\n".join([_INTRODUCTION, *map(_text, chosen)]))
    else:
        rows = [(p.rule.code, p.rule.severity.value, p.rule.name, p.summary) for p in chosen]
        echo(columns(("code", "severity", "name", "what it catches"), rows))


def find(code: str) -> Page | tuple[Page, ...]:
    """The page of a code or a name, in any case of letters, or those of the codes that begin so.

    Raises:
        FacError: there is none; the message names the nearest.
    """
    every = pages()
    known = {key.lower(): page for page in every for key in (page.rule.code, page.rule.name)}
    if code.lower() in known:
        return known[code.lower()]
    if code and (begun := tuple(page for page in every if page.rule.code.startswith(code.upper()))):
        return begun
    if number := _NUMBER.fullmatch(code):
        meant = f"FAC{number[1]}"
        if meant.lower() in known:
            raise FacError(f"no rule is called `{code}`; did you mean `{meant}`?")
        raise FacError(f"no rule has the code `{meant}`; {_around(int(number[1]), every)}")
    close = [known[key].rule.code for key in get_close_matches(code.lower(), list(known), n=1)]
    hint = f"did you mean `{close[0]}`?" if close else "`fac rule` lists all rules"
    raise FacError(f"no rule is called `{code}`; {hint}")


def _around(number: int, every: Sequence[Page]) -> str:
    """The codes before and behind a number that no rule has."""
    codes = [page.rule.code for page in every]
    before = [code for code in codes if int(code[3:]) < number][-1:]
    behind = [code for code in codes if int(code[3:]) > number][:1]
    if before and behind:
        return f"its neighbours are `{before[0]}` and `{behind[0]}`"
    return f"the last one is `{before[0]}`" if before else f"the first one is `{behind[0]}`"


_INTRODUCTION = f"""\
The examples show the sections that matter. Those that they leave out are

{indent(BASE.rstrip(), "    ")}"""


def _text(page: Page) -> str:
    rule, text = page.rule, page.help
    before, see, references = text.rpartition("\n\nSee ")
    for reference in page.references:
        if reference.url:
            references = references.replace(reference.text, f"{reference.text} <{reference.url}>")
    return f"{rule.code} {rule.name} ({rule.severity})\n\n{before}{see}{references}"


def _base(page: Page) -> str:
    """What the examples leave out, if they do."""
    whole = all(example.where == "as the whole file" for example in (*page.bad, *page.good))
    return "" if whole else f"\n\n{_INTRODUCTION}"


def _object(page: Page) -> dict[str, Any]:
    rule = page.rule
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity.value,
        "summary": page.summary,
        "why": page.why,
        "bad": [asdict(example) for example in page.bad],
        "good": [asdict(example) for example in page.good],
        "references": [asdict(reference) for reference in page.references],
        "help": page.help,
    }
