"""`fac rule`: what a code means, why it is reported, and what to write instead."""

from __future__ import annotations

import json
from difflib import get_close_matches

import click

from fac.checks.pages import Page, pages
from fac.diagnostics import FacError


@click.command("rule")
@click.argument("code", required=False)
@click.option("--all", "every", is_flag=True, help="Print every rule.")
@click.option("--json", "as_object", is_flag=True, help="Print one JSON object.")
def COMMAND(code: str | None, every: bool, as_object: bool) -> None:
    """Explain a rule by its CODE, such as FAC301, or by its name."""
    if every == (code is not None):
        raise click.UsageError("give either a CODE or --all")
    if code is not None:
        page = find(code)
        click.echo(json.dumps(_object(page)) if as_object else _text(page))
    elif as_object:
        click.echo(json.dumps({"rules": [_object(page) for page in pages()]}))
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


def _object(page: Page) -> dict[str, str]:
    rule = page.rule
    return {"code": rule.code, "name": rule.name, "severity": rule.severity.value, "help": page.help}
