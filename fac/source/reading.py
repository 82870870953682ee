"""Documents from files, texts and Python data."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from math import isfinite

from fac import asked
from fac.diagnostics import Diagnostic, FacError, Path, Span, first
from fac.opening import SPEC, bounded, content, unreadable
from fac.source.document import (
    EMPTY_SPEC,
    MAX_DEPTH,
    MAX_INTEGER,
    START,
    UNSUPPORTED_YAML,
    Document,
    UnreadableError,
    short,
    too_deep,
)
from fac.source.plain import load


def read(path: str | os.PathLike[str], within: str | os.PathLike[str] | None = None) -> Document:
    """The document in a file; `-` is standard input.

    Args:
        path: of the file.
        within: the folder that holds it, if nobody has named the file itself.

    Raises:
        FacError: the file is missing, a folder, unreadable, larger than 1 MB or not UTF-8; or nobody has named it, and
            it is no file, or a link that leads out of the folder.
    """
    if isinstance(path, str) and path == "-":
        name, raw = "<stdin>", _standard_input()
    else:
        asked.path(path, "spec", "a path, plain data, or a `ModelSpec`")
        # as it was written: messages name the file as the user does
        name = os.fspath(path)
        raw = content(path, SPEC, within=within, named=within is None)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise FacError(f"`{name}` is not UTF-8 text: byte 0x{raw[error.start]:02x} on line {line}") from error
    return parse_text(text, name)


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise FacError("standard input is closed: nothing can be read from `-`")
    try:
        return bounded(sys.stdin.buffer, SPEC, "`<stdin>`")
    except (OSError, ValueError) as error:
        raise unreadable("`<stdin>`", error) from error


def parse_text(text: str, name: str = "<text>") -> Document:
    """The document that a text holds. Whatever is wrong with the text stands in its `diagnostics`."""
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    data, walk = load(text)
    found = first(walk.diagnostics) or _not_a_mapping(data, START if data is None else None)
    plain = data if isinstance(data, dict) else {}
    return Document(name, text, plain, walk.values, walk.keys, found, mark=mark)


def from_data(data: object, name: str = "<python>") -> Document:
    """The document of a spec that was built in Python: lists become tuples, and nothing has a span."""
    diagnostics: list[Diagnostic] = []
    try:
        plain = _plain(data, (), diagnostics)
    except UnreadableError as error:
        return Document(name, "", {}, diagnostics=(error.diagnostic,))
    found = first(diagnostics) or _not_a_mapping(plain, None)
    return Document(name, "", plain if isinstance(plain, dict) else {}, diagnostics=found)


def _not_a_mapping(data: object, span: Span | None) -> tuple[Diagnostic, ...]:
    help = "a spec starts with `fac: 1`"
    if data is None:
        return (replace(EMPTY_SPEC.at((), "the spec is empty", help=help), span=span),)
    if not isinstance(data, dict):
        found = "a list" if isinstance(data, tuple) else f"`{short(str(data))}`"
        return (UNSUPPORTED_YAML.at((), f"a spec is a mapping of keys to values, found {found}", help=help),)
    return ()


def _plain(value: object, path: Path, diagnostics: list[Diagnostic]) -> object:
    """Python data as the loader would have made it."""
    if len(path) > MAX_DEPTH:  # also ends data that contains itself
        raise UnreadableError(too_deep(()))
    match value:
        case None | bool():
            return value
        case str():
            return str.__str__(value)
        case int() if abs(value) < MAX_INTEGER:
            return int(value)
        case float() if isfinite(value):
            return float(value)
        case list() | tuple():
            return tuple(_plain(item, (*path, i), diagnostics) for i, item in enumerate(value))
        case Mapping():
            for key in value:
                if not isinstance(key, str):
                    message = f"a key must be text, found one of type `{type(key).__name__}`"
                    diagnostics.append(UNSUPPORTED_YAML.at(path, message))
            return {k: _plain(v, (*path, k), diagnostics) for k, v in value.items() if isinstance(k, str)}
        case int():
            message = "the whole number is too large"
        case float():
            message = f"`{value}` is not a finite number"
        case _:
            message = f"a value of type `{type(value).__name__}` is not plain data"
    diagnostics.append(UNSUPPORTED_YAML.at(path, message))
    return None
