"""Whether a folder is what a compilation would write there now: `fac compile --check`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from fac.cli.earlier import NAME, digest, listed
from fac.diagnostics import FacError

if TYPE_CHECKING:
    from fac.backend import Artifact

MADE_OF = {
    "backend": "its backend",
    "spec_hash": "the hash of its spec",
    "fac_version": "the version of fac",
    "precision": "its precision",
    "parameters": "the choice of `--parameters`",
    "passes": "its passes",
}
"""What a manifest says of it, and what messages call that. Versions of frameworks change nothing that is written."""


def stale(directory: Path, artifact: Artifact, backend: str) -> tuple[str, ...]:
    """In what it is another one; nothing if it is the same, whatever else lies there.

    Args:
        directory: of an earlier compilation.
        artifact: what would be written.
        backend: the name of the one that made it.

    Raises:
        FacError: there is no earlier one.
    """
    from fac.backend.identity import made_of
    from fac.opening import MANIFEST, content

    if not directory.is_dir() or listed(directory) is None:
        raise FacError(f"`{directory}` holds no compiled spec: leave out `--check` to write it")
    before = json.loads(content(directory / NAME, MANIFEST, within=directory))
    return tuple(_unlike(before, made_of(artifact, backend))) or tuple(_changed(directory, before, artifact))


def _unlike(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What of all that decides what is written is not as it was."""
    for key, words in MADE_OF.items():
        was, has = before.get(key), now[key]
        if isinstance(was, list) and isinstance(has, list):
            yield from (f"`{name}` has run, and is left out now" for name in was if name not in has)
            yield from (f"`{name}` has not run, and does now" for name in has if name not in was)
        elif was != has:
            yield f"{words} was `{was}`, and is `{has}` now" if key in before else f"it does not say {words}"


def _changed(directory: Path, before: Mapping[str, Any], artifact: Artifact) -> Iterator[str]:
    """Each file that is not there as it is written now, elsewhere. Versions of frameworks are not compared."""
    from fac.opening import MANIFEST, content

    with TemporaryDirectory(prefix="fac-check-") as folder:
        artifact.write(folder)
        now = json.loads(content(Path(folder) / NAME, MANIFEST, within=Path(folder)))
        written: dict[str, str] = now["digests"]
        for name, expected in sorted(written.items()):
            if digest(directory, name) != expected:
                yield f"`{name}` is not as it would be written"
        apart = {"versions"}
        if {key: now[key] for key in now.keys() - apart} != {
            key: before[key] for key in before.keys() - apart
        }:
            yield f"`{NAME}` is not as it would be written"
