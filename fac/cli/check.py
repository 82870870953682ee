"""`fac check`: find what is wrong with specs, in milliseconds and without a framework."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import click

from fac import source
from fac.cli import ci
from fac.cli.backends import not_empty
from fac.cli.output import colored, tell, write
from fac.diagnostics import FacError, Severity
from fac.lint.files import STDIN, SUFFIXES, Files
from fac.lint.run import lint
from fac.lint.settings import STDIN_NAME, Lookup
from fac.render.findings import FORMATS, Checked, Report, render

if TYPE_CHECKING:
    from fac.backend import Precision
    from fac.cli.fixing import Fixing

COUNTABLE = ("full", "concise", "json", "github")
"""Formats beside which, or in whose place, a table of counts does no harm."""


@click.command("check")
@click.argument("paths", metavar="[PATH|-]...", nargs=-1)
@click.option("--select", multiple=True, metavar="CODES", help="Report only these: codes, prefixes or names.")
@click.option("--ignore", multiple=True, metavar="CODES", help="Do not report these.")
@click.option(
    "--fail-on", type=click.Choice([s.value for s in Severity]), help="The bar for exit status 1.  [error]"
)
@click.option(
    "--output-format",
    type=click.Choice(FORMATS),
    envvar="FAC_OUTPUT_FORMAT",
    help="How findings are printed.  [full]",
)
@click.option("--json", "as_object", is_flag=True, help="Short for --output-format json.")
@click.option(
    "--output-file",
    type=click.Path(),
    callback=not_empty,
    help="Write the findings there instead of printing them.",
)
@click.option(
    "--fix", is_flag=True, help="Mend what can be mended safely, in the files. With -, print the result."
)
@click.option("--diff", is_flag=True, help="Print what --fix would change as a patch, and change nothing.")
@click.option("--statistics", is_flag=True, help="Count the findings of each rule instead of listing them.")
@click.option("--quiet", "-q", is_flag=True, help="Print findings only, no count.")
@click.option("--exit-zero", is_flag=True, help="Exit status 0 whatever is found.")
@click.option(
    "--config", type=click.Path(), callback=not_empty, help="Take the settings of this file for every spec."
)
@click.option("--isolated", is_flag=True, help="Take no settings from files.")
@click.option(
    "--stdin-filename",
    callback=not_empty,
    metavar="PATH",
    help="What - is called, and whose settings it has.",
)
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a value before checking."
)
@click.option("--backend", callback=not_empty, help="Also find what this backend cannot run.")
@click.option(
    "--precision", type=click.Choice(("float32", "float64")), help="For --backend; its own by default."
)
def COMMAND(
    paths: tuple[str, ...],
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    fail_on: str | None,
    output_format: str | None,
    as_object: bool,
    output_file: str | None,
    fix: bool,
    diff: bool,
    statistics: bool,
    quiet: bool,
    exit_zero: bool,
    config: str | None,
    isolated: bool,
    stdin_filename: str | None,
    assignments: tuple[str, ...],
    backend: str | None,
    precision: Precision | None,
) -> None:
    """Check specs: files, folders (every *.fac.yaml below them), or - for standard input.

    Without a PATH the current folder is checked. Settings stand in fac.toml, or in pyproject.toml under
    [tool.fac]. Exit status: 0 nothing found that counts as a failure, 1 findings, 2 a file could not be checked.
    With --diff, 1 says that there is something to fix.
    """
    if fix and diff:
        raise click.UsageError("--fix and --diff exclude each other")
    if (fix or diff) and assignments:
        raise click.UsageError(f"--{'fix' if fix else 'diff'} is about files as they are: leave out --set")
    if diff and (statistics or as_object):
        raise click.UsageError(
            f"--diff prints a patch: leave out {'--statistics' if statistics else '--json'}"
        )
    if precision and backend is None:
        raise click.UsageError("`--precision` is about a backend: name one with `--backend`")
    if stdin_filename and STDIN not in paths:
        raise click.UsageError("--stdin-filename names what is read from -, which is not among the paths")
    if output_file is not None and _is_spec(output_file, paths):
        raise click.UsageError(f"--output-file would write findings over `{output_file}`, which is a spec")
    if config and isolated:
        raise click.UsageError("--config and --isolated exclude each other")
    lookup = Lookup(config, isolated, select, ignore, Severity(fail_on) if fail_on else None)
    shown_as = "json" if as_object else output_format or lookup.here.output_format or "full"
    if statistics and shown_as not in COUNTABLE:
        raise click.UsageError(f"--statistics is for {', '.join(COUNTABLE)}, not for {shown_as}")
    files = Files(paths or (".",), lookup, stdin_filename or STDIN_NAME)
    unreadable = files.unreadable
    checked: list[Checked] = []
    failed = False
    fixing = _fixing(show=diff) if fix or diff else None
    for file in files:
        try:
            document = source.read(file)
            if file == STDIN:
                document = replace(document, name=files.stdin_name)
            document = source.override(document, assignments)
            settings = lookup.of(document.name)
            check = partial(lint, settings=settings, backend=backend, precision=precision)
            if fixing is None:
                found = check(document)
            else:
                document, found, _ = fixing(file, document, check)
        except FacError as error:
            unreadable.append((file, str(error)))
            continue
        checked.append(Checked(document, found, settings.fails))
        failed |= any(map(settings.fails, found))
    if fixing is not None and diff:
        _end_of_diff(fixing, unreadable, output_file, quiet=quiet, exit_zero=exit_zero)
    # The text from standard input goes to standard output, and nothing else does.
    passed_on = fix and STDIN in paths
    if fixing is not None and passed_on:
        if files.stdin_name in files.excluded:
            fixing.shown.append(sys.stdin.buffer.read())
        click.echo(fixing.output, nl=False)
    color = colored(err=passed_on) and output_file is None
    report = Report(tuple(checked), tuple(unreadable), color, quiet, ci.top())
    text = _statistics(shown_as, report) if statistics else render(shown_as, report)
    if output_file is not None:
        write(output_file, f"{text}\n" if text else "")
    elif text:
        click.echo(text, err=passed_on)
    notes = [f"`{path}` is excluded by `{lookup.of(path).file}`" for path in files.excluded]
    notes += [f"{report.counted}: see `{output_file}`"] if output_file is not None else []
    notes += [fixing.note] if fixing is not None and fixing.count else []
    for message in [] if quiet else notes:
        tell(message)
    _tell(unreadable)
    if shown_as == "github":
        try:
            ci.write_summary(report)
        except FacError as error:
            tell(error)  # the findings are told all the same
    # What uploads a SARIF file takes a failing producer for a broken one.
    passing = exit_zero or shown_as == "sarif"
    sys.exit(2 if unreadable else 1 if failed and not passing else 0)


def _is_spec(file: str, paths: tuple[str, ...]) -> bool:
    """Whether a file is checked, or would be taken for a spec by the next run."""
    same = os.path.realpath(file)
    return file.endswith(SUFFIXES) or any(os.path.realpath(path) == same for path in paths if path != STDIN)


def _statistics(shown_as: str, report: Report) -> str:
    from fac.render import statistics

    return statistics.as_json(report) if shown_as == "json" else statistics.table(report)


def _fixing(*, show: bool) -> Fixing:
    from fac.cli.fixing import Fixing

    return Fixing(show=show)


def _end_of_diff(
    fixing: Fixing,
    unreadable: list[tuple[str, str]],
    output_file: str | None,
    *,
    quiet: bool,
    exit_zero: bool,
) -> NoReturn:
    if output_file is not None:
        write(output_file, fixing.output)
    else:
        click.echo(fixing.output, nl=False)
    if fixing.count and not quiet:
        tell(fixing.note)
    _tell(unreadable)
    sys.exit(2 if unreadable else 1 if fixing.files and not exit_zero else 0)


def _tell(unreadable: list[tuple[str, str]]) -> None:
    for message in dict.fromkeys(message for _, message in unreadable):
        tell(message)
