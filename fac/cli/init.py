"""`fac init`: a spec to start from."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from shlex import quote

import click

from fac.diagnostics import FacError

NAME = "spec.fac.yaml"
SUFFIXES = (".fac.yaml", ".fac.yml")
SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))


@click.command("init")
@click.argument("path", default=NAME)
@click.option("--force", is_flag=True, help="Overwrite a file that exists.")
def COMMAND(path: str, force: bool) -> None:
    """Write a starter spec to PATH that trains within seconds.

    PATH is a file that ends in .fac.yaml, or a folder that exists or is made if PATH ends in a slash; the default
    is spec.fac.yaml.
    """
    file = _file(path)
    text = resources.files("fac.cli").joinpath("starter.fac.yaml").read_text("utf-8")
    try:
        if path.endswith(SEPARATORS):
            file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w" if force else "x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        if isinstance(error, FileExistsError) and file.exists():
            raise FacError(f"`{file}` exists: `--force` overwrites it") from error
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


def _file(path: str) -> Path:
    """The file that PATH stands for.

    Raises:
        FacError: a file of that name would not be found in its folder.
    """
    if path.endswith(SEPARATORS) or Path(path).is_dir():
        return Path(path) / NAME
    if not path.endswith(SUFFIXES):
        stem = path.removesuffix(".json").removesuffix(".yaml").removesuffix(".yml").removesuffix(".fac")
        raise FacError(
            f"`{path}` is no name for a spec, which `fac check .` would not find: write `{stem}.fac.yaml`, or "
            f"`{path}/` for a folder"
        )
    return Path(path)
