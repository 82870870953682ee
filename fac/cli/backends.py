"""`fac backends`: what is installed and what can be used."""

from __future__ import annotations

import click

from fac.cli.output import echo
from fac.render.json_text import json_text


def not_empty(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """An option's value, which an unset variable of a script must not turn into the default."""
    if value == "":
        raise click.BadParameter("it is empty: name one, or leave the option out")
    return value


@click.command("backends")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def backends_(as_json: bool) -> None:
    """List the installed backends and the devices that they can use."""
    from fac.experiments.backends import found
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
