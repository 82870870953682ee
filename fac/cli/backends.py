"""`fac backends`: what is installed and what can be used; and the backend of commands that name none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from fac.cli.output import echo
from fac.diagnostics import FacError
from fac.render.json_text import json_text

if TYPE_CHECKING:
    from fac.backend import Backend

PREFERRED = ("torch", "onnx", "reference")
"""The first of these that can be used is the default."""


@dataclass(frozen=True, slots=True)
class Found:
    """A backend on this machine."""

    backend: Backend
    devices: tuple[str, ...]
    problem: str
    """Why it cannot be used and how to mend that; empty if it can."""


def found() -> tuple[Found, ...]:
    """All installed backends."""
    from fac.pipeline import backends

    return tuple(map(_look, backends()))


def chosen(name: str | None) -> Backend:
    """The backend of that name; by default the first of `PREFERRED` that can be used.

    Raises:
        FacError: there is none of that name, or none that can be used.
    """
    from fac.pipeline import backends, find_backend

    if name is not None:
        return find_backend(name)
    by_name = {backend.name: backend for backend in backends()}
    for candidate in PREFERRED:
        if candidate in by_name and not _look(by_name[candidate]).problem:
            return by_name[candidate]
    raise FacError("no backend can be used here: `fac backends` tells what is missing")


def not_empty(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """An option's value, which an unset variable of a script must not turn into the default."""
    if value == "":
        raise click.BadParameter("it is empty: name one, or leave the option out")
    return value


def _look(backend: Backend) -> Found:
    try:
        return Found(backend, backend.devices(), "")
    except FacError as error:
        return Found(backend, (), str(error))


@click.command("backends")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def backends_(as_json: bool) -> None:
    """List the installed backends and the devices that they can use."""
    from fac.render.columns import columns

    all_found = found()
    if as_json:
        rows = [
            {
                "name": f.backend.name,
                "summary": f.backend.summary,
                "usable": not f.problem,
                "devices": f.devices,
                "default_precision": f.backend.default_precision,
                "problem": f.problem or None,
            }
            for f in all_found
        ]
        echo(json_text({"backends": rows}))
        return
    table = [
        (
            f.backend.name,
            ", ".join(f.devices) if not f.problem else f.problem,
            f.backend.default_precision,
            f.backend.summary,
        )
        for f in all_found
    ]
    echo(columns(("backend", "devices", "precision", "what it is"), table))


COMMAND = backends_
