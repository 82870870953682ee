"""Settings files: where they are, what is in them, and which file extends which."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeAlias

from fac.diagnostics import FacError
from fac.lint.patterns import relative

if TYPE_CHECKING:
    from fac.lint.schema import FileSettings

OWN, SHARED = "fac.toml", "pyproject.toml"

Found: TypeAlias = "tuple[str, FileSettings]"
"""The path of a settings file as messages name it, and what it says."""


def in_folder(folder: str) -> str | None:
    """The settings file of a folder, if it has one.

    Raises:
        FacError: it has two, or one that cannot be read.
    """
    own, shared = os.path.join(folder, OWN), os.path.join(folder, SHARED)
    has_own = os.path.isfile(own)
    has_shared = os.path.isfile(shared) and _table(shared) is not None
    if has_own and has_shared:
        raise FacError(
            f"both `{shown(own)}` and `[tool.fac]` in `{shown(shared)}` hold settings: keep one of them"
        )
    return own if has_own else shared if has_shared else None


def chain(path: str) -> list[Found]:
    """A settings file and those that it extends, the nearest first.

    Raises:
        FacError: one is missing or wrong, or they extend each other in a circle.
    """
    from fac.lint.schema import parse  # most folders have no settings

    found: list[Found] = []
    seen: dict[str, str] = {}
    by = ""
    while True:
        name, real = shown(path), os.path.realpath(path)
        if real in seen:
            circle = [*list(seen.values())[list(seen).index(real) :], name]
            way = ", which extends ".join(f"`{file}`" for file in circle[1:])
            raise FacError(f"`{circle[0]}` extends {way}: remove one `extends`")
        seen[real] = name
        if by and not os.path.isfile(path):
            raise FacError(f"`{by}` extends `{name}`, which does not exist")
        table = _table(path)
        if table is None:
            file = f"`{by}` extends `{name}`, which" if by else f"`{name}`"
            raise FacError(f"{file} has no `[tool.fac]`")
        settings = parse(table, name)
        found.append((name, settings))
        if settings.extends is None:
            return found
        by, path = name, os.path.join(os.path.dirname(path), os.path.expanduser(settings.extends))


def shown(path: str) -> str:
    """A path as messages name it: from the current folder."""
    return relative(path, os.curdir)


def _table(path: str) -> dict[str, Any] | None:
    """The settings in a TOML file; None for a `pyproject.toml` that has none."""
    import tomllib

    name = shown(path)
    try:
        with open(path, "rb") as file:
            data = tomllib.load(file)
    except FileNotFoundError as error:
        raise FacError(f"`{name}` does not exist") from error
    except OSError as error:
        raise FacError(f"`{name}` cannot be read: {(error.strerror or str(error)).lower()}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
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
