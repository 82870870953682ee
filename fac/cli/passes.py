"""How commands take the names of passes."""

from __future__ import annotations

import click

disabling = click.option(
    "--disable-pass",
    "disable",
    multiple=True,
    metavar="NAME",
    help="Leave out a pass, see docs/passes.md; repeatable.",
)
