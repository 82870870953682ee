"""The contract with backends: what they are given, and what they give back. All a plug-in author has to read.

A backend emits an `Artifact` from a `Compiled`; an artifact opens a `Session`, which holds the state and runs the
functions. At the boundary everything is a NumPy array or a float.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from fac.diagnostics import FacError
from fac.step.ir import Function

Array = NDArray[Any]
Precision = Literal["float32", "float64"]
STEP = "step"
"""The name under which a state keeps how many steps were made."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One array of the state. Everything a step reads or writes beside the batch is one."""

    name: str
    shape: tuple[int, ...]
    parameter: bool
    """Whether the forward pass reads it."""


@dataclass(frozen=True, slots=True)
class HostTask:
    """Something that happens between steps, on the host, in NumPy: one implementation for every backend."""

    every: int
    reads: tuple[str, ...]
    run: Callable[[Mapping[str, Array]], Mapping[str, Array]]
    """From the state arrays named in `reads` to those that change."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A spec after all stages that do not depend on a backend. Plain data: no YAML, no pydantic."""

    name: str
    spec_hash: str
    version: str
    forward: Function
    evaluate: Function
    step: Function
    probe: Function
    state: tuple[Slot, ...]
    sample: tuple[int, ...]
    """Shape of one sample of x."""
    output: tuple[int, ...]
    """Shape of one sample of the network's output."""
    classes: bool
    """Whether y holds class labels, int64 [N], rather than targets [N, *output]."""
    lr: float
    """The learning rate of a step that is given none."""
    initial: Callable[[], dict[str, NDArray[np.float64]]]
    tasks: tuple[HostTask, ...] = ()


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


