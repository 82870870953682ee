"""`fac check`: find what is wrong with specs, in milliseconds and without a framework."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import click

from fac import pipeline, source
from fac.cli import ci
from fac.cli.backends import not_empty
from fac.cli.output import colored, echo, is_spec, pass_on, tell, write
from fac.diagnostics import FacError, Severity
from fac.lint.files import COMPARISONS, STDIN, SUFFIXES, Files
from fac.lint.reading import top
from fac.lint.run import Linted, linted, reported
from fac.lint.settings import STDIN_NAME, Lookup, Settings
from fac.render.findings import FORMATS, Checked, Report, render
from fac.source import Document

if TYPE_CHECKING:
    from fac.backend import Precision
    from fac.cli.fixing import Fixing
    from fac.lint.fix import Lint
    from fac.lint.lock import Lock

COUNTABLE = ("full", "concise", "json", "github")
"""Formats beside which, or in whose place, a table of counts does no harm."""
KEY = "compare"
"""The first key of a comparison file, see `fac.experiments.declared`, which takes long to import."""
FOR_PEOPLE = ("full", "concise")
"""The other formats are read by programs."""


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
@click.option("--locked", is_flag=True, help="Also find what is not as `fac lock` wrote it.")
@click.option(
    "--lock",
    type=click.Path(),
    callback=not_empty,
    help="The lock of --locked.  [fac.lock]",
)
@click.option("--backend", callback=not_empty, help="Also find what this backend cannot run.")
@click.option(
    "--precision", type=click.Choice(("float32", "float64")), help="For --backend; its own by default."
)
def COMMAND(**given: Any) -> None:
    """Check specs and comparison files: files, folders (*.fac.yaml, *.compare.yaml), or - for standard input.

    Without a PATH the current folder is checked. Settings stand in fac.toml, or in pyproject.toml under
    [tool.fac]. Exit status: 0 nothing found that counts as a failure, 1 findings, 2 a file could not be checked.
    With --diff, 1 says that there is something to fix.
    """
    asked = Asked(**given)
    _refuse(asked)
    if asked.backend is not None:
        pipeline.find_backend(asked.backend)
    fail_on = Severity(asked.fail_on) if asked.fail_on else None
    lookup = Lookup(asked.config, asked.isolated, asked.select, asked.ignore, fail_on)
    shown_as = "json" if asked.as_object else asked.output_format or lookup.here.output_format or "full"
    if asked.statistics and shown_as not in COUNTABLE:
        raise click.UsageError(f"--statistics is for {', '.join(COUNTABLE)}, not for {shown_as}")
    files = Files(
        asked.paths or (".",), lookup, asked.stdin_filename or STDIN_NAME, (*SUFFIXES, *COMPARISONS)
    )
    fixing = _fixing(show=asked.diff) if asked.fix or asked.diff else None
    lock = _lock(asked.lock) if asked.locked else None
    checked = list(_checked(asked, files, lookup, fixing, lock))
    if lock is not None:
        checked += _gone(lock, lookup)
    if asked.diff:
        assert fixing is not None
        _end_of_diff(asked, fixing, files.unreadable)
    # The text from standard input goes to standard output, and nothing else does.
    passed_on = asked.fix and STDIN in asked.paths
    if fixing is not None and passed_on:
        if files.stdin_name in files.excluded:
            fixing.shown.append(sys.stdin.buffer.read())
        pass_on(fixing.output)
    color = colored(err=passed_on) and asked.output_file is None
    report = Report(tuple(checked), tuple(files.unreadable), color, asked.quiet, top())
    text = _statistics(shown_as, report) if asked.statistics else render(shown_as, report)
    if asked.output_file is not None:
        write(asked.output_file, f"{text}\n" if text else "")
    elif text and (passed_on or shown_as in FOR_PEOPLE):
        echo(text, err=passed_on)
    elif text:
        pass_on(f"{text}\n")
    for note in [] if asked.quiet else _notes(asked, files, lookup, report, fixing):
        tell(note)
    _tell(files.unreadable)
    if shown_as == "github":
        try:
            ci.write_summary(report)
        except FacError as error:
            tell(error)  # the findings are told all the same
    failed = any(c.fails(finding) for c in checked for finding in c.findings)
    sys.exit(2 if files.unreadable else 1 if failed and not asked.exit_zero else 0)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The command line."""

    paths: tuple[str, ...]
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    fail_on: str | None
    output_format: str | None
    as_object: bool
    output_file: str | None
    fix: bool
    diff: bool
    statistics: bool
    quiet: bool
    exit_zero: bool
    config: str | None
    isolated: bool
    stdin_filename: str | None
    assignments: tuple[str, ...]
    locked: bool
    lock: str | None
    backend: str | None
    precision: Precision | None


