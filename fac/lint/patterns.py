"""Globs for files, as settings write them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fnmatch import fnmatchcase


def matches(pattern: str, file: str) -> bool:
    """Whether a glob means a file, or a folder that the file is in.

    `*` crosses folders. A pattern without `/` is held against each part of the path, any other against the
    path from its start.

    Args:
        pattern: such as `examples/*`, `drafts` or `*.draft.fac.yaml`.
        file: relative to where patterns start, with `/` between its parts.
    """
    parts = file.split("/")
    pattern = pattern.removeprefix("./").rstrip("/")
    if "/" not in pattern:
        return any(fnmatchcase(part, pattern) for part in parts)
    above = ["/".join(parts[: i + 1]) for i in range(len(parts))]
    # `**/` also stands for no folder at all.
    forms = {pattern, pattern.removeprefix("**/"), pattern.replace("/**/", "/")}
    return any(fnmatchcase(path, form) for path in above for form in forms)


def any_matches(patterns: Iterable[str], file: str) -> bool:
    """Whether one of the globs means the file."""
    return any(matches(pattern, file) for pattern in patterns)


def relative(file: str, folder: str) -> str:
    """The path of a file from a folder, with `/` between its parts."""
    try:
        path = os.path.relpath(file, folder)
    except ValueError:  # another drive
        path = os.path.abspath(file)
    return path.replace(os.sep, "/")
