"""`fac check`: find what is wrong with specs, in milliseconds and without a framework."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fac import pipeline, source
from fac.cli.backends import not_empty
from fac.diagnostics import Diagnostic, FacError, Severity
from fac.render.diagnostics import as_json, concise, full, summary
from fac.source import Document

if TYPE_CHECKING:
    from fac.backend import Precision

SUFFIXES = (".fac.yaml", ".fac.yml", ".fac.json")

Checked = list[tuple[Document, tuple[Diagnostic, ...]]]
Unreadable = list[tuple[str, str]]
"""Paths, and why they could not be checked."""


@click.command("check")
@click.argument("paths", metavar="[PATH|-]...", nargs=-1)
@click.option(
    "--output-format",
    type=click.Choice(["full", "concise", "json"]),
    default="full",
    envvar="FAC_OUTPUT_FORMAT",
    help="How findings are printed.",
)
@click.option("--json", "as_object", is_flag=True, help="Short for --output-format json.")
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a value before checking."
)
@click.option("--backend", callback=not_empty, help="Also find what this backend cannot run.")
@click.option(
    "--precision", type=click.Choice(("float32", "float64")), help="For --backend; its own by default."
)
def COMMAND(
    paths: tuple[str, ...],
    output_format: str,
    as_object: bool,
    assignments: tuple[str, ...],
    backend: str | None,
    precision: Precision | None,
) -> None:
    """Check specs: files, folders (every *.fac.yaml below them), or - for standard input.

    Without a PATH the current folder is checked. Exit status: 0 no errors, 1 errors found, 2 a file could not
    be checked.
    """
    if precision and backend is None:
        raise click.UsageError("`--precision` is about a backend: name one with `--backend`")
    output_format = "json" if as_object else output_format
    checked: Checked = []
    unreadable: Unreadable = []
    for file in _files(paths or (".",), unreadable):
        try:
            document = source.override(source.read(file), assignments)
            checked.append((document, pipeline.check(document, (), backend, precision)))
        except FacError as error:
            unreadable.append((file, str(error)))
    click.echo(report(checked, output_format, unreadable, color=_color()))
    for message in dict.fromkeys(message for _, message in unreadable):
        click.echo(f"fac: {message}", err=True)
    errors = any(d.rule.severity is Severity.ERROR for _, found in checked for d in found)
    sys.exit(2 if unreadable else 1 if errors else 0)


def _files(paths: Iterable[str], unreadable: Unreadable) -> Iterator[str]:
    """The files that all arguments stand for, each once. Arguments that stand for none go to `unreadable`."""
    seen: set[str] = set()
    for path in paths:
        try:
            found = specs(path)
        except FacError as error:
            unreadable.append((path, str(error)))
            continue
        for file in found:
            same = file if file == "-" else os.path.realpath(file)
            if same not in seen:
                seen.add(same)
                yield file


def specs(path: str) -> list[str]:
    """The files that a command-line argument stands for.

    Raises:
        FacError: a folder holds no spec.
    """
    folder = Path(path)
    if path == "-" or not folder.is_dir():
        return [path]
    # Hidden folders hold what tools keep for themselves, virtual environments for one.
    found = sorted(
        file
        for file in folder.rglob("*.fac.*")
        if file.name.endswith(SUFFIXES) and not any(p.startswith(".") for p in file.relative_to(folder).parts)
    )
    if not found:
        raise FacError(f"no `*.fac.yaml`, `*.fac.yml` or `*.fac.json` is in the folder `{path}`")
    return [str(file) for file in found]


def report(
    checked: Checked, output_format: str, unreadable: Unreadable | None = None, *, color: bool = False
) -> str:
    """Everything that goes to standard output."""
    if output_format == "json":
        return json.dumps(_object(checked, unreadable or []))
    blocks = []
    for document, found in checked:
        if found:
            blocks.append(
                concise(document, found) if output_format == "concise" else full(document, found, color)
            )
    count = len(checked)
    last = f"{summary(d for _, found in checked for d in found)} in {count} file{'s' * (count != 1)}"
    return ("\n" if output_format == "concise" else "\n\n").join([*blocks, last])


def _object(checked: Checked, unreadable: Unreadable) -> dict[str, object]:
    rows = [row for document, found in checked for row in as_json(document, found)]
    counts = {f"{s}s": sum(row["severity"] == s for row in rows) for s in Severity}
    return {
        "files": [document.name for document, _ in checked],
        "unreadable": [{"path": path, "message": message} for path, message in unreadable],
        **counts,
        "findings": rows,
    }


def _color() -> bool:
    """Colour is for terminals; `NO_COLOR` refuses it there too (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
