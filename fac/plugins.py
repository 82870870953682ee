"""Kinds by entry point: what ships and what others install are found the same way.

Each entry point of a group names a tuple of kinds, so a family lists its members in its own folder.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from fac.diagnostics import FacError


@cache
def kinds(group: str) -> tuple[Any, ...]:
    """All kinds of an entry-point group such as `fac.layers`, those of the core first.

    Raises:
        FacError: two installed distributions declare one kind, or a plug-in cannot be imported.
    """
    found: dict[str, tuple[Any, str]] = {}
    points = sorted(_installed().select(group=group), key=lambda p: (p.name != "core", p.name))
    for point in points:
        try:
            members = point.load()
        except Exception as error:
            raise FacError(
                f"plug-in `{point.name}` ({point.value}) of group `{group}` fails to import: {error}"
            ) from error
        for kind in members:
            if kind.name in found:
                other = found[kind.name][1]
                raise FacError(
                    f"`{kind.name}` of group `{group}` is declared by both `{other}` and `{point.value}`"
                )
            found[kind.name] = (kind, point.value)
    return tuple(kind for kind, _ in found.values())


@cache
def _installed() -> Any:
    """Asked for once, because every question reads the metadata of all that is installed."""
    return entry_points()


@cache
def objects(group: str) -> tuple[Any, ...]:
    """One object per entry point, as `fac.backends` has it. A module that fails to import is named.

    Raises:
        FacError: a plug-in cannot be imported.
    """
    found: list[Any] = []
    for point in sorted(_installed().select(group=group), key=lambda p: p.name):
        try:
            found.append(point.load())
        except Exception as error:
            raise FacError(
                f"plug-in `{point.name}` ({point.value}) of group `{group}` fails to import: {error}"
            ) from error
    return tuple(found)
