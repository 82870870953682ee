"""What a plug-in does wrong, told as its own mistake: the distribution, the kind, the function and the line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import wraps
from inspect import unwrap
from traceback import walk_tb
from typing import Any

from fac.diagnostics import FacError


class Refusal(ValueError):
    """An exception that a kind may raise: it is about the spec, not a mistake of the kind."""


RETURNS: dict[str, tuple[str, tuple[type, ...]]] = {
    "unused": ("an iterable", (Iterable,)),
    "tensors": ("a tuple", (tuple, list)),
    "learn": ("an iterable", (Iterable,)),
    "misfit": ("a ShapeError or None", (Refusal, type(None))),
    "rank": ("a whole number or None", (int, type(None))),
    "refresh": ("a whole number or None", (int, type(None))),
    "learning": ("a mapping", (Mapping,)),
    "slots": ("a tuple", (tuple, list)),
    "body": ("a tuple", (tuple, list)),
}
"""What functions return that checks ask, by their names. What others return is held by `fac.build.contract`."""


@dataclass(frozen=True, slots=True)
class Source:
    """Which function of a kind something is about, and who declared it."""

    plugin: str
    """Distribution and version."""
    package: str
    """The first part of the names of its modules."""
    kind: str
    """Such as "layer `swish`"."""
    function: str


class PluginError(FacError):
    """A function of a plug-in failed, or returned what it must not."""

    def __init__(self, source: Source, problem: str, place: str, node: str = "") -> None:
        """What the function does, in which file and line, and for which node if that is known."""
        self.node = node
        self.fact = f"`{source.function}` of the {source.kind}, from the plug-in `{source.plugin}`, {problem}"
        self.help = f"mend the plug-in at {place}, or tell its authors"
        about = f" for `{node}`" if node else ""
        super().__init__(f"{self.fact}{about}: {self.help}")


def guarded(kind: Any, plugin: str, package: str, family: str) -> Any:
    """The kind with functions that raise a `PluginError` instead of what else they raise."""
    functions = {field.name: getattr(kind, field.name) for field in fields(kind)}
    return replace(
        kind,
        **{
            name: _guarded(function, Source(plugin, package, f"{family} `{kind.name}`", name))
            for name, function in functions.items()
            if callable(function) and not isinstance(function, type)
        },
    )


def _guarded(function: Callable[..., Any], source: Source) -> Callable[..., Any]:
    @wraps(function)
    def call(*arguments: Any, **settings: Any) -> Any:
        # Functions that write ops have the builder first, which knows for which node they do.
        node = str(getattr(arguments[0], "node", "")) if arguments else ""
        try:
            result = function(*arguments, **settings)
        except (FacError, Refusal):
            raise
        except (Exception, SystemExit) as error:
            raise _failed(source, error, node) from error
        needed, types = RETURNS.get(source.function, ("", (object,)))
        if not isinstance(result, types):
            raise misuse(call, f"returns {type(result).__name__} where {needed} is needed", node)
        return each(result, node) if isinstance(result, Iterator) else result

    def each(items: Iterator[Any], node: str) -> Iterator[Any]:
        try:
            yield from items
        except (FacError, Refusal):
            raise
        except (Exception, SystemExit) as error:
            raise _failed(source, error, node) from error

    setattr(call, "source", source)  # noqa: B010 - functions have no such attribute by their type
    return call


def misuse(function: Callable[..., Any], problem: str, node: str = "") -> PluginError:
    """The error that says that a function of a kind returned what it must not.

    Args:
        function: a field of the kind.
        problem: completes "the function ...".
        node: that it was called for.
    """
    own = unwrap(function)
    source = getattr(function, "source", None) or Source("fac-compiler", "fac", "kind", own.__name__)
    code = getattr(own, "__code__", None)
    place = f"`{source.package}`" if code is None else _line(code.co_filename, code.co_firstlineno)
    return PluginError(source, problem, place, node)


def _failed(source: Source, error: BaseException, node: str) -> PluginError:
    place = line_of(error, source.package) or f"`{source.package}`"
    return PluginError(source, f"fails with {told(error)}", place, node)


def told(error: BaseException) -> str:
    """`KeyError: 'weight'`."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def line_of(error: BaseException, package: str) -> str | None:
    """Where an exception passed last through the modules of a package; None if it did not."""
    own = [
        _line(frame.f_code.co_filename, line)
        for frame, line in walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] == package
    ]
    return own[-1] if own else None


def _line(file: str, line: int) -> str:
    return f"{shown(file)}:{line}"


def shown(file: str) -> str:
    """A path as short as it can be and still be found from here."""
    inside = os.path.relpath(file) if os.path.isabs(file) else file
    return file if inside.startswith(os.pardir) else inside
