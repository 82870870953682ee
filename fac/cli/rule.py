"""`fac rule`: what a code means, why it is reported, and what to write instead."""

from __future__ import annotations

import json
from dataclasses import asdict
from difflib import get_close_matches
from typing import Any

import click

from fac.checks.pages import BASE, Page, pages
from fac.diagnostics import FacError
from fac.render.rules import page as render


@click.command("rule")
@click.argument("code", required=False)
@click.option("--all", "every", is_flag=True, help="Print every rule.")
@click.option("--json", "as_object", is_flag=True, help="Print one JSON object.")
@click.option("--markdown", is_flag=True, help="With --all: as a page to read.")
def COMMAND(code: str | None, every: bool, as_object: bool, markdown: bool) -> None:
    """Explain a rule by its CODE, such as FAC301, or by its name."""
    if every == (code is not None):
        raise click.UsageError("give either a CODE or --all")
    if markdown and (as_object or not every):
        raise click.UsageError("--markdown goes with --all, and without --json")
    if code is not None:
        page = find(code)
        click.echo(json.dumps(_object(page)) if as_object else _text(page))
    elif markdown:
        click.echo(render(pages(), BASE, {}), nl=False)
    elif as_object:
        click.echo(json.dumps({"base": BASE, "rules": [_object(page) for page in pages()]}))
    else:
        click.echo("\n\n".join(map(_text, pages())))


def find(code: str) -> Page:
    """The page of a code or a name, in any case of letters.

    Raises:
        FacError: there is none; the message names the nearest.
    """
    known = {key.lower(): page for page in pages() for key in (page.rule.code, page.rule.name)}
    if code.lower() in known:
        return known[code.lower()]
    close = [known[key].rule.code for key in get_close_matches(code.lower(), list(known), n=1)]
    hint = f"did you mean `{close[0]}`?" if close else "`fac rule --all` prints every rule"
    raise FacError(f"no rule is called `{code}`; {hint}")


def _text(page: Page) -> str:
    rule = page.rule
    return f"{rule.code} {rule.name} ({rule.severity})\n\n{page.help}"


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
