"""Paths on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class Named(click.Path):
    """A path that is one: an empty text, of a variable that is not set, would be the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, or a refusal."""
        if value == "":
            self.fail("it is empty: name a path", param, ctx)
        return super().convert(value, param, ctx)


PATH = Named(path_type=Path)
TEXT = Named(path_type=str)
