"""The module that a command line names, made by its owner's code."""

from __future__ import annotations

import importlib
import inspect
import linecache
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from fac.diagnostics import FacError
from fac.importing.refusals import ListedError

FRAMES = 4
"""How many frames of the user's code an error shows, the innermost ones."""
LIBRARIES = frozenset({"fac", "fac_torch", "torch", "importlib"})
"""Whose frames say nothing of that code."""


def made(reference: str, arguments: Mapping[str, Any]) -> Any:
    """What a callable returns. Runs code: that of the package that `reference` names.

    Args:
        reference: `package.module:callable`, from the current folder or what is installed.
        arguments: by name.

    Raises:
        FacError: there is no such callable, it needs other arguments, or its code fails.
    """
    found = _callable(reference)
    _require_fit(reference, found, arguments)
    try:
        return found(**arguments)
    except (Exception, SystemExit) as error:
        raise _failed(f"`{reference}` failed", error) from error


def _callable(reference: str) -> Callable[..., Any]:
    place, _, name = reference.partition(":")
    if not place or not name:
        raise FacError(f"`{reference}` names no callable: write `package.module:callable`")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise _failed(f"`{place}` cannot be imported", error) from error
        raise FacError(
            f"there is no module `{error.name}` in this folder or among what is installed: `{reference}` names none"
        ) from None
    except (Exception, SystemExit) as error:
        raise _failed(f"`{place}` cannot be imported", error) from error
    value: Any = module
    for part in name.split("."):
        value = getattr(value, part, None)
    if not callable(value):
        if value is None:
            raise FacError(f"`{place}` has no `{name}`")
        raise FacError(f"`{name}` of `{place}` is no callable, but a `{type(value).__name__}`")
    return value  # type: ignore[no-any-return]


def _require_fit(reference: str, found: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that the callable does not take, before its code sees them."""
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise FacError(f"`{reference}{signature}`: {error}; give arguments with `--arg NAME=VALUE`") from None


def _failed(what: str, error: BaseException) -> FacError:
    return ListedError(f"{what}: {type(error).__name__}: {error}", frames(error))


def frames(error: BaseException | None) -> list[str]:
    """Where in code of the user an error came from: its innermost frames, without those of libraries that run it."""
    found: list[str] = []
    while error is not None and not found:
        for frame, line in traceback.walk_tb(error.__traceback__):
            if str(frame.f_globals.get("__name__")).partition(".")[0] in LIBRARIES:
                continue
            code = frame.f_code
            if code.co_filename.startswith("<"):  # made by a library as it ran
                continue
            text = linecache.getline(code.co_filename, line).strip()
            found += [f'File "{code.co_filename}", line {line}, in {code.co_name}', f"  {text}"]
        error = error.__cause__
    return found[-2 * FRAMES :]
