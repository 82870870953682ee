"""What is installed and can be used here, and which backend is meant where nobody names one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fac.diagnostics import FacError

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


def _look(backend: Backend) -> Found:
    try:
        return Found(backend, backend.devices(), "")
    except FacError as error:
        return Found(backend, (), str(error))
