"""From a spec's file to the source of its torch step: CPU time, in fresh processes.

ResNet-18 (`examples/resnet18.fac.yaml`) and a transformer of twelve blocks (that of `examples/vit.fac.yaml`) under
several rules, as text that a session runs: reading, checks, the four functions and their passes, and the text. Imports
of torch and fac are counted by themselves; the first compilation of a process also makes the validators of models.

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
NETWORKS = {"ResNet-18": ("resnet18", None), "transformer, 12 blocks": ("vit", 12)}
"""By name: the example, and how often it repeats its block, if otherwise than it says."""
RESULTS = Path(__file__).parent / "results" / "compile_time.json"
RULES: dict[str, dict[str, Any]] = {
    "bp": {"rule": "bp"},
    "dfa": {"rule": "dfa"},
    "ldfa, rank 16": {"rule": "ldfa", "rank": 16},
}
PROCESSES, TURNS, TARGET = 3, 5, 1000.0
"""The target is in milliseconds, for the first compilation."""


def compiling(network: str, rule: str) -> dict[str, Any]:
    """Milliseconds of imports, and of one compilation after the other."""
    example, times = NETWORKS[network]
    started = process_time()
    import torch  # noqa: F401

    loaded = process_time()
    from ruamel.yaml import YAML

    import fac
    import fac.pipeline
    import fac_torch.artifact  # noqa: F401

    imported = process_time()
    data = YAML(typ="safe", pure=True).load(EXAMPLES / f"{example}.fac.yaml") | {"feedback": RULES[rule]}
    for layer in data["layers"]:
        if times is not None and layer["kind"] == "repeat":
            layer["times"] = times
    turns = []
    for _ in range(TURNS):
        begun = process_time()
        length = len(fac.compile(data, backend="torch").source)  # type: ignore[attr-defined]
        turns.append(1000 * (process_time() - begun))
    return {
        "torch": 1000 * (loaded - started),
        "fac": 1000 * (imported - loaded),
        "compile": turns,
        "characters": length,
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
    for network, rule in product(NETWORKS, RULES):
        command = [sys.executable, "-m", "benchmarks.compile_time", "--one", network, rule]
        printed = [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(PROCESSES)]
        processes = [json.loads(text) for text in printed]
        found.setdefault(network, {})[rule] = processes
        first = median(p["compile"][0] for p in processes)
        later = median(turn for p in processes for turn in p["compile"][1:])
        imports = (f"{median(p[name] for p in processes):.0f}" for name in ("torch", "fac"))
        met = "yes" if first <= TARGET else "**no**"
        rows.append((network, rule, *imports, f"{first:.0f}", f"{later:.0f}", f"≤ {TARGET:.0f}: {met}"))
    print(
        table(
            ("network", "rule", "import torch ms", "import fac ms", "first ms", "later ms", "target, first"),
            rows,
        )
    )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": machine(), "milliseconds": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
