"""What a spec costs before and beside its steps: compile time and memory, each in fresh processes.

`onnx_step` runs it; one process by itself, which prints JSON:

    python -m benchmarks.onnx_cost compile      # CPU milliseconds of imports, and of one compilation after the other
    python -m benchmarks.onnx_cost onnx         # MiB of resident memory at its peak: by imports, and added
    python -m benchmarks.onnx_cost torch
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from time import process_time
from typing import Any

PROCESSES, TURNS, STEPS = 5, 11, 20
HIDDEN = (1024, 1024, 512)
"""Of the network whose compile time is measured: four layers with weights."""


def processes(kind: str) -> list[dict[str, Any]]:
    """What each of `PROCESSES` fresh ones found."""
    command = [sys.executable, "-m", "benchmarks.onnx_cost", kind]
    printed = [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(PROCESSES)]
    return [json.loads(text) for text in printed]


def compiling() -> dict[str, Any]:
    """From a spec to the bytes of all four models, `TURNS` times."""
    started = process_time()
    from benchmarks.onnx_spec import mlp
    from fac.pipeline import compile
    from fac_onnx.artifact import OnnxArtifact

    imported, spec, turns = process_time(), mlp("adam", HIDDEN), []
    for _ in range(TURNS):
        begun = process_time()
        artifact = compile(spec, backend="onnx")
        assert isinstance(artifact, OnnxArtifact)
        c = artifact.compiled
        for function in (c.forward, c.evaluate, c.step, c.probe):
            artifact.content(function)
        turns.append(1000 * (process_time() - begun))
    return {"imports": 1000 * (imported - started), "compile": turns}


def training(backend: str) -> dict[str, Any]:
    """A session with Adam, and some steps on placed data."""
    import numpy as np

    from benchmarks.onnx_spec import BATCH, INPUT, mlp
    from fac.pipeline import compile

    import_module(f"fac_{backend}.artifact")
    import_module(f"fac_{backend}.session")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((BATCH, INPUT), dtype=np.float32), rng.integers(0, 10, BATCH)
    imports = peak()
    session = compile(mlp("adam"), backend=backend, precision="float32").open(device="cpu")
    opened = peak()
    placed = session.place(x), session.place(y)
    for _ in range(STEPS):
        session.step(*placed)
    return {"imports": imports, "opened": opened - imports, "trained": peak() - imports}


def peak() -> float:
    """MiB. Not `getrusage`, which counts the process that started this one."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    kind = sys.argv[1]
    print(json.dumps(compiling() if kind == "compile" else training(kind)))
