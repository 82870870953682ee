"""The artifact that lies in a folder already: which files are its own, and which are somebody's work by now."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fac.diagnostics import FacError

NAME = "manifest.json"
SHOWN = 3
"""How many files a message names."""


def require_artifact(directory: Path) -> None:
    """Refuse a folder that holds something else than an artifact.

    Raises:
        FacError: it does, or is a file.
    """
    from fac.opening import unreadable
    from fac.writing import unfinished

    if not directory.exists():
        return
    if not directory.is_dir():
        raise FacError(f"`{directory}` is a file: give a folder to `-o`")
    try:
        empty = all(unfinished(entry.name) for entry in directory.iterdir())
    except OSError as error:
        raise unreadable(f"`{directory}`", error) from error
    if not empty and listed(directory) is None:
        raise FacError(
            f"`{directory}` is not empty and holds no earlier artifact: give a new or empty folder to `-o`"
        )


def replaced(directory: Path, names: Iterable[str]) -> list[str]:
    """The files of the artifact that is there, which the new one takes the place of.

    Args:
        directory: of both.
        names: of the files of the new one.

    Raises:
        FacError: a file that would be replaced or removed is none of the artifact, or is not as it was written.
    """
    found = listed(directory) or {}
    lost = list(_lost(directory, found, names))
    if lost:
        more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
        raise FacError(
            f"{', '.join(lost[:SHOWN])}{more} would be lost: move what you want to keep out of "
            f"`{directory}`, or give another folder to `-o`"
        )
    return list(found)


def listed(directory: Path) -> dict[str, str | None] | None:
    """The files that a manifest names, with their digests (SHA-256) if it has them; None if it is not one of ours."""
    from fac.opening import MANIFEST, MissingError, content

    try:
        found = json.loads(content(directory / NAME, MANIFEST, within=directory))
    except (MissingError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not {"backend", "spec_hash", "files"} <= found.keys():
        return None
    files, digests = found["files"], found.get("digests", {})
    if not _names(files) or not isinstance(digests, dict) or not _texts(list(digests.values())):
        return None
    return {name: digests.get(name) for name in files}


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _names(value: Any) -> bool:
    """Whether files can be called so, in a folder or below it."""
    from fac.writing import possible

    return _texts(value) and all(possible(part) for name in value for part in name.split("/"))


def _lost(directory: Path, known: Mapping[str, str | None], names: Iterable[str]) -> Iterator[str]:
    """What somebody would miss."""
    from fac.opening import there

    for name in sorted({*names} - known.keys()):
        if there(directory / name):
            yield f"`{directory / name}` (no part of the artifact there)"
    for name, written in sorted(known.items()):
        if written is not None and there(directory / name) and digest(directory, name) != written:
            yield f"`{directory / name}` (changed since it was written)"


def digest(directory: Path, name: str) -> str:
    """Of what lies there; nothing where that is no file."""
    from fac.opening import DATA, opened

    try:
        with opened(directory / name, DATA, within=directory) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FacError:
        return ""
