"""The module that a command line names, made by its owner's code."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from fac.diagnostics import FacError
from fac.importing.refusals import ListedError

FRAMES = 4
"""How many frames of the user's code an error shows, the innermost ones."""


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
    except Exception as error:
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
        ) from error
    except Exception as error:
        raise _failed(f"`{place}` cannot be imported", error) from error
    value: Any = module
    for part in name.split("."):
        value = getattr(value, part, None)
    if not callable(value):
        what = "has no" if value is None else "has, but not as a callable,"
        raise FacError(f"`{place}` {what} `{name}`")
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
        raise FacError(
            f"`{reference}{signature}`: {error}; give arguments with `--arg NAME=VALUE`"
        ) from error


def _failed(what: str, error: Exception) -> FacError:
    frames = traceback.extract_tb(_outside(error.__traceback__))
    shown = [(f'File "{f.filename}", line {f.lineno}, in {f.name}', f"  {f.line}") for f in frames[-FRAMES:]]
    return ListedError(f"{what}: {type(error).__name__}: {error}", [line for pair in shown for line in pair])


def _outside(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames of this package, of the import system, and of what is above both."""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name != __file__ and "importlib" not in name:
            return trace
        trace = trace.tb_next
    return None
