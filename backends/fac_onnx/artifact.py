"""What the ONNX backend makes: four models, and sessions that run them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from onnx import ModelProto

from fac.backend import Array, Artifact, write_common
from fac.step.ir import Function
from fac_onnx.emit import NEXT, model
from fac_onnx.packages import require_runtime

if TYPE_CHECKING:
    from fac_onnx.session import OnnxSession


ARGUMENTS = ("x", "y", "lr", "step")
"""What a function reads beside the state."""


class OnnxArtifact(Artifact):
    """The models of one spec. Parameters are inputs of all of them, unless a file asks for constants."""

    def made(self, function: Function, constant: Mapping[str, NDArray[Any]] | None = None) -> ModelProto:
        """One checked model: batch and scalars first, then the state in its own order, at either end."""
        c = self.compiled
        state = [slot.name for slot in c.state]
        place = {name: i for i, name in enumerate([*ARGUMENTS, *state])}
        function = replace(
            function,
            inputs=tuple(sorted(function.inputs, key=lambda v: place[v.name])),
            outputs=tuple(sorted(function.outputs, key=lambda output: place.get(output[0], -1))),
        )
        moved = {name: name + NEXT for name, _ in function.outputs if name in state}
        about = {
            "fac.name": c.name,
            "fac.spec_hash": c.spec_hash,
            "fac.version": c.version,
            "fac.function": function.name,
            "fac.precision": self.precision,
            "fac.state_map": json.dumps(moved),
        }
        return model(function, self.precision, about, constant)

    def content(self, function: Function) -> bytes:
        """The bytes of a model whose parameters are inputs: the same in every process."""
        return self.made(function).SerializeToString(deterministic=True)

    def write(self, directory: str | Path) -> None:
        """The models, the initial state, a manifest, and `run.py`."""
        c = self.compiled
        constant = self.made(c.forward, c.initial()).SerializeToString(deterministic=True)
        rest = {f"{f.name}.onnx": self.content(f) for f in (c.evaluate, c.step, c.probe)}
        files = {"forward.onnx": constant, **rest}
        write_common(self, "onnx", Path(directory), files)

    def open(self, state: Mapping[str, Array] | None = None, device: str | None = None) -> OnnxSession:
        """A session on CUDA if it is there, else on the CPU, unless told."""
        require_runtime()
        from fac_onnx.device import chosen
        from fac_onnx.session import OnnxSession

        session = OnnxSession(self, chosen(device))
        session.load_state(self.compiled.initial() if state is None else state)
        return session
