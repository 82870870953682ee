"""Orthogonalised steps: found among the rows of a batch, or along a side of the weight.

W-W-10, ReLU, batch 128, float32, one thread, process CPU time: one hidden weight, whose step makes nearly all the
difference. `gram_orthogonal` takes one and the same step in both forms; that of the side is what a spec with batches of
more samples has. Before they are timed both are held against float64.

    python -m benchmarks.orthogonal                   # W = 512, 1024, 2048
    python -m benchmarks.orthogonal --widths 512 --rounds 40
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import fac
from benchmarks.machine import machine, one_thread, quartiles, ratio, ratios, rounds, table
from fac.backend import Precision, Session

RESULTS = Path(__file__).parent / "results" / "orthogonal.json"
BATCH, MANY = 128, 1 << 20
ROWS, SIDE, PLAIN = "among rows", "along the side", "sgd"
TARGETS = {512: 5.0, 1024: 30.0}
"""By width: how many times faster the step among rows shall be found."""
TOLERANCE = 1e-4


def session(width: int, contender: str, precision: Precision = "float32") -> Session:
    """The network with one of the updates."""
    sgd: dict[str, Any] = {"rule": "sgd", "lr": 0.01}
    spec = {
        "fac": 1,
        "name": "orthogonal",
        "input": {"shape": [width]},
        "layers": [
            {"kind": "linear", "name": "fc1", "out": width},
            {"kind": "relu"},
            {"kind": "linear", "name": "logits", "out": 10},
        ],
        "loss": {"kind": "cross_entropy"},
        "update": sgd if contender == PLAIN else {"rule": "gram_orthogonal", "lr": 0.01, "rest": sgd},
        "train": {"batch": BATCH if contender == ROWS else MANY},
    }
    return fac.compile(spec, backend="torch", precision=precision).open(device="cpu")


def apart(width: int, x: Any, y: Any) -> dict[str, float]:
    """How far a step of each form is from that along the side in float64, relative to the step.

    Raises:
        AssertionError: that among rows is further off than float32 explains.
    """

    def moved(contender: str, precision: Precision) -> Any:
        found = session(width, contender, precision)
        before = found.state()["fc1.weight"]
        found.step(x.astype(precision), y)
        return found.state()["fc1.weight"] - before

    exact = moved(SIDE, "float64")
    distance = {
        name: float(np.linalg.norm(moved(name, "float32") - exact) / np.linalg.norm(exact))
        for name in (ROWS, SIDE)
    }
    assert distance[ROWS] <= TOLERANCE, f"W = {width}: the step among rows is {distance[ROWS]:.1e} off"
    return distance


def main() -> None:
    """Check, measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--widths", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--rounds", type=int, default=11)
    given = parser.parse_args()
    one_thread()
    rng = np.random.default_rng(0)
    results: dict[str, Any] = {"machine": machine(), "rounds": given.rounds, "milliseconds": {}, "apart": {}}
    rows = []
    for width in given.widths:
        x, y = rng.standard_normal((BATCH, width)).astype("float32"), rng.integers(0, 10, BATCH)
        results["apart"][width] = apart(width, x, y)
        # With a rate of 0, as a network that had fitted its one batch would have errors too small for float32.
        calls = {name: partial(session(width, name).step, x, y, lr=0.0) for name in (ROWS, SIDE, PLAIN)}
        seconds = rounds(calls, given.rounds)
        results["milliseconds"][width] = {
            name: [round(1000 * s, 3) for s in found] for name, found in seconds.items()
        }
        whole = ratio(seconds[SIDE], seconds[ROWS])
        # What the step costs beyond that of SGD: the orthogonalisation, less the gradient that it spares.
        beyond = {
            name: [a - b for a, b in zip(seconds[name], seconds[PLAIN], strict=True)] for name in (ROWS, SIDE)
        }
        low, high = quartiles(ratios(beyond[SIDE], beyond[ROWS]))
        rows.append(
            (
                f"W = {width}",
                *(f"{1000 * median(seconds[name]):.1f}" for name in (PLAIN, SIDE, ROWS)),
                f"{whole:.1f}",
                f"{ratio(beyond[SIDE], beyond[ROWS]):.0f} ({low:.0f} to {high:.0f})",
                f"{TARGETS[width]:.0f}" if width in TARGETS else "",
                *(f"{results['apart'][width][name]:.0e}" for name in (ROWS, SIDE)),
            )
        )
    head = (
        "",
        "sgd, ms",
        f"{SIDE}, ms",
        f"{ROWS}, ms",
        "times faster, step",
        "beyond sgd",
        "target",
        f"error, {ROWS}",
        SIDE,
    )
    print(table(head, rows))
    RESULTS.write_text(json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
