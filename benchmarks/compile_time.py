"""From a spec to a torch step that can run: CPU time, in fresh processes.

A network as `fac init` writes one, ResNet-18 (`examples/resnet18.fac.yaml`), a transformer of twelve blocks (that of
`examples/vit.fac.yaml`) and 1,000 linear layers, under several rules. "Opened" is what a session needs: reading,
checks, the functions and their passes, the text of all but the probe, and Python's compilation of it. "Written" is what
`fac compile` writes: the whole module as text, and so the probe, too. Imports of torch and fac are counted by
themselves; the first compilation of a process also makes the validators of models.

    python -m benchmarks.compile_time
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

EXAMPLES = Path(__file__).parents[1] / "examples"
RESULTS = Path(__file__).parent / "results" / "compile_time.json"
DEEP = "1,000 layers"
TARGETS = {"MLP": 50.0, "ResNet-18": 500.0, "transformer, 12 blocks": 500.0, DEEP: 5000.0}
"""Milliseconds to open a session, once a process has compiled something."""
EXAMPLE = {"MLP": "fashion_ldfa", "ResNet-18": "resnet18", "transformer, 12 blocks": "vit"}
BLOCKS, LAYERS, WIDTH = 12, 1000, 64
RULES: dict[str, dict[str, Any]] = {
    "bp": {"rule": "bp"},
    "dfa": {"rule": "dfa"},
    "ldfa, rank 10": {"rule": "ldfa", "rank": 10},
}
PROCESSES, TURNS = 3, 3


def spec_of(network: str) -> dict[str, Any]:
    """The spec's data, but for the rule."""
    from ruamel.yaml import YAML

    if network == DEEP:
        body = [{"kind": "linear", "out": WIDTH}, {"kind": "relu"}]
        return {
            "fac": 1,
            "name": "deep",
            "input": {"shape": [WIDTH]},
            "layers": [
                {"kind": "repeat", "name": "body", "times": LAYERS, "body": body},
                {"kind": "linear", "name": "out", "out": 10},
            ],
            "loss": {"kind": "cross_entropy"},
            "update": {"rule": "sgd", "lr": 0.01, "momentum": 0.9},
        }
    data: dict[str, Any] = YAML(typ="safe", pure=True).load(EXAMPLES / f"{EXAMPLE[network]}.fac.yaml")
    data.pop("constraints", None)  # that of an example is about its own rule
    for layer in data["layers"]:
        if layer["kind"] == "repeat":
            layer["times"] = BLOCKS
    return data


def compiling(network: str, rule: str) -> dict[str, Any]:
    """Milliseconds of imports, and of one compilation after the other."""
    started = process_time()
    import torch  # noqa: F401

    loaded = process_time()
    import fac
    import fac.pipeline
    import fac_torch.artifact  # noqa: F401

    imported = process_time()
    data = spec_of(network) | {"feedback": RULES[rule]}
    opened, written = [], []
    for _ in range(TURNS):
        begun = process_time()
        artifact: Any = fac.compile(data, backend="torch")
        artifact.module()
        ready = process_time()
        opened.append(1000 * (ready - begun))
        text = artifact.source
        written.append(1000 * (process_time() - ready))
    return {
        "torch": 1000 * (loaded - started),
        "fac": 1000 * (imported - loaded),
        "opened": opened,
        "written": written,
        "characters": len(text),
    }


def main() -> None:
    """Measure in processes of their own, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--one", nargs=2, metavar=("NETWORK", "RULE"), help="one process, which prints JSON")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(compiling(*given.one)))
        return
    from benchmarks.machine import machine, table

    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    rows = []
    for network, rule in product(TARGETS, RULES):
        command = [sys.executable, "-m", "benchmarks.compile_time", "--one", network, rule]
        printed = [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(PROCESSES)]
        processes = [json.loads(text) for text in printed]
        found.setdefault(network, {})[rule] = processes
        first = median(p["opened"][0] for p in processes)
        later = median(turn for p in processes for turn in p["opened"][1:])
        written = median(turn for p in processes for turn in p["written"][1:])
        imports = (f"{median(p[name] for p in processes):.0f}" for name in ("torch", "fac"))
        met = "yes" if later <= TARGETS[network] else "**no**"
        target = f"≤ {TARGETS[network]:.0f}: {met}"
        rows.append((network, rule, *imports, f"{first:.0f}", f"{later:.0f}", target, f"{written:.0f}"))
    print(
        table(
            (
                "network",
                "rule",
                "import torch ms",
                "import fac ms",
                "opened, first ms",
                "opened, later ms",
                "target, later",
                "written ms",
            ),
            rows,
        )
    )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": machine(), "milliseconds": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
