"""Refusals that need several lines."""

from __future__ import annotations

from collections.abc import Sequence

from fac.diagnostics import FacError


class ListedError(FacError):
    """A message, and lines that belong to it."""

    def __init__(self, message: str, lines: Sequence[str]) -> None:
        super().__init__(message, *lines)
        self.message, self.lines = message, tuple(lines)
