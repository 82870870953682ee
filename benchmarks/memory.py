"""The most memory of a process that trains, beyond its imports: as `Artifact.peak_bytes` predicts it, and as it is.

Each row is a process of its own, which opens a session on a CPU and makes five steps; resident memory at its peak, as
Linux tells it.

    python -m benchmarks.memory
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

from fac.bench.memory import resident

RESULTS = Path(__file__).parent / "results" / "memory.json"
BACKENDS = ("torch", "reference")
STEPS = 5
NETWORKS = ("mlp 1024", "mlp 2048", "conv", "tokens")
RULES: dict[str, dict[str, Any]] = {"bp": {"rule": "bp"}, "ldfa, rank 10": {"rule": "ldfa", "rank": 10}}
BATCHES = {"mlp 1024": (128, 2048), "mlp 2048": (128, 2048), "conv": (32,), "tokens": (16,)}


def spec(network: str, rule: str) -> dict[str, Any]:
    """784-W-W-W-W-10; four convolutions on maps of 32 x 32; two blocks of a transformer on 64 tokens of 384."""
    layers: list[dict[str, Any]]
    if network == "conv":
        shape, layers = [3, 32, 32], []
        for channels in (64, 64, 128, 128):
            layers += [{"kind": "conv2d", "out": channels, "kernel": 3, "padding": 1}, {"kind": "relu"}]
        layers += [{"kind": "max_pool2d", "kernel": 2}, {"kind": "global_avg_pool"}]
    elif network == "tokens":
        norm = {"kind": "layer_norm"}
        mix = {"kind": "residual", "name": "mix", "body": [norm, {"kind": "attention", "heads": 8}]}
        mlp = {"kind": "mlp", "ratio": 2, "activation": [{"kind": "gelu"}]}
        feed = {"kind": "residual", "name": "feed", "body": [norm, mlp]}
        shape, layers = [64, 48], [{"kind": "linear", "out": 384}]
        layers += [
            {"kind": "repeat", "name": "block", "times": 2, "body": [mix, feed]},
            {"kind": "mean", "axes": [0]},
        ]
    else:
        shape, layers = [784], []
        for _ in range(4):
            layers += [{"kind": "linear", "out": int(network.split()[1])}, {"kind": "relu"}]
    return {
        "fac": 1,
        "name": network.replace(" ", "_"),
        "input": {"shape": shape},
        "layers": [*layers, {"kind": "linear", "out": 10}],
        "loss": {"kind": "cross_entropy"},
        "feedback": RULES[rule],
        "update": {"rule": "sgd", "lr": 0.001, "momentum": 0.9},
    }


def training(backend: str, made: dict[str, Any], n: int) -> dict[str, float]:
    """MiB, in this process: predicted, and measured."""
    import numpy as np

    from fac.pipeline import compile

    import_module(f"fac_{backend}.session")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((n, *made["input"]["shape"]), dtype=np.float32), rng.integers(0, 10, n)
    imports = resident("VmRSS")
    artifact = compile(made, backend=backend, precision="float32")
    session = artifact.open(device="cpu")
    placed = session.place(x), session.place(y)
    for _ in range(STEPS):
        session.step(*placed)
    most, predicted = resident("VmHWM"), artifact.peak_bytes(n)
    assert imports is not None
    assert most is not None
    assert predicted is not None
    return {"predicted": predicted / 2**20, "measured": most - imports}


def main() -> None:
    """Measure in processes of their own, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--one", nargs=4, metavar=("BACKEND", "NETWORK", "RULE", "BATCH"), help="one, which prints JSON"
    )
    given = parser.parse_args()
    if given.one:
        backend, network, rule, batch = given.one
        print(json.dumps(training(backend, spec(network, rule), int(batch))))
        return
    from benchmarks.machine import machine, table

    rows, found = [], []
    for network, rule, backend in product(NETWORKS, RULES, BACKENDS):
        for batch in BATCHES[network]:
            one = ["--one", backend, network, rule, str(batch)]
            command = [sys.executable, "-m", "benchmarks.memory", *one]
            said = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
            off = said["predicted"] / said["measured"] - 1
            found.append({"network": network, "rule": rule, "backend": backend, "batch": batch, **said})
            numbers = (f"{said['predicted']:.0f}", f"{said['measured']:.0f}", f"{100 * off:+.1f} %")
            rows.append(
                (network, rule, backend, str(batch), *numbers, "yes" if abs(off) <= 0.1 else "**no**")
            )
    header = ("network", "rule", "backend", "batch", "predicted MiB", "measured MiB", "off", "≤ 10 %")
    print(table(header, rows))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": machine(), "peaks": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
