"""What a backend makes of a compiled spec, and the backend itself."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from fac.backend.compiled import Array, Compiled, Precision
from fac.backend.session import Session
from fac.diagnostics import FacError


class Artifact(ABC):
    """What a backend made of a compiled spec."""

    def __init__(self, compiled: Compiled, precision: Precision) -> None:
        self.compiled, self.precision = compiled, precision

    @abstractmethod
    def write(self, directory: str | Path) -> None:
        """Write the artifact, the initial state and a manifest into a folder, which is made if need be."""

    @abstractmethod
    def open(self, state: Mapping[str, Array] | None = None, device: str | None = None) -> Session:
        """A session that starts from `state`, or from the initial values.

        Raises:
            FacError: the device is not there, or the state belongs to another spec.
        """


class Backend(Protocol):
    """A backend: found by the entry point `fac.backends`."""

    name: str
    summary: str
    default_precision: Precision

    def devices(self) -> tuple[str, ...]:
        """Devices that a session can be opened on here, the default one first.

        Raises:
            FacError: what the backend runs with is not installed.
        """

    def ops(self, precision: Precision) -> frozenset[str]:
        """The kinds of op that the backend has kernels for in this precision.

        An op of another kind reaches `emit` made of finer ones; one that cannot be made of finer ones is
        reported to the user, with its place in the spec, and `emit` is not called.
        """

    def emit(self, compiled: Compiled, precision: Precision) -> Artifact:
        """Lower the functions.

        Raises:
            FacError: what the backend runs with is not installed.
        """


def write_common(artifact: Artifact, backend: str, directory: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files, the initial state as safetensors, and `manifest.json` that describes them.

    Raises:
        FacError: the folder cannot be written.
    """
    from safetensors.numpy import save

    c = artifact.compiled
    manifest = {
        "backend": backend,
        "name": c.name,
        "spec_hash": c.spec_hash,
        "fac_version": c.version,
        "precision": artifact.precision,
        "x": ["N", *c.sample],
        "y": ["N"] if c.classes else ["N", *c.output],
        "lr": c.lr,
        "state": {slot.name: list(slot.shape) for slot in c.state},
        "files": [*files, "state.safetensors", "manifest.json"],
    }
    # In row-major order: safetensors stores the memory as it lies, so a transposed array would come back scrambled.
    state = {name: np.array(a, artifact.precision, order="C") for name, a in c.initial().items()}
    metadata = {"spec_hash": c.spec_hash, "name": c.name, "fac_version": c.version}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (directory / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        (directory / "state.safetensors").write_bytes(save(state, metadata))
        (directory / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise FacError(f"cannot write to `{directory}`: {error.strerror or error}") from error
