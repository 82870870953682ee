"""A spec that was built in Python, as a file and as a picture."""

from __future__ import annotations

import json
from os import PathLike
from typing import TYPE_CHECKING

from fac import asked
from fac.diagnostics import FacError, SpecError
from fac.opening import SPEC, content, there
from fac.render import graph
from fac.render.expand import as_written
from fac.render.html import picture, table
from fac.render.yaml import dump
from fac.writing import write

if TYPE_CHECKING:
    from fac.spec.model import ModelSpec


def save(spec: ModelSpec, path: str | PathLike[str], replace: bool) -> None:
    """See `ModelSpec.save`."""
    place = asked.path(path, "path")
    data = as_written(spec)
    match place.suffix.lower():
        case ".yaml" | ".yml":
            text = dump(data)
        case ".json":
            text = json.dumps(data, indent=2) + "\n"
        case _:
            raise FacError(f"the name of a spec ends in `.yaml`, `.yml` or `.json`, and `{path}` does not")
    if there(place) and not replace and content(place, SPEC) != text.encode():
        raise FacError(
            f"`{path}` is there and says something else: give another name, or `replace=True` where it may be lost"
        )
    write(place, text.encode())


def html(spec: ModelSpec) -> str:
    """The picture, or what is wrong where there is nothing to draw."""
    from fac.program.lower import lower

    try:
        program = lower(spec)
    except SpecError as error:
        return table(("finding",), [(finding.message,) for finding in error.diagnostics])
    return picture(graph.render(program, "svg", light=True), spec.name)
