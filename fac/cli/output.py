"""Where a command's result goes: to standard output, or whole into a file; and how it speaks to people."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from fac.diagnostics import FacError, plain
from fac.escaping import calm, visible
from fac.render.encodable import encodable


def is_spec(file: str, paths: tuple[str, ...]) -> bool:
    """Whether a file is one of some paths, or would be taken for a spec by the next run over its folder."""
    from fac.lint.files import STDIN, SUFFIXES  # not at the start of every command

    same = os.path.realpath(file)
    return file.endswith(SUFFIXES) or any(os.path.realpath(path) == same for path in paths if path != STDIN)


def tell(message: object) -> None:
    """One line on standard error, whatever names of files are in it."""
    echo(f"fac: {plain(str(message))}", err=True)


def say(text: str, *, err: bool = False) -> None:
    """Print one line for people, whatever names from outside are in it."""
    echo(visible(text), err=err)


def echo(message: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print lines for people, with escapes for what the stream cannot encode.

    Names from outside are escaped where they become a part of a line; here nothing steers the terminal all the same.
    """
    stream = sys.stderr if err else sys.stdout
    text = encodable(calm(str(message), colored(err=err)), getattr(stream, "encoding", None) or "utf-8")
    # The stream is named: by itself click takes one of its own, in UTF-8, if the encoding is ASCII.
    click.echo(text, file=stream, nl=nl)  # noqa: TID251


def pass_on(content: str | bytes) -> None:
    """Print what other programs read: pictures, pages, patches, specs. It is UTF-8 whatever the encoding is.

    JSON and XML say so, YAML and the formats of CIs are read so, and no line feed becomes two characters.
    A terminal gets text as people do.
    """
    if isinstance(content, str) and sys.stdout.isatty():
        echo(content, nl=False)
        return
    data = content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")
    click.echo(data, file=sys.stdout, nl=False)  # noqa: TID251


def colored(*, err: bool = False) -> bool:
    """Whether to paint: colour is for terminals; `NO_COLOR` refuses it there too (https://no-color.org)."""
    stream = sys.stderr if err else sys.stdout
    return stream is not None and stream.isatty() and not os.environ.get("NO_COLOR")


OF_A_RUN = (
    "state.safetensors",
    "best.safetensors",
    "metrics.jsonl",
    "steps.jsonl",
    "plan.json",
    "outcome.json",
    "measured.jsonl",
)
"""Files of runs, comparisons and studies that no picture and no report takes the place of."""


def write(path: str, content: str | bytes) -> None:
    """Write a file as a whole: who reads it meanwhile sees the old content or the new.

    Raises:
        FacError: the file cannot be written; what was there before still is.
    """
    from fac.writing import rewrite, unwritable  # not at the start of every command

    if os.path.basename(path) in OF_A_RUN and os.path.lexists(path):
        raise FacError(f"`{path}` is what a training keeps: give another name")
    data = content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")
    place = os.path.realpath(path)
    try:
        # Only a plain file may be replaced by another: not `/dev/null`, nor a pipe that somebody reads.
        if os.path.exists(place) and not os.path.isfile(place):
            with open(place, "wb") as file:
                file.write(data)
            return
    except OSError as error:
        raise unwritable(path, error) from error
    if os.path.islink(path) and not Path(place).is_relative_to(
        os.path.realpath(os.path.dirname(path) or ".")
    ):
        raise FacError(f"`{path}` is a link that leads out of its folder: name the file itself")
    if os.path.exists(place) and not os.access(place, os.W_OK):
        raise FacError(f"cannot write `{path}`: it is read-only")  # replacing it would not ask
    rewrite(Path(path), data)
