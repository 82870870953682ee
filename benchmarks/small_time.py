"""Time of one training step of a small network, many steps to a call, against backpropagation by eager torch.

784-64-64-64-64-10, ReLU, batch 32, SGD with momentum 0.9, float32, one thread, process CPU time: hardly more than what
calls cost. On the onnx backend a call makes 32 steps, and what it takes is divided by them; batches are stacked within
the time. Checked before as in `step_time`; the learning rate is 0 while it is timed.

    python -m benchmarks.small_time --rounds 40
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

import fac
from benchmarks import step_time
from benchmarks.eager import flagged
from benchmarks.machine import machine, one_thread, quartiles, ratio, rounds, table
from benchmarks.step_time import MOMENTUM, RULES, TIMED_LR, Eager, check, repeated, session

RESULTS = Path(__file__).parent / "results" / "small_time.json"
WIDTH, BATCH, STEPS = 64, 32, 32
TARGET = 2.5
"""Times faster than eager torch that `ldfa` and `dfa` shall be, many steps to a call."""


def contenders() -> dict[str, Callable[[], None]]:
    """Each makes `STEPS` steps."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((BATCH, 784)).astype("float32"), rng.integers(0, 10, BATCH)
    found: dict[str, Callable[[], None]] = {}
    for rule in RULES:
        for backend in ("torch", "onnx"):
            one: fac.backend.Session = session(rule, WIDTH, backend, "float32")
            batch = one.place(x), one.place(y)
            found[f"{rule}, {backend}, one by one"] = repeated(partial(one.step, *batch, TIMED_LR), STEPS)
            found[f"{rule}, {backend}, {STEPS} to a call"] = partial(_block, one, batch)
    eager = Eager(
        session("bp", WIDTH, "torch", "float32").state(),
        torch.float32,
        partial(torch.optim.SGD, lr=TIMED_LR, momentum=MOMENTUM),
    )
    tensors = torch.from_numpy(x), torch.from_numpy(y)
    found["eager"] = repeated(partial(flagged, eager, tensors, "highest"), STEPS)
    return found


def _block(one: Any, batch: tuple[Any, Any]) -> None:
    one.block([batch] * STEPS, TIMED_LR)


def main() -> None:
    """Check, measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args()
    one_thread()
    errors = {rule: check(rule) for rule in RULES}
    print(f"float64 check, {step_time.CHECKED_STEPS} steps: {max(errors.values()):.0e}\n")
    seconds = rounds(contenders(), given.rounds)
    times = {name: [1e6 * s / STEPS for s in values] for name, values in seconds.items()}
    rows = []
    for name, values in times.items():
        low, high = quartiles(values)
        gain = ratio(times["eager"], values)
        wanted = name.endswith("to a call") and "onnx" in name and "dfa" in name
        met = f"≥ {TARGET}: {'yes' if gain >= TARGET else '**no**'}" if wanted else "–"
        rows.append((name, f"{median(values):.0f}", f"{low:.0f} to {high:.0f}", f"{gain:.2f}", met))
    print(table(("contender", "µs per step", "middle half", "vs eager", "target"), rows))
    found = {"machine": machine("onnxruntime"), "rounds": given.rounds, "microseconds": times}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
