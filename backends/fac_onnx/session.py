"""State as two sets of buffers that onnxruntime reads and writes in turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from fac.backend import Array, Arrays, HostSession, denormals_as_zero
from fac.diagnostics import FacError
from fac.step.ir import Function
from fac_onnx.block import ALL, BEGIN, END
from fac_onnx.device import first_line, session
from fac_onnx.emit import NEXT
from fac_onnx.runtime import ort
from fac_onnx.tuning import BLOCK

if TYPE_CHECKING:
    from fac_onnx.artifact import OnnxArtifact

Buffers = dict[str, ort.OrtValue]
STEPS = "steps"
"""The model of several steps, among those of functions."""
NO_ROOM = ("bad_alloc", "Failed to allocate")
"""What onnxruntime says where memory ends."""


class OnnxSession(HostSession):
    """Runs the models. The data stays on the host; the state stays on the device.

    A step reads one set of buffers and writes the other: an output that shared memory with an input that is still
    to be read would give wrong numbers in silence. State that no step moves has one buffer only.
    """

    def __init__(self, artifact: OnnxArtifact, device: str) -> None:
        compiled = artifact.compiled
        super().__init__(compiled, artifact.precision, device)
        self.artifact = artifact
        self.runners: dict[str, ort.InferenceSession] = {}
        moved = {name for name, _ in compiled.step.outputs}
        with running():
            first = {slot.name: self._room(slot.shape) for slot in compiled.state}
            second = {
                slot.name: self._room(slot.shape) if slot.name in moved else first[slot.name]
                for slot in compiled.state
            }
        self.buffers = first
        """Where the state is now."""
        self.others = second
        """Where the next step writes it."""
        self.losses = {name: np.zeros((), self.precision) for name in sorted(moved - first.keys())}
        self.at_once = int(artifact.chosen(device).get(BLOCK, 1))
        self.rate, self.number = np.zeros((), self.precision), np.zeros((), np.int64)
        """The learning rate and the number of a step, where bindings read them."""
        self.reads = {value.name for value in compiled.step.inputs}
        self.binding = self._binding(first, second)
        self.other_binding = self._binding(second, first)

    def run_step(self, batch: Arrays, lr: float, step: int) -> dict[str, float]:
        """Bind the batch, run, and let the sets change places."""
        self.rate[...], self.number[...] = lr, step
        self._bind(self.binding, batch if self.device == "cpu" else {**batch, **self._scalars})
        runner = self._runner(self.compiled.step)
        with running():
            runner.run_with_iobinding(self.binding)
        self.binding, self.other_binding = self.other_binding, self.binding
        self.buffers, self.others = self.others, self.buffers
        return {name: float(loss) for name, loss in self.losses.items()}

    def run_steps(
        self, batches: Sequence[Arrays], rates: Sequence[float], step: int
    ) -> list[Mapping[str, float]]:
        """In one call, as a `Scan`: the state goes from one step to the next within onnxruntime."""
        sizes = {len(array) for batch in batches for array in batch.values()}
        if len(batches) == 1 or len(sizes) > 1:
            return super().run_steps(batches, rates, step)
        if STEPS not in self.runners:
            self.runners[STEPS] = session(self.artifact.several(), self.device, planned=True)
        binding = ort.IOBinding(self.runners[STEPS])
        given = {name + ALL: _shared(np.stack([batch[name] for batch in batches])) for name in batches[0]}
        given |= {
            f"lr{ALL}": _shared(np.array(rates, self.precision)),
            f"step{ALL}": _shared(np.arange(step, step + len(batches))),
        }
        moved = {name for name, _ in self.compiled.step.outputs}
        given |= {name + BEGIN if name in moved else name: value for name, value in self.buffers.items()}
        for value in self.runners[STEPS].get_inputs():
            binding.bind_ortvalue_input(value.name, given[value.name])
        losses = {name: np.zeros(len(batches), self.precision) for name in self.losses}
        for name in moved:
            if name in losses:
                binding.bind_ortvalue_output(name + ALL, _shared(losses[name]))
            else:
                binding.bind_ortvalue_output(name + END, self.others[name])
        with running():
            self.runners[STEPS].run_with_iobinding(binding)
        self.binding, self.other_binding = self.other_binding, self.binding
        self.buffers, self.others = self.others, self.buffers
        return [{name: float(values[k]) for name, values in losses.items()} for k in range(len(batches))]

    def run_evaluate(self, batch: Arrays) -> dict[str, float]:
        """Loss and hits."""
        return self._numbers(self.compiled.evaluate, batch)

    def run_forward(self, batch: Arrays) -> Array:
        """The output."""
        (found,) = self._run(self.compiled.forward, batch)
        return found

    def run_probe(self, batch: Arrays, step: int) -> dict[str, Array]:
        """The measurements."""
        found = self._run(self.compiled.probe, {**batch, "step": np.array(step, np.int64)})
        return dict(zip((name for name, _ in self.compiled.probe.outputs), found, strict=True))

    def read(self, names: tuple[str, ...]) -> dict[str, Array]:
        """Copies on the host: what `numpy()` gives on a CPU is a view that the next steps overwrite."""
        return {name: np.array(self.buffers[name].numpy()) for name in names}

    def write(self, arrays: Mapping[str, Array]) -> None:
        """Into the buffers that are there, which the bindings know."""
        for name, array in arrays.items():
            self.buffers[name].update_inplace(np.asarray(array, self.precision, order="C"))

    # -- onnxruntime -----------------------------------------------------------------------------------------

    def _room(self, shape: tuple[int, ...]) -> ort.OrtValue:
        return ort.OrtValue.ortvalue_from_shape_and_type(shape, np.dtype(self.precision), self.device, 0)

    def _runner(self, function: Function) -> ort.InferenceSession:
        """One per function, made when it is first asked for."""
        if function.name not in self.runners:
            small = function is self.compiled.step and self.at_once > 1
            self.runners[function.name] = session(self.artifact.content(function), self.device, planned=small)
        return self.runners[function.name]

    def _binding(self, here: Buffers, there: Buffers) -> ort.IOBinding:
        """A step that reads the state `here` and writes it `there`; the batch is bound at each step."""
        step = self.compiled.step
        binding = ort.IOBinding(self._runner(step))
        self._bind(binding, self._scalars)
        for value in step.inputs:
            if value.name in here:
                binding.bind_ortvalue_input(value.name, here[value.name])
        for name, _ in step.outputs:
            if name in there:
                binding.bind_ortvalue_output(name + NEXT, there[name])
            else:
                binding.bind_ortvalue_output(name, _shared(self.losses[name]))
        return binding

    @property
    def _scalars(self) -> Arrays:
        return {"lr": self.rate, "step": self.number}

    def _bind(self, binding: ort.IOBinding, arrays: Arrays) -> None:
        """Where they lie. On a device other than the CPU, binding is what copies them there."""
        for name, array in arrays.items():
            if name in self.reads:
                binding.bind_cpu_input(name, np.asarray(array, order="C"))

    def _run(self, function: Function, inputs: Mapping[str, Array]) -> list[Array]:
        """The outputs of a function that moves no state."""
        feeds = {v.name: self.buffers[v.name] for v in function.inputs if v.name in self.buffers}
        given = {name: np.asarray(a, order="C") for name, a in inputs.items()}
        feeds |= {v.name: _shared(given[v.name]) for v in function.inputs if v.name in given}
        names = [name for name, _ in function.outputs]
        runner = self._runner(function)
        with running():
            found = runner.run_with_ort_values(names, feeds)
        return [np.array(value.numpy()) for value in found]

    def _numbers(self, function: Function, inputs: Mapping[str, Array]) -> dict[str, float]:
        names = [name for name, _ in function.outputs]
        return dict(zip(names, map(float, self._run(function, inputs)), strict=True))


@contextmanager
def running() -> Iterator[None]:
    """Denormal numbers count as zero in this thread too, and what onnxruntime says when a run fails is a message.

    Raises:
        FacError: it failed: memory ran out, or the device went away.
    """
    try:
        with denormals_as_zero():
            yield
    except Exception as error:  # its exceptions share no base class but this one
        why = first_line(error)
        if any(word in why for word in NO_ROOM):
            raise FacError(
                f"memory ran out in onnxruntime ({why}): use a smaller batch, narrower layers or lower ranks"
            ) from error
        raise FacError(f"onnxruntime could not run: {why}") from error


def _shared(array: Array) -> ort.OrtValue:
    """A value in the array's own memory, on the host: writing one is reading the other."""
    return ort.OrtValue.ortvalue_from_numpy(array)
