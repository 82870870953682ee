"""Kinds from a Python file that somebody names: no package, and nothing to install.

A file is a program, and is run. So it is named on the command line, in a call or in the environment, by who runs `fac`,
and never by a spec, a run or a settings file.
"""

from __future__ import annotations

import hashlib
import os
import sys
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any, NamedTuple

from fac.diagnostics import FacError
from fac.opening import DATA, opened
from fac.plugins.guard import line_of, shown, told

VARIABLE = "FAC_PLUGINS"
"""Of the environment: files, as `PATH` names folders. For tools that run `fac` and know no option of it."""
PREFIX = "fac_plugin_"


class File(NamedTuple):
    """A file that was run."""

    name: str
    """What messages call it: its path."""
    package: str
    """What its module is called."""
    kinds: tuple[Any, ...]
    """What it calls `KINDS`."""
    digest: str
    """SHA-256 of what it holds, in hexadecimal digits."""


_files: dict[str, File] = {}


def named() -> tuple[File, ...]:
    """Those of this process, those of the environment among them.

    Raises:
        FacError: one of the environment cannot be run, see `run`.
    """
    for path in _of_environment():
        run(path)
    return known()


def known() -> tuple[File, ...]:
    """Those that were run by now."""
    return tuple(_files.values())


def paths() -> tuple[str, ...]:
    """Where those lie."""
    return tuple(_files)


def ran(path: str | os.PathLike[str]) -> bool:
    """Whether a file was run."""
    return os.path.realpath(path) in _files


@cache
def _of_environment() -> tuple[str, ...]:
    """Read once: a relative path means the same file when the process has gone to another folder."""
    return tuple(os.path.abspath(path) for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path)


def run(path: str | os.PathLike[str]) -> ModuleType:
    """Run a file, unless it was run before: the module that it is.

    Raises:
        FacError: there is no such file, it fails, or has no `KINDS`.
    """
    place = os.path.realpath(path)
    if place in _files:
        return sys.modules[_files[place].package]
    name = shown(os.fspath(path))
    if not os.path.isfile(place):
        raise FacError(f"there is no plug-in `{name}`: name a Python file")
    # two files of one name are two modules
    package = f"{PREFIX}{hashlib.sha256(place.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"
    spec = spec_from_file_location(package, place)
    if spec is None or spec.loader is None:
        raise FacError(f"the plug-in `{name}` is no Python file: its name has to end in `.py`")
    digest = _digest(place, name)
    module = module_from_spec(spec)
    sys.modules[package] = module  # where pydantic looks up annotations that are texts
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[package]
        if os.environ.get("FAC_TRACEBACK"):
            raise
        line = line_of(error, package)
        at = f", at {line}" if line and not isinstance(error, SyntaxError) else ""
        raise FacError(f"the plug-in `{name}` cannot be run{at}: {told(error)}") from error
    _files[place] = File(name, package, _declared(module, name), digest)
    return module


def _digest(place: str, name: str) -> str:
    try:
        with opened(place, DATA, place=f"`{name}`") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FacError(f"the plug-in `{name}` cannot be read: {error.strerror}") from error


def _declared(module: ModuleType, name: str) -> tuple[Any, ...]:
    found = getattr(module, "KINDS", None)
    if not isinstance(found, tuple | list):
        problem = "has no `KINDS`" if found is None else f"calls a {type(found).__name__} `KINDS`"
        raise FacError(
            f"the plug-in `{name}` {problem}: a tuple of what it declares is needed, `KINDS = (...,)`"
        )
    if not found:
        raise FacError(f"the plug-in `{name}` declares nothing: its `KINDS` is empty")
    return tuple(found)


def forget() -> None:
    """All of them; for tests."""
    for file in _files.values():
        sys.modules.pop(file.package, None)
    _files.clear()
    _of_environment.cache_clear()
