"""`fac init`: a spec to start from."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from shlex import quote

import click

from fac.diagnostics import FacError

NAME = "spec.fac.yaml"


@click.command("init")
@click.argument("path", default=NAME)
@click.option("--force", is_flag=True, help="Overwrite a file that exists.")
def COMMAND(path: str, force: bool) -> None:
    """Write a starter spec to PATH (a file or a folder; default spec.fac.yaml) that trains within seconds."""
    file = Path(path) / NAME if Path(path).is_dir() else Path(path)
    text = resources.files("fac.cli").joinpath("starter.fac.yaml").read_text("utf-8")
    try:
        with file.open("w" if force else "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise FacError(f"`{file}` exists: `--force` overwrites it") from error
    except OSError as error:
        raise FacError(f"`{file}` cannot be written: {(error.strerror or str(error)).lower()}") from error
    shown = quote(str(file))
    schema = quote(str(file.parent / "fac.v1.schema.json"))
    click.echo(
        f"wrote {file}\n\n"
        "next:\n"
        f"  fac check {shown}\n"
        f"  fac show {shown}\n"
        f"  fac train {shown}\n"
        f"  fac schema > {schema}    # completion and hover texts in editors"
    )