class Session(ABC):
    """State, and the functions that run on it. The trainer, checkpoints and logs know nothing else."""

    def __init__(self, compiled: Compiled, precision: Precision, device: str) -> None:
        self.compiled, self.precision, self.device = compiled, precision, device
        self.steps = 0
        """How many steps were made, over all runs that this state has seen."""

    # -- what a backend writes -------------------------------------------------------------------------------

    @abstractmethod
    def place(self, array: Array) -> Any:
        """The array on the session's device, in its precision; integers become int64. `take` reads from it."""

    @abstractmethod
    def take(self, placed: Any, rows: NDArray[np.int64]) -> Any:
        """Some rows of a placed array, as a placed array."""

    @abstractmethod
    def run_step(self, x: Any, y: Any, lr: float, step: int) -> Any:
        """One call of the step function on placed arrays: moves the state, returns the loss.

        float() of the loss may be asked for many steps later, so later steps must not overwrite it.
        """

    @abstractmethod
    def run_evaluate(self, x: Any, y: Any) -> dict[str, float]:
        """`loss` and, for classification, `hits`."""

    @abstractmethod
    def run_forward(self, x: Any) -> Array:
        """The network's output."""

    @abstractmethod
    def run_probe(self, x: Any, y: Any, step: int) -> dict[str, float]:
        """The measurements by name."""

    @abstractmethod
    def read(self, names: tuple[str, ...]) -> dict[str, Array]:
        """Copies of state arrays."""

    @abstractmethod
    def write(self, arrays: Mapping[str, Array]) -> None:
        """Replace state arrays; names and shapes have been checked."""

    # -- what everybody calls --------------------------------------------------------------------------------

    def step(self, x: Any, y: Any, lr: float | None = None) -> dict[str, Any]:
        """One training step.

        Args:
            x: [N, *sample], an array or the result of `place` or `take`.
            y: labels [N] or targets [N, *output], likewise.
            lr: the learning rate; the spec's own, without schedule, by default.

        Returns:
            `{"loss": ...}`, the loss before the update. It may live on the device until float() reads it.

        Raises:
            FacError: x or y do not fit the spec.
        """
        x, y = self._batch(x, y)
        loss = self.run_step(x, y, self.compiled.lr if lr is None else lr, self.steps)
        self.steps += 1
        for task in self.compiled.tasks:
            if self.steps % task.every == 0:
                self.write(task.run(self.read(task.reads)))
        return {"loss": loss}

    def evaluate(self, x: Any, y: Any) -> dict[str, float]:
        """Mean loss and, for classification, accuracy in [0, 1], with layers as in inference."""
        x, y = self._batch(x, y)
        found = self.run_evaluate(x, y)
        if "hits" in found:
            found["accuracy"] = found.pop("hits") / len(x)
        return found

    def forward(self, x: Any) -> Array:
        """The network's output for x [N, *sample]."""
        return self.run_forward(self._batch(x, None)[0])

    def probe(self, x: Any, y: Any) -> dict[str, float]:
        """What the spec's probes measure on this batch; changes nothing."""
        x, y = self._batch(x, y)
        return self.run_probe(x, y, self.steps)

    def state(self) -> dict[str, Array]:
        """Copies of all state arrays by name, and the number of steps under `step`."""
        state = self.read(tuple(slot.name for slot in self.compiled.state))
        return state | {STEP: np.array(self.steps, np.int64)}

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Take over a state, as `state()` gives it; `step` may be missing and then is 0.

        Raises:
            FacError: an array is missing, unknown, or of another shape. The session is then unchanged.
        """
        check_state(self.compiled, state)
        self.write({name: array for name, array in state.items() if name != STEP})
        self.steps = int(state[STEP]) if STEP in state else 0

    def _batch(self, x: Any, y: Any) -> tuple[Any, Any]:
        x = self.place(check_x(self.compiled, x)) if isinstance(x, np.ndarray | list) else x
        if isinstance(y, np.ndarray | list):
            y = self.place(check_y(self.compiled, y, len(x)))
        return x, y


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

    def emit(self, compiled: Compiled, precision: Precision) -> Artifact:
        """Lower the functions.

        Raises:
            FacError: what the backend runs with is not installed, or it cannot express an op.
        """


def check_state(compiled: Compiled, state: Mapping[str, Array]) -> None:
    """Refuse a state of another spec.

    Raises:
        FacError: naming the first few differences.
    """
    wanted = {slot.name: slot.shape for slot in compiled.state}
    problems = [f"`{name}` is missing" for name in wanted if name not in state]
    problems += [f"`{name}` is unknown" for name in state if name not in wanted and name != STEP]
    problems += [
        f"`{name}` is {list(np.shape(state[name]))}, not {list(shape)}"
        for name, shape in wanted.items()
        if name in state and np.shape(state[name]) != shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise FacError(
            f"the state belongs to another spec than `{compiled.name}`: {'; '.join(problems[:3])}{more}"
        )


def check_x(compiled: Compiled, x: Any) -> Array:
    """X as an array of samples.

    Raises:
        FacError: it does not have the spec's input shape.
    """
    samples: Array = np.asarray(x)
    if samples.shape[1:] != compiled.sample or samples.ndim != len(compiled.sample) + 1 or not len(samples):
        raise FacError(
            f"x has shape {list(samples.shape)}, but `input.shape` asks for [N, {_text(compiled.sample)}], N > 0"
        )
    return samples


def check_y(compiled: Compiled, y: Any, n: int) -> Array:
    """Y as an array of labels or targets.

    Raises:
        FacError: labels that are not whole numbers in range, or targets of another shape.
    """
    given: Array = np.asarray(y)
    if not compiled.classes:
        if given.shape != (n, *compiled.output):
            raise FacError(f"y has shape {list(given.shape)}, not [{n}, {_text(compiled.output)}]")
        return given
    classes = compiled.output[-1]
    if given.shape != (n,) or given.dtype.kind not in "iu":
        raise FacError(
            f"y has to hold {n} whole-number labels, not {given.dtype} of shape {list(given.shape)}"
        )
    if given.min() < 0 or given.max() >= classes:
        bad = int(np.flatnonzero((given < 0) | (given >= classes))[0])
        raise FacError(f"label {given[bad]} of sample {bad} is not in 0..{classes - 1}")
    return given


def _text(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def write_common(artifact: Artifact, backend: str, directory: Path, files: Mapping[str, str]) -> None:
    """Write text files, the initial state as safetensors, and `manifest.json` that describes them.

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
        for name, text in files.items():
            (directory / name).write_text(text, encoding="utf-8")
        (directory / "state.safetensors").write_bytes(save(state, metadata))
        (directory / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise FacError(f"cannot write to `{directory}`: {error.strerror or error}") from error