def _refuse(asked: Asked) -> None:
    """What makes no sense together.

    Raises:
        UsageError: it does not.
    """
    mending = "--fix" if asked.fix else "--diff"
    other = "--json" if asked.as_object else "--output-format" if asked.output_format else ""
    nonsense = {
        "--fix and --diff exclude each other": asked.fix and asked.diff,
        f"{mending} is about files as they are: leave out --set": (asked.fix or asked.diff)
        and asked.assignments,
        f"--diff prints a patch: leave out {'--statistics' if asked.statistics else other}": asked.diff
        and (asked.statistics or asked.as_object or _given("output_format")),
        "--json is short for --output-format json: leave out one of them": asked.as_object
        and asked.output_format not in (None, "json")
        and _given("output_format"),
        "`--precision` is about a backend: name one with `--backend`": asked.precision and not asked.backend,
        "--stdin-filename names what is read from -, which is not among the paths": asked.stdin_filename
        and STDIN not in asked.paths,
        f"--output-file would write findings over `{asked.output_file}`, which is a spec": asked.output_file
        and is_spec(asked.output_file, asked.paths),
        "--config and --isolated exclude each other": asked.config and asked.isolated,
        "--lock is about --locked, which is not given": asked.lock and not asked.locked,
        "--diff shows what --fix would change: leave out --locked": asked.diff and asked.locked,
    }
    for message, applies in nonsense.items():
        if applies:
            raise click.UsageError(message)


def _given(parameter: str) -> bool:
    """Whether an option stands on the command line, and not in a variable that is there for all commands."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source is click.core.ParameterSource.COMMANDLINE


def _lock(path: str | None) -> Lock:
    from fac.lint.lock import Lock
    from fac.lint.lock.file import DEFAULT

    return Lock.read(path or DEFAULT)


def _gone(lock: Lock, lookup: Lookup) -> Iterator[Checked]:
    """The lock with what is wrong with itself, if anything is."""
    settings = lookup.of(lock.document.name)
    reported = (found for found in lock.gone() if settings.reports(found.rule.code, lock.document.name))
    if found := tuple(map(settings.graded, reported)):
        yield Checked(lock.document, found, settings.fails)


def _checked(
    asked: Asked, files: Files, lookup: Lookup, fixing: Fixing | None, lock: Lock | None
) -> Iterator[Checked]:
    """Each file with its findings. Those that cannot be read are noted in `files`."""
    for file in files:
        try:
            if fixing is not None:
                fixing.prepare(file)
            document = source.read(file, files.within.get(file))
            if file == STDIN:
                document = replace(document, name=files.stdin_name)
            document = source.override(document, asked.assignments)
            settings = lookup.of(document.name)
            settings.require()
            check = partial(
                _linted, settings=settings, backend=asked.backend, precision=asked.precision, lock=lock
            )
            if fixing is None:
                found = _promised(document, check(document), check)
            else:
                document, found = fixing(file, document, check)
        except FacError as error:
            files.unreadable.append((file, str(error)))
            continue
        yield Checked(document, found.findings, settings.fails, found.ignored, found.ran)


def _linted(
    document: Document,
    settings: Settings,
    backend: str | None,
    precision: Precision | None,
    lock: Lock | None,
) -> Linted:
    """As `linted`; of a comparison file what `fac compare` would refuse it for."""
    if KEY not in document.data:
        return linted(document, settings, backend, precision, lock)
    from fac.experiments.declared import checked, declares

    found = checked(document) if declares(document) else document.diagnostics
    return reported(document, found, settings)


def _promised(document: Document, found: Linted, check: Lint) -> Linted:
    if not any(finding.fix for finding in found.findings):
        return found
    from fac.lint.fix import promised  # most files need none of it

    return promised(document, found, check)


def _notes(
    asked: Asked, files: Files, lookup: Lookup, report: Report, fixing: Fixing | None
) -> Iterator[str]:
    """What people should know who do not look for it."""
    for path in files.excluded:
        yield f"`{path}` is excluded by `{lookup.of(path).file}`"
    if files.left_out:
        yield files.left_out
    for path in files.emptied:
        yield f"no spec of `{path}` is checked: settings exclude all of them"
    if asked.output_file is not None:
        yield f"{report.counted}: see `{asked.output_file}`"
    if fixing is not None and fixing.count:
        yield fixing.note


def _statistics(shown_as: str, report: Report) -> str:
    from fac.render import statistics

    return statistics.as_json(report) if shown_as == "json" else statistics.table(report)


def _fixing(*, show: bool) -> Fixing:
    from fac.cli.fixing import Fixing

    return Fixing(show=show)


def _end_of_diff(asked: Asked, fixing: Fixing, unreadable: list[tuple[str, str]]) -> NoReturn:
    if asked.output_file is not None:
        write(asked.output_file, fixing.output)
    else:
        pass_on(fixing.output)
    if not asked.quiet:
        tell(fixing.note if fixing.count else "there is nothing to fix")
    _tell(unreadable)
    sys.exit(2 if unreadable else 1 if fixing.files and not asked.exit_zero else 0)


def _tell(unreadable: list[tuple[str, str]]) -> None:
    for message in dict.fromkeys(message for _, message in unreadable):
        tell(message)
