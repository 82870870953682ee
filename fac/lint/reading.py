"""Settings files: where they are, what is in them, and which file extends which."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, TypeAlias

from fac.diagnostics import FacError
from fac.lint.patterns import relative
from fac.opening import SETTINGS, MissingError, content, inside, placed, there

if TYPE_CHECKING:
    from fac.lint.schema import FileSettings

DEEPEST = 50
"""Parts of a key. The time that Python's own reader takes grows with the square of their number."""
_PART = r"""(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+"""
_DEEP = re.compile(rf"(?<![\w\\-])(?:{_PART}\.[ \t]*+){{{DEEPEST}}}", re.ASCII)

OWN, SHARED = "fac.toml", "pyproject.toml"

Found: TypeAlias = "tuple[str, FileSettings]"
"""The path of a settings file as messages name it, and what it says."""


def in_folder(folder: str) -> str | None:
    """The settings file of a folder, if it has one.

    Raises:
        FacError: it has two, or one that cannot be read.
    """
    own, shared = os.path.join(folder, OWN), os.path.join(folder, SHARED)
    has_own = there(own)
    has_shared = there(shared) and _shared(shared, top(folder)) is not None
    if has_own and has_shared:
        raise FacError(
            f"both `{shown(own)}` and `[tool.fac]` in `{shown(shared)}` hold settings: keep one of them"
        )
    return own if has_own else shared if has_shared else None


def top(folder: str = os.curdir) -> str:
    """The top of the repository that a folder is in; else that folder."""
    folder = here = os.path.abspath(folder)
    while not os.path.exists(os.path.join(folder, ".git")):
        above = os.path.dirname(folder)
        if above == folder:
            return here
        folder = above
    return folder


def chain(path: str, within: str | None = None) -> list[Found]:
    """A settings file and those that it extends, the nearest first.

    Args:
        path: of the file.
        within: the folder out of which no link leads to it; None if the command line names it.

    Raises:
        FacError: one is missing or wrong, or they extend each other in a circle.
    """
    from fac.lint.schema import parse  # most folders have no settings

    found: list[Found] = []
    seen: dict[str, str] = {}
    by, home = "", top(os.path.dirname(path))
    while True:
        name = shown(path)
        try:
            raw = content(
                path,
                SETTINGS,
                place=f"`{name}`",
                within=None if by else within,
                named=not by and within is None,
            )
        except MissingError as error:
            if not by:
                raise
            raise FacError(f"`{by}` extends `{name}`, which does not exist") from error
        real = os.path.realpath(path)
        if real in seen:
            circle = [*list(seen.values())[list(seen).index(real) :], name]
            way = ", which extends ".join(f"`{file}`" for file in circle[1:])
            raise FacError(f"`{circle[0]}` extends {way}: remove one `extends`")
        seen[real] = name
        try:
            table = _table(raw, path)
            if table is None:
                raise FacError(
                    f"{f'`{by}` extends `{name}`, which' if by else f'`{name}`'} has no `[tool.fac]`"
                )
            settings = parse(table, name)
        except FacError as error:
            if not by or inside(real, home):
                raise
            # Whoever may change a file here could otherwise have any other one shown, piece by piece.
            raise FacError(
                f"`{by}` extends `{name}`, which lies outside of `{shown(home)}` and is no settings file: "
                f"`fac check --config {name}` says why"
            ) from error
        found.append((name, settings))
        if settings.extends is None:
            return found
        by, folder = name, os.path.dirname(path)
        path = placed(folder, settings.extends, f"`{name}`: `extends`")


def shown(path: str) -> str:
    """A path as messages name it: from the current folder."""
    return relative(path, os.curdir)


def _shared(path: str, within: str) -> dict[str, Any] | None:
    return _table(content(path, SETTINGS, place=f"`{shown(path)}`", within=within), path)


def _table(raw: bytes, path: str) -> dict[str, Any] | None:
    """The settings in a TOML file; None for a `pyproject.toml` that has none."""
    import tomllib

    name = shown(path)
    try:
        text = raw.decode()
        if deep := _DEEP.search(text):
            line = text.count("\n", 0, deep.start()) + 1
            raise FacError(f"`{name}`: the key on line {line} has more than {DEEPEST} parts: nest less deep")
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise FacError(f"`{name}` is not TOML: {_reason(error)}") from error
    if os.path.basename(path) != SHARED:
        if isinstance(data.get("tool"), dict) and "fac" in data["tool"]:
            raise FacError(
                f"`{name}` has its settings under `[tool.fac]`: only `{SHARED}` needs that, remove it"
            )
        return data
    tool = data.get("tool", {})
    table = tool.get("fac") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise FacError(f"`{name}`: `tool.fac` is not a table")
    return table


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"byte 0x{error.object[error.start]:02x} is not UTF-8"
    text = str(error) or "nested too deep"
    return text[:1].lower() + text[1:]
