"""State as a dictionary of NumPy arrays, and the functions run on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fac.backend import (
    Array,
    Arrays,
    Artifact,
    Compiled,
    HostSession,
    Precision,
    denormals_as_zero,
    write_common,
)
from fac.diagnostics import FacError
from fac.step.ir import Function, Op
from fac.step.text import to_text
from fac_reference.footprint import process_bytes
from fac_reference.interpreter import as_array, run


class ReferenceArtifact(Artifact):
    """The step IR itself."""

    def write(self, directory: str | Path) -> None:
        """The functions as text, the initial state, a manifest."""
        c = self.compiled
        steps = (c.step,) if c.anchor is None else (c.step, c.anchor.step)
        functions = {f.name: f for f in (c.forward, c.evaluate, *steps, c.probe)}
        files = {f"{name}.ir": to_text(function) for name, function in functions.items()}
        write_common(self, "reference", Path(directory), files)

    def peak_bytes(self, n: int) -> int:
        """See `footprint`."""
        return process_bytes(self.compiled, n, np.dtype(self.precision).itemsize)

    def new_session(self, device: str | None) -> ReferenceSession:
        """A session on the CPU, the only device."""
        if device not in (None, "cpu"):
            raise FacError(f"the reference backend runs on `cpu` only, not on `{device}`")
        return ReferenceSession(self.compiled, self.precision, "cpu")


class ReferenceSession(HostSession):
    """Interprets the functions. The arrays are never changed in place."""

    def __init__(self, compiled: Compiled, precision: Precision, device: str) -> None:
        super().__init__(compiled, precision, device)
        self.dtype: np.dtype[Any] = np.dtype(precision)
        self.arrays: dict[str, Array] = {}

    def run_step(self, batch: Arrays, lr: float, step: int) -> dict[str, float]:
        """Interpret the step and keep what it returns of state."""
        found = self._run(self.compiled.step, {**batch, "lr": lr, "step": step})
        moved = [name for name in found if name in self.arrays]
        self.arrays |= {name: as_array(found.pop(name), self.dtype) for name in moved}
        return {name: float(loss) for name, loss in found.items()}

    def run_evaluate(self, batch: Arrays) -> dict[str, float]:
        """Interpret `evaluate`."""
        found = self._run(self.compiled.evaluate, batch)
        return {name: float(value) for name, value in found.items()}

    def run_forward(self, batch: Arrays) -> Array:
        """Interpret `forward`."""
        return np.asarray(self._run(self.compiled.forward, batch)["output"])

    def run_probe(self, batch: Arrays, step: int) -> dict[str, Any]:
        """Interpret `probe`."""
        return self._run(self.compiled.probe, {**batch, "step": step})

    def trace(self, batch: Arrays) -> Iterator[tuple[str, Array]]:
        """(node, result) for every op of one step that is then forgotten: what looks for the first NaN reads this."""
        found: list[tuple[str, Array]] = []

        def observe(op: Op, result: Any) -> None:
            found.append((op.origin.node, np.asarray(result)))

        inputs = {**batch, "lr": self.compiled.lr, "step": self.steps}
        with denormals_as_zero():
            step = self.compiled.step_at(self.steps)
            run(step, self._inputs(step, inputs), self.dtype, observe)
        return iter(found)

    def read(self, names: tuple[str, ...]) -> dict[str, Array]:
        """Copies."""
        return {name: self.arrays[name].copy() for name in names}

    def write(self, arrays: Mapping[str, Array]) -> None:
        """Copies in the session's precision."""
        self.arrays |= {name: as_array(array, self.dtype) for name, array in arrays.items()}

    def _inputs(self, function: Function, inputs: Mapping[str, Any]) -> dict[str, Any]:
        given = {k: np.asarray(v) if self.is_placed(v) else v for k, v in inputs.items()}
        return {v.name: given[v.name] if v.name in given else self.arrays[v.name] for v in function.inputs}

    def _run(self, function: Function, inputs: Mapping[str, Any]) -> dict[str, Any]:
        with denormals_as_zero():
            return run(function, self._inputs(function, inputs), self.dtype)
