"""What fine-tuning comes to: adapters under backpropagation and under low-rank routes through the frozen weights.

784-512-512-512-512-10, ReLU, is trained by backpropagation on the classes 0 to 4 of Fashion-MNIST, 30,000 images, for 5
epochs. From these weights it goes on with the classes 5 to 9, 5 epochs: the four hidden layers stay and have adapters
of rank 8, the last layer, which begins anew, learns. Test accuracy on the images of the classes 5 to 9 after the last
epoch. Adam, 0.001, cosine to zero per step, batch 128, float32; pixels standardised by one mean and deviation. Nothing
was tuned.

    python -m benchmarks.finetune_accuracy
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import fac
from benchmarks.machine import machine, one_thread, table
from fac.training import data

RESULTS = Path(__file__).parent / "results" / "finetune_accuracy.json"
SEEDS = (0, 1, 2)
HIDDEN = ("fc1", "fc2", "fc3", "fc4")
FIXED = {"read": {"rule": "fixed"}, "write": {"rule": "fixed"}}
ADAPTERS = [{"match": "fc*", "kind": "lora", "rank": 8, "alpha": 16}]


def through(rank: int, **more: Any) -> dict[str, Any]:
    """Routes through the frozen weights."""
    matrix = {"kind": "low_rank", "rank": rank, **FIXED, **more}
    return {"adapters": ADAPTERS, "feedback": {"routes": [{"through": "*.base_layer", "matrix": matrix}]}}


FROZEN = [{"match": "fc*", "trainable": False}]
OJA = {"read": {"rule": "oja"}}
ROWS: dict[str, dict[str, Any]] = {
    "bp": {"adapters": ADAPTERS},
    "routes of rank 64, by SVD": through(64, init="svd"),
    "routes of rank 64, random": through(64),
    "routes of rank 16, by SVD": through(16, init="svd"),
    "routes of rank 16, random": through(16),
    "routes of rank 16, random, P by Oja": through(16, **OJA),
    "routes of rank 16, random, P by Oja, error feedback": through(16, **OJA, error_feedback=True),
    "the last layer alone": {"update": {"groups": FROZEN}},
}


def spec(seed: int, row: dict[str, Any]) -> dict[str, Any]:
    """A training of the network."""
    layers: list[dict[str, Any]] = []
    for name in HIDDEN:
        layers += [{"kind": "linear", "name": name, "out": 512}, {"kind": "relu"}]
    update = {"rule": "adam", "lr": 0.001, "schedule": "cosine"} | row.get("update", {})
    return {
        "fac": 1,
        "name": "finetune-accuracy",
        "input": {"shape": [784]},
        "layers": [*layers, {"kind": "linear", "name": "logits", "out": 10}],
        "loss": {"kind": "cross_entropy"},
        "train": {"epochs": 5, "batch": 128, "seed": seed},
    } | row | {"update": update}  # fmt: skip


def halves() -> tuple[dict[str, Any], dict[str, Any]]:
    """The samples of the classes 0 to 4, and those of 5 to 9, as `fac.train` takes them."""
    section = {"source": "fashion_mnist"}
    loaded = data.load(fac.load(spec(0, {}) | {"data": section}).data, precision="float32")  # type: ignore[arg-type]
    found = []
    for low in (0, 5):
        parts = {}
        for name, split in (("train", loaded.train), ("test", loaded.test)):
            x, y = np.asarray(split.arrays["x"]), np.asarray(split.arrays["y"])
            kept = (y >= low) & (y < low + 5)
            parts[name] = x[kept].reshape(-1, 784), y[kept]
        found.append(parts)
    return found[0], found[1]


def main() -> None:
    """Train, print, and keep the figures."""
    one_thread()
    first, second = halves()
    results: dict[str, Any] = {"machine": machine(), "pretrained": [], "accuracy": {row: [] for row in ROWS}}
    for seed in SEEDS:
        with TemporaryDirectory() as folder:
            before = fac.train(spec(seed, {}), first, out=f"{folder}/before", backend="torch")
            results["pretrained"].append(before.report.test_accuracy)
            # without the last layer, which knows the other classes
            held = {name: a for name, a in before.session.state().items() if name.startswith(HIDDEN)}
            kept = {name: a for name, a in held.items() if name.endswith((".weight", ".bias"))}
            write(Path(folder, "body.safetensors"), kept)
            for name, row in ROWS.items():
                start = f"{folder}/body.safetensors"
                after = fac.train(spec(seed, row), second, init=start, init_partial=True, backend="torch")
                results["accuracy"][name].append(after.report.test_accuracy)
                print(f"seed {seed}, {name}: {after.report.test_accuracy:.4f}", flush=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    rows = [
        (name, f"{100 * mean(found):.2f} ± {100 * stdev(found):.2f}")
        for name, found in [("classes 0 to 4, before", results["pretrained"]), *results["accuracy"].items()]
    ]
    print(table(("", "test accuracy %"), rows))


def write(path: Path, arrays: dict[str, Any]) -> None:
    """As a safetensors file."""
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)


if __name__ == "__main__":
    main()
