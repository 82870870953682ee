"""Time of `fac check` on a spec of 100 layers: the whole process, and each stage in a fresh one.

    python -m benchmarks.check_speed              # target: the whole process in less than 0.5 s

Wall time is what a user waits, and is right on an idle machine only; CPU time stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.machine import machine, quartiles, table

RESULTS = Path(__file__).parent / "results" / "check_speed.json"
TARGET = 0.5
LAYERS = 100
Samples = dict[str, list[float]]


def text(layers: int) -> str:
    """A spec of so many layers, every other one with weights, and a route written out for each of those."""
    weighted = layers // 2
    lines = ["fac: 1", "name: deep", "input: {shape: [784]}", "layers:"]
    for i in range(weighted):
        out = 10 if i == weighted - 1 else 256
        lines += ["  - {kind: relu}"] if i else ["  - {kind: dropout, rate: 0.1}"]
        lines.append(f"  - {{kind: linear, name: fc{i}, out: {out}}}")
    lines += ["loss: {kind: cross_entropy}", "feedback:", "  routes:"]
    lines += [f"    - {{through: fc{i}, matrix: {{kind: low_rank, rank: 10}}}}" for i in range(1, weighted)]
    lines += ["update: {rule: sgd, lr: 0.05, momentum: 0.9}", "constraints: {max_rank: 10}"]
    return "\n".join(lines) + "\n"


def process(command: list[str]) -> tuple[float, float, str]:
    """Wall and CPU milliseconds of a process, and what it printed."""
    before, begun = os.times(), perf_counter()
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    wall, after = perf_counter() - begun, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return 1000 * wall, 1000 * cpu, printed


def measure(path: Path, count: int) -> tuple[Samples, Samples, Samples]:
    """Wall and CPU milliseconds of whole processes, and CPU milliseconds of the stages, one number per round."""
    own = [sys.executable, "-m", "fac"]
    commands = {
        "python alone": [sys.executable, "-c", "pass"],
        "fac --version": [*own, "--version"],
        "fac check": [*own, "check", str(path)],
    }
    wall: Samples = {name: [] for name in commands}
    cpu: Samples = {name: [] for name in commands}
    stages: Samples = {}
    for turn in range(count + 1):
        for name, command in commands.items():
            waited, used, _ = process(command)
            if turn:  # the first round finds the files in no cache
                wall[name].append(waited)
                cpu[name].append(used)
        inside = json.loads(process([sys.executable, "-m", "benchmarks.check_stages", str(path)])[2])
        for name, value in inside.items():
            stages.setdefault(name, []).append(value)
    return wall, cpu, stages


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    count = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "deep.fac.yaml"
        path.write_text(text(LAYERS))
        wall, cpu, stages = measure(path, count)
    print(table(("process", "wall ms", "middle half", "CPU ms"), (line(n, wall[n], cpu[n]) for n in wall)))
    print("\n" + table(("stage", "CPU ms", "middle half"), (line(n, v) for n, v in stages.items())))
    met = "yes" if median(wall["fac check"]) < 1000 * TARGET else "**no**"
    print(f"\n`fac check` on {LAYERS} layers in less than {TARGET} s: {met}")
    found = {"wall": wall, "cpu": cpu, "stages": stages}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": machine(), "milliseconds": rounded(found)}, indent=1) + "\n")


def line(name: str, values: list[float], *others: list[float]) -> tuple[str, ...]:
    """Median and middle half; medians of the others."""
    low, high = quartiles(values)
    return name, f"{median(values):.0f}", f"{low:.0f} to {high:.0f}", *(f"{median(o):.0f}" for o in others)


def rounded(samples: dict[str, Samples]) -> dict[str, Samples]:
    """A tenth of a millisecond is enough."""
    return {
        kind: {name: [round(v, 1) for v in values] for name, values in named.items()}
        for kind, named in samples.items()
    }


if __name__ == "__main__":
    main()
