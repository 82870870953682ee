"""What reading images adds to a step: bytes that become numbers batch by batch, flipped and moved.

A small convolution network on images of 3 x 32 x 32, 128 at a time. The same steps by a bare loop on one batch and by
the trainer's own, in interleaved rounds; one thread to compute with, process CPU time, so that the thread that reads
the next batch counts too. Target: at most 5 %.

    python -m benchmarks.loader
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import fac
from benchmarks.machine import machine, one_thread, quartiles, rounds, table
from fac.training.dataset import Augment, Split
from fac.training.scaling import measured
from fac.training.stepping import Stepping
from fac.training.stored import Stored

RESULTS = Path(__file__).parent / "results" / "loader.json"
STEPS, BATCH, TARGET = 10, 128, 0.05
SPEC = {
    "fac": 1,
    "name": "images",
    "input": {"shape": [3, 32, 32]},
    "layers": [
        {"kind": "conv2d", "out": 32, "kernel": 3, "padding": 1},
        {"kind": "relu"},
        {"kind": "max_pool2d", "kernel": 2},
        {"kind": "conv2d", "out": 64, "kernel": 3, "padding": 1},
        {"kind": "relu"},
        {"kind": "max_pool2d", "kernel": 2},
        {"kind": "flatten"},
        {"kind": "linear", "out": 10},
    ],
    "loss": {"kind": "cross_entropy"},
    "feedback": {"rule": "bp"},
    "update": {"rule": "sgd", "lr": 0.01},
    "train": {"epochs": 1, "batch": BATCH},
}


def splits() -> dict[str, Split]:
    """The same images as numbers on the device, as bytes, and as bytes that training changes."""
    rng = np.random.default_rng(0)
    n = BATCH * STEPS * 2
    raw, y = rng.integers(0, 256, (n, 3, 32, 32), np.uint8), rng.integers(0, 10, n)
    by = measured(raw, (1, 2), "x")
    stored = Stored(raw, by, "float32", (3, 32, 32))
    changed = Stored(raw, by, "float32", (3, 32, 32), Augment(flip=True, crop=4))
    return {
        "numbers": Split(by.applied(raw, "float32"), y),
        "bytes": Split(stored, y),
        "flipped, moved": Split(changed, y),
    }


def overhead(split: Split, count: int) -> dict[str, Any]:
    """Milliseconds per step of both loops, and the overhead of each round."""
    spec = fac.load(SPEC)
    session = fac.compile(spec, backend="torch", precision="float32").open(device="cpu")
    family = Stepping(session, split, spec)
    batch = family.fixed()

    def bare() -> None:
        for _ in range(STEPS):
            session.step(batch, lr=family.lr)

    def trainer() -> None:
        session.steps = 0
        for _ in range(STEPS):
            family.once()

    seconds = rounds({"bare": bare, "trainer": trainer}, count)
    over = [t / b - 1 for t, b in zip(seconds["trainer"], seconds["bare"], strict=True)]
    per_step = {name: 1000 * median(values) / STEPS for name, values in seconds.items()}
    return {**per_step, "overhead": median(over), "middle half": quartiles(over)}


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    count = parser.parse_args().rounds
    one_thread()
    found = {name: overhead(split, count) for name, split in splits().items()}
    rows = [
        (
            name,
            f"{of['bare']:.2f}",
            f"{of['trainer']:.2f}",
            f"{100 * of['overhead']:.1f} %",
            " to ".join(f"{100 * value:.1f} %" for value in of["middle half"]),
            "yes" if of["overhead"] <= TARGET else "**no**",
        )
        for name, of in found.items()
    ]
    head = ("images", "bare ms", "trainer ms", "overhead", "middle half", f"≤ {100 * TARGET:.0f} %")
    print(table(head, rows))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": machine(), "images": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
