"""`fac diff`: what changed in the meaning of a spec."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from fac import pipeline
from fac.cli.output import colored
from fac.diagnostics import SpecError

if TYPE_CHECKING:
    from fac.program.program import Program

FORMATS = ("text", "markdown", "json")
STDIN = "-"


@click.command("diff", short_help="Show what changed in the meaning of a spec.")
@click.argument("old", type=click.Path(allow_dash=True))
@click.argument("new", type=click.Path(allow_dash=True))
@click.option(
    "--output-format",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="How the difference is printed; `markdown` is a comment for a pull request.",
)
@click.option("--json", "as_object", is_flag=True, help="Short for --output-format json.")
@click.option("--exit-code", is_flag=True, help="Exit status 1 if the two specs do not mean the same.")
@click.option(
    "--batch", type=click.IntRange(min=1), help="Samples per step to count costs at. Default: each spec's."
)
def diff(old: str, new: str, output_format: str, as_object: bool, exit_code: bool, batch: int | None) -> None:
    """Show what changed between two specs: who learns from whose error, the network, the training, the cost.

    Either may be - for standard input. Layout, comments, the order of keys, the name of the spec, and short-hands
    against routes written out are no difference. Exit status: 0 whatever differs, 1 a spec has errors, 2 a spec
    could not be read.
    """
    from fac.render.diff import compare
    from fac.render.diff.data import as_json
    from fac.render.diff.markdown import markdown
    from fac.render.diff.text import text

    if old == new == STDIN:
        raise click.UsageError("only one of the two specs can be read from standard input")
    difference = compare(*_programs(old, new), batch=batch)
    if as_object or output_format == "json":
        click.echo(json.dumps({"old_file": old, "new_file": new} | as_json(difference)))
    elif output_format == "markdown":
        click.echo(markdown(difference, old if new == STDIN else new), nl=False)
    else:
        click.echo(text(difference, colored()), nl=False)
    sys.exit(1 if exit_code and not difference.same else 0)


def _programs(old: str, new: str) -> tuple[Program, Program]:
    """Both, or the findings of both."""
    found: list[Program] = []
    refused: list[SpecError] = []
    for file in (old, new):
        try:
            found.append(pipeline.lowered(file))
        except SpecError as error:
            refused.append(error)
    if refused:
        findings = tuple(finding for error in refused for finding in error.diagnostics)
        raise SpecError("\n\n".join(map(str, refused)), findings)
    return found[0], found[1]


COMMAND = diff
