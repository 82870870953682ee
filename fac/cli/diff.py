"""`fac diff`: what changed in the meaning of a spec."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from fac import pipeline, source
from fac.cli.backends import not_empty
from fac.cli.output import colored, echo, pass_on
from fac.diagnostics import SpecError
from fac.render.json_text import json_text

if TYPE_CHECKING:
    from fac.lint.settings import Settings
    from fac.program.program import Program
    from fac.render.diff import Difference
    from fac.render.findings.report import Checked

FORMATS = ("text", "markdown", "json")
STDIN = "-"
ABSENT = ("/dev/null", os.devnull)
"""What stands for a spec that does not exist: git writes the first everywhere."""


@click.command("diff", short_help="Show what changed in the meaning of a spec.")
@click.argument("old", type=click.Path(allow_dash=True))
@click.argument("new", type=click.Path(allow_dash=True))
@click.option(
    "--output-format",
    type=click.Choice(FORMATS),
    help="How the difference is printed; `markdown` is a comment for a pull request.  [text]",
)
@click.option("--json", "as_object", is_flag=True, help="Short for --output-format json.")
@click.option("--exit-code", is_flag=True, help="Exit status 1 if the two specs do not mean the same.")
@click.option(
    "--batch", type=click.IntRange(min=1), help="Samples per step to count costs at. Default: each spec's."
)
@click.option(
    "--old-name",
    metavar="PATH",
    callback=not_empty,
    help="What OLD is called, if it is a copy or from a pipe.",
)
def diff(
    old: str,
    new: str,
    output_format: str | None,
    as_object: bool,
    exit_code: bool,
    batch: int | None,
    old_name: str | None,
) -> None:
    """Show what changed between two specs: who learns from whose error, the network, the training, the cost.

    Either may be - for standard input, or /dev/null where the spec is new or deleted. Layout, comments, the order of
    keys, the name of the spec, and short-hands against routes written out are no difference. Exit status: 0 whatever
    differs, 1 a spec has errors, 2 a spec could not be read.
    """
    from fac.lint.settings import Lookup
    from fac.render.diff.data import as_json
    from fac.render.diff.findings import Findings, as_line, refused
    from fac.render.diff.findings import as_json as found_json
    from fac.render.diff.findings import as_markdown as found_markdown
    from fac.render.diff.markdown import markdown
    from fac.render.diff.text import text

    if as_object and output_format not in (None, "json"):
        raise click.UsageError(f"--json and --output-format {output_format} exclude each other")
    if old == new == STDIN:
        raise click.UsageError("only one of the two specs can be read from standard input")
    if old in ABSENT and new in ABSENT:
        raise click.UsageError("only one of the two specs can be the null device")
    form = "json" if as_object else output_format or "text"
    was = None if old in ABSENT else old_name or old
    now = None if new in ABSENT else new
    settings = Lookup().of(now or was or "")
    before, after = (None if file in ABSENT else _read(file, settings) for file in (old, new))
    found = Findings(*(spec.checked if spec else None for spec in (before, after)))
    title = _title(was, now, moved=old_name is not None)
    files = {"old_file": was, "new_file": now}
    errors = [spec.error for spec in (before, after) if spec and spec.error]
    if errors:
        if form == "json":
            echo(json_text(files | {"compared": False, "findings": found_json(found)}))
        elif form == "markdown":
            sides = (spec.checked if spec and spec.error else None for spec in (before, after))
            pass_on(refused(title, *sides))
        raise SpecError("\n\n".join(map(str, errors)), tuple(d for e in errors for d in e.diagnostics))
    difference = _difference(before, after, batch)
    if form == "json":
        known = {"compared": True, **as_json(difference), "findings": found_json(found)}
        echo(json_text(files | known))
    elif form == "markdown":
        pass_on("\n".join(filter(None, (markdown(difference, title), found_markdown(found)))))
    else:
        echo(text(difference, colored(), title, as_line(found)), nl=False)
    sys.exit(1 if exit_code and not difference.same else 0)


@dataclass(frozen=True)
class _Spec:
    """One of the two: its program, or the error that says why there is none; and what a reviewer is told of it."""

    program: Program | None
    error: SpecError | None
    checked: Checked


def _read(file: str, settings: Settings) -> _Spec:
    from fac.lint.run import lint
    from fac.render.findings.report import Checked

    document = source.read(file)
    try:
        program = pipeline.lowered(document)
    except SpecError as error:
        # Comments and settings may leave out findings, but cannot make a program of what has errors.
        return _Spec(None, error, Checked(document, error.diagnostics))
    return _Spec(program, None, Checked(document, lint(document, settings)))


def _difference(old: _Spec | None, new: _Spec | None, batch: int | None) -> Difference:
    """Of two specs without errors, or of one and nothing."""
    from fac.render.diff import alone, compare

    programs = [spec.program for spec in (old, new) if spec and spec.program]
    if len(programs) > 1:
        return compare(programs[0], programs[1], batch)
    return alone(programs[0], added=old is None, batch=batch)


def _title(old: str | None, new: str | None, *, moved: bool) -> str:
    """What the spec is called: as NEW is, if it is a file.

    Args:
        old: the name of the old spec; None if there is none.
        new: likewise.
        moved: whether another name of the old spec says that it was moved.
    """
    if new in (None, STDIN):
        return "<stdin>" if old in (None, STDIN) else str(old)
    return f"{old} -> {new}" if moved and old not in (None, new) else str(new)


COMMAND = diff
