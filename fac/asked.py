"""Arguments of calls in Python: one of another kind than meant is refused by name, before anything is done with it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from fac.diagnostics import FacError

T = TypeVar("T")
SHOWN = 60
"""Characters of a value that a message shows. Of others it says the type."""


def wrong(what: str, value: object, wanted: str) -> FacError:
    """The error of an argument that is something else."""
    plain = value is None or isinstance(value, bool | int | float | str | bytes | list | tuple)
    text = repr(value) if plain else ""
    shown = f"`{text}`" if 0 < len(text) <= SHOWN else f"of type `{type(value).__name__}`"
    return FacError(f"`{what}` is {shown}: give {wanted}")


def path(value: object, what: str, wanted: str = "a path") -> Path:
    """The path of a file or of a folder.

    Raises:
        FacError: it is none.
    """
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise wrong(what, value, wanted)
    return Path(value)


def texts(value: object, what: str, such_as: str) -> tuple[str, ...]:
    """A list of texts, whatever it is kept in.

    Raises:
        FacError: it is none.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Iterable) or isinstance(value, type):
        raise wrong(what, value, f"a list of texts, such as `[{such_as!r}]`")
    found = tuple(value)
    for place, text in enumerate(found):
        if not isinstance(text, str):
            raise wrong(f"{what}[{place}]", text, f"a text, such as `{such_as!r}`")
    return found


def name(value: object, what: str, such_as: str) -> None:
    """Leave an argument that is a text, or is not given.

    Raises:
        FacError: it is something else.
    """
    if value is not None and not isinstance(value, str):
        raise wrong(what, value, f"its name, such as `{such_as!r}`")


def of(value: object, kind: type[T] | tuple[type[T], ...], what: str, wanted: str) -> None:
    """Leave an argument of a class.

    Raises:
        FacError: it is something else.
    """
    if not isinstance(value, kind):
        raise wrong(what, value, wanted)
