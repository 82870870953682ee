"""What the ONNX backend makes: four models, and sessions that run them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto, checker, printer

from fac.backend import (
    Array,
    Artifact,
    Content,
    Exported,
    Knob,
    Parameters,
    fingerprint,
    write_common,
    write_files,
)
from fac.diagnostics import FacError
from fac.step.ir import Function
from fac_onnx.block import block
from fac_onnx.emit import NEXT, model
from fac_onnx.order import ordered
from fac_onnx.packages import require_runtime
from fac_onnx.parameters import closed
from fac_onnx.run_page import run_page

if TYPE_CHECKING:
    from fac_onnx.session import OnnxSession


SCALARS = ("lr", "step")
"""What a function reads beside the batch and the state."""


class OnnxArtifact(Artifact):
    """The models of one spec. The state is an input of all of them, but for the forward pass that is written."""

    runs_with = ("numpy", "onnxruntime", "onnxruntime-gpu")
    parameters: Parameters | None = "constants"

    def made(self, function: Function) -> ModelProto:
        """One checked model: batch and scalars first, then the state in its own order, at either end."""
        c = self.compiled
        feeds, state = [feed.name for feed in c.feeds], [slot.name for slot in c.state]
        place = {name: i for i, name in enumerate([*feeds, *SCALARS, *state])}
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
            "fac.fingerprint": fingerprint(self, "onnx"),
            "fac.function": function.name,
            "fac.precision": self.precision,
            "fac.state_map": json.dumps(moved),
        }
        return model(function, self.precision, about, c.disabled)

    def listing(self) -> str:
        """The model of a step in ONNX's own text form."""
        text: str = printer.to_text(self.made(self.compiled.step))
        return text if text.endswith("\n") else f"{text}\n"

    def content(self, function: Function) -> bytes:
        """The bytes of a model whose parameters are inputs: the same in every process."""
        made = self.made(function)
        ordered(made.graph)
        content: bytes = made.SerializeToString(deterministic=True)
        return content

    def several(self) -> bytes:
        """The bytes of the model that makes several steps in one call."""
        made = self.made(self.compiled.step)
        ordered(made.graph)
        content: bytes = block(made, self.compiled).SerializeToString(deterministic=True)
        return content

    def write(self, directory: str | Path) -> None:
        """The models, the initial state, a manifest, and `run.py`."""
        c, directory = self.compiled, Path(directory)
        require_utf8(directory)
        if self.parameters == "constants":
            files = closed(self.made(c.forward), c.initial(precision=self.precision), "forward.onnx")
        else:
            files = {"forward.onnx": self.content(c.forward)}
        steps = (c.step,) if c.anchor is None else (c.step, c.anchor.step)
        rest: dict[str, Content] = {f"{f.name}.onnx": self.content(f) for f in (c.evaluate, *steps, c.probe)}
        rest["run.py"] = run_page(c, self.precision, fingerprint(self, "onnx"))
        write_common(self, "onnx", directory, {**files, **rest})
        checker.check_model(directory / "forward.onnx")

    def write_inference(
        self, state: Mapping[str, Array], step: int, path: Path, device: str | None
    ) -> Exported:
        """The forward pass with its parameters as constants, loaded by onnxruntime."""
        require_utf8(path)
        require_runtime()
        from fac_onnx.device import chosen, runtime, session

        device = chosen(device)
        made = self.made(self.compiled.forward)
        made.metadata_props.add(key="fac.step", value=str(step))
        write_files(path.parent, closed(made, state, path.name))
        checker.check_model(path)
        runner = session(str(path), device)

        def run(batch: Mapping[str, Array]) -> Array:
            output: Array
            types = {f.name: np.int64 if f.classes else self.precision for f in self.compiled.inputs}
            given = {name: np.ascontiguousarray(batch[name], kind) for name, kind in types.items()}
            (output,) = runner.run(None, given)
            return output

        return Exported(run, runtime(runner))

    def new_session(self, device: str | None) -> OnnxSession:
        """A session on CUDA if it is there, else on the CPU, unless told."""
        require_runtime()
        from fac_onnx.device import chosen
        from fac_onnx.session import OnnxSession

        return OnnxSession(self, chosen(device))

    def knobs(self, device: str | None = None) -> tuple[Knob, ...]:
        """Those of `fac_onnx.tuning`."""
        require_runtime()
        from fac_onnx.device import chosen
        from fac_onnx.tuning import knobs

        return knobs(self.compiled, chosen(device))


def require_utf8(path: Path) -> None:
    """Both `onnx` and `onnxruntime` open files by themselves, and take no other paths.

    Raises:
        FacError: the path is not UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise FacError(f"cannot write `{path.name}`: ONNX needs a path in UTF-8") from error
