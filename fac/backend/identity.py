"""What decides what a written artifact is, and that in 16 digits: files of two artifacts do not go together."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fac.backend.artifact import Artifact


def made_of(artifact: Artifact, backend: str) -> dict[str, Any]:
    """What a manifest says of it.

    Versions of frameworks are none of it: the same files are written by all of them.

    Args:
        artifact: what is written.
        backend: the name of the one that made it.
    """
    c = artifact.compiled
    return {
        "backend": backend,
        "spec_hash": c.spec_hash,
        "fac_version": c.version,
        "precision": artifact.precision,
        "parameters": artifact.parameters,
        "passes": [*artifact.passes],
    }


def fingerprint(artifact: Artifact, backend: str) -> str:
    """Of all that: two artifacts that differ have others. 16 hexadecimal digits."""
    text = json.dumps(made_of(artifact, backend), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
