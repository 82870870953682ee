"""Where data lie, seen from the folder of a run, so that what it keeps is right when it has moved with its project."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from fac.diagnostics import Edit, Fix
from fac.render.yaml import dump
from fac.source import Document
from fac.source.edits import edited
from fac.spec.data import Data, places
from fac.training.checkpoint import Checkpoint
from fac.training.metadata import BASE


def start(found: Checkpoint) -> Path:
    """Where relative paths start in the spec that a checkpoint carries: the folder which that spec came from."""
    return (found.place.parent / found.about.get(BASE, ".")).resolve()


def kept_start(found: Checkpoint, data: Data) -> Path:
    """Where relative paths start in the text of the spec that lies beside a checkpoint.

    That is its own folder, unless they are as in the checkpoint: then nobody rewrote them, because the source does not
    say which of its fields are paths, or an earlier version kept the text.
    """
    then = json.loads(found.about.get("spec", "{}")).get("data") or {}
    same = all(getattr(data, name) == then.get(name) for name in places(type(data)))
    return start(found) if same else found.place.parent


def relative(path: Path, folder: Path) -> str:
    """The way to a path from a folder, or the whole path where there is none because it lies on another drive.

    Folders are followed through links, as the system does; the last part of the path is taken as it is written.
    """
    path = path.parent.resolve() / path.name
    try:
        return Path(os.path.relpath(path, folder.resolve())).as_posix()
    except ValueError:
        return path.as_posix()


def rebased(data: Data, base: Path, folder: Path) -> dict[str, str]:
    """The fields of a section, by name, as they read where relative paths start from `folder` instead of `base`."""
    if base.resolve() == folder.resolve():
        return {}
    written = {name: getattr(data, name) for name in places(type(data))}
    return {
        name: relative(base / value, folder)
        for name, value in written.items()
        if value is not None and not value.startswith("~") and not Path(value).is_absolute()
    }


def rebased_text(document: Document, changes: Mapping[str, str]) -> str:
    """The text of a spec with fields of its `data:` section changed, and nothing else if it was a text."""
    if not changes:
        return dump(document.data) if document.overridden else document.text
    if not document.overridden:
        edits = tuple(Edit(("data", name), json.dumps(value)) for name, value in changes.items())
        made = edited(document, [Fix("paths", edits)])
        if made.applied:
            return made.document.text
    return dump({**document.data, "data": {**document.data["data"], **changes}})


def rebased_json(spec: str, changes: Mapping[str, str]) -> str:
    """A spec as a checkpoint carries it, with fields of its `data:` section changed."""
    found = json.loads(spec)
    return json.dumps(found | {"data": found["data"] | changes}) if changes else spec
