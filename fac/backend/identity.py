"""What decides what a written artifact is, and that in 16 digits: files of two artifacts do not go together."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
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


def work(artifact: Artifact, backend: str) -> str:
    """Of what a step has to do: 16 hexadecimal digits, the same where two differ in numbers alone.

    So all seeds of a network, and all its learning rates, have one, and what is chosen for the speed of one holds for
    all of them.

    Args:
        artifact: that is trained.
        backend: the name of the one that made it.
    """
    c = artifact.compiled
    steps = [c.step, *([] if c.anchor is None else [c.anchor.step])]
    ops = Counter(
        f"{op.kind} {', '.join(str(value.type) for value in (*op.operands, op.result))}"
        for step in steps
        for op in step.ops
    )
    known = {
        name: made_of(artifact, backend)[name] for name in ("backend", "fac_version", "precision", "passes")
    }
    text = json.dumps({**known, "batch": c.recipe.batch, "ops": ops}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
