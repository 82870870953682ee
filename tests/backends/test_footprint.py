"""The most memory of a process that trains is what its artifact predicts, to a tenth."""

from __future__ import annotations

import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fac
from fac.step.cost import SHOWING
from fac.step.ir import Op, Value
from fac.testing.nets import batch, mlp, spec
from fac_reference.interpreter import run

MEASURED = """
import json, re, sys
import numpy as np
import fac, fac.pipeline
__import__(f"fac_{sys.argv[1]}.session")
def resident(what):
    with open("/proc/self/status") as file:
        return 1024 * int(re.search(rf"{what}:\\s*(\\d+) kB", file.read())[1])
layers = 4 * [{"kind": "linear", "out": 2048}, {"kind": "relu"}] + [{"kind": "linear", "out": 10}]
made = {"fac": 1, "name": "wide", "input": {"shape": [784]}, "layers": layers, "loss": {"kind": "cross_entropy"}}
made |= {"feedback": {"rule": "bp"}, "update": {"rule": "sgd", "lr": 0.001, "momentum": 0.9}}
x, y = np.ones((256, 784), np.float32), np.zeros(256, np.int64)
imports = resident("VmRSS")
artifact = fac.compile(made, sys.argv[1], "float32")
session = artifact.open(device="cpu")
placed = session.place(x), session.place(y)
for _ in range(2):
    session.step(*placed)
print(resident("VmHWM") - imports, artifact.peak_bytes(256))
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="it is Linux that tells the peak of a process"
)
@pytest.mark.parametrize("backend", ["torch", "reference"])
def test_a_process_takes_what_is_predicted(backend: str) -> None:
    """784-2048-2048-2048-2048-10 in batches of 256: some 160 MiB and more, of state and of values.

    Not less: what libraries keep once they are called differs by 10 MiB from CPU to CPU.
    """
    ran = subprocess.run(
        [sys.executable, "-c", MEASURED, backend], capture_output=True, text=True, check=True
    )
    measured, predicted = map(int, ran.stdout.split())
    assert measured == pytest.approx(predicted, rel=0.1)


def test_the_reference_keeps_no_array_behind_its_last_reader() -> None:
    """Of each array that an op made, only those are there at the next op that a later one reads, or an output is."""
    artifact = fac.compile(spec(mlp(8, 8, 3)), "reference")
    step, session = artifact.compiled.step, artifact.open()
    made: list[tuple[Value, Any]] = []
    places = {op: i for i, op in enumerate(step.ops)}
    last = {value: places[op] for op in step.ops for value in (op.result, *op.operands)}
    outputs = {value for _, value in step.outputs}
    shown = {op.operands[0] for op in step.ops if op.kind in SHOWING}

    def observe(op: Op, result: Any) -> None:
        read = [
            (value, array)
            for value, array in made
            if value not in outputs | shown and last[value] < places[op]
        ]
        assert not [value.name for value, array in read if array() is not None]
        if isinstance(result, np.ndarray):
            made.append((op.result, weakref.ref(result)))

    x, y = batch(16)
    state = session.state()
    run(step, {"x": x, "y": y, "lr": 0.1, "step": 0, **state}, np.dtype("float64"), observe)
    assert len(made) > 20
