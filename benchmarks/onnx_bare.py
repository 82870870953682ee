"""A step model run with nothing around it: what onnxruntime costs where nobody checks, places or counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fac_onnx.runtime import ort

Arrays = Mapping[str, NDArray[Any]]
NEXT = ".next"


class PingPong:
    """Two sets of state, and two bindings that run in turn: one reads the first and writes the second."""

    def __init__(self, content: bytes, state: Arrays, fixed: Arrays) -> None:
        """State moves; what is fixed (batch, learning rate, number of the step) is read where it lies."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        moved = {o.name.removesuffix(NEXT) for o in self.session.get_outputs() if o.name.endswith(NEXT)}
        self.sets = [{name: np.array(array, np.float32) for name, array in state.items()} for _ in range(2)]
        self.fixed = {**fixed, **{name: self.sets[0][name] for name in state if name not in moved}}
        self.loss = np.zeros((), np.float32)
        first, second = self.sets
        self.bindings = [self._binding(first, second), self._binding(second, first)]

    def _binding(self, here: Arrays, there: Arrays) -> ort.IOBinding:
        binding = ort.IOBinding(self.session)
        for value in self.session.get_inputs():
            array = self.fixed.get(value.name, here.get(value.name))
            binding.bind_ortvalue_input(value.name, ort.OrtValue.ortvalue_from_numpy(array))
        for value in self.session.get_outputs():
            array = there[value.name.removesuffix(NEXT)] if value.name.endswith(NEXT) else self.loss
            binding.bind_ortvalue_output(value.name, ort.OrtValue.ortvalue_from_numpy(array))
        return binding

    def step(self) -> None:
        """One run."""
        self.session.run_with_iobinding(self.bindings[0])
        self.bindings.reverse()
        self.sets.reverse()

    def state(self) -> Arrays:
        """Where the last step wrote it."""
        return self.sets[0]
