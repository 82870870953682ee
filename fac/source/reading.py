"""Documents from files, texts and Python data."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from math import isfinite

from fac.diagnostics import Diagnostic, FacError, Path, Span, first
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

MAX_BYTES = 1_000_000


def read(path: str | os.PathLike[str]) -> Document:
    """The document in a file; `-` is standard input.

    Raises:
        FacError: the file is missing, a folder, unreadable, larger than 1 MB or not UTF-8.
    """
    name = "<stdin>" if path == "-" else os.fspath(path)
    try:
        if path == "-":
            if sys.stdin is None:
                raise FacError("standard input is closed: nothing can be read from `-`")
            raw = sys.stdin.buffer.read(MAX_BYTES + 1)
            size = len(raw)
        else:
            with open(path, "rb") as file:
                raw = file.read(MAX_BYTES + 1)
                size = max(os.fstat(file.fileno()).st_size, len(raw))
    except FileNotFoundError as error:
        raise FacError(f"`{name}` does not exist") from error
    except IsADirectoryError as error:
        raise FacError(f"`{name}` is a folder: name a file") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise FacError(f"`{name}` cannot be read: {reason.lower()}") from error
    if len(raw) > MAX_BYTES:
        # The size of a pipe is not known: reading stops one byte past the limit.
        shown = f"{size:,} bytes" if size > MAX_BYTES + 1 else f"more than {MAX_BYTES:,} bytes"
        raise FacError(f"`{name}` has {shown}: a spec may have {MAX_BYTES:,}")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise FacError(f"`{name}` is not UTF-8 text: byte 0x{raw[error.start]:02x} on line {line}") from error
    return parse_text(text, name)


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
