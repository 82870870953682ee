"""Time of `fac check`: the whole process on 100 layers, each stage in a fresh one, long specs, and many files.

    python -m benchmarks.check_speed

Targets: 100 layers in 0.35 s, 10,000 in 5 s and never more than n log n, a block of five layers repeated 1,000 times in
1 s, 500 files of 21 layers in 10 s. Wall time is
what a user waits, and is right on an idle machine only; CPU time stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from itertools import pairwise
from math import log
from pathlib import Path
from statistics import linear_regression, median
from time import perf_counter

from benchmarks.machine import machine, quartiles, table

RESULTS = Path(__file__).parent / "results" / "check_speed.json"
LAYERS = 100
MANY_LAYERS = (2_500, 5_000, 10_000, 20_000)
BLOCKS = 1_000
BLOCKS_KEY = f"{BLOCKS:,} blocks"
FILES = 500
FILES_KEY = f"{FILES} files"
FILE_LAYERS = 21
SECONDS = {"process": 0.35, "10,000 layers": 5.0, "1,000 blocks": 1.0, "500 files": 10.0}
"""Targets, of wall time."""
EXPONENT = 1.15
"""Of the growth between the shortest and the longest spec: n log n has 1.12 there."""
Samples = dict[str, list[float]]


def text(layers: int, each: int = 1) -> str:
    """A spec of so many layers, every other one with weights, and routes written out for those, or each third."""
    weighted = layers // 2
    lines = ["fac: 1", "name: deep", "input: {shape: [784]}", "layers:"]
    for i in range(weighted):
        out = 10 if i == weighted - 1 else 256
        lines += ["  - {kind: relu}"] if i else ["  - {kind: dropout, rate: 0.1}"]
        lines.append(f"  - {{kind: linear, name: fc{i}, out: {out}}}")
    lines += ["loss: {kind: cross_entropy}", "feedback:", "  routes:"]
    lines += [
        f"    - {{through: fc{i}, matrix: {{kind: low_rank, rank: 10}}}}" for i in range(1, weighted, each)
    ]
    lines += ["update: {rule: sgd, lr: 0.05, momentum: 0.9}", "constraints: {max_rank: 10}"]
    return "\n".join(lines) + "\n"


def repeated(times: int) -> str:
    """A spec of a residual block that is repeated so many times."""
    return f"""\
fac: 1
name: blocks
input: {{shape: [784]}}
layers:
  - {{kind: linear, name: stem, out: 64}}
  - kind: repeat
    name: block
    times: {times}
    body:
      - kind: residual
        body: [{{kind: linear, name: fc1, out: 64}}, {{kind: relu}}, {{kind: linear, name: fc2, out: 64}}]
      - {{kind: relu}}
  - {{kind: linear, name: logits, out: 10}}
loss: {{kind: cross_entropy}}
feedback: {{rule: dfa}}
update: {{rule: sgd, lr: 0.05}}
"""


def process(command: list[str]) -> tuple[float, float, str]:
    """Wall and CPU milliseconds of a process, and what it printed."""
    # Without its byte code every run would compile all modules again, which no user's does.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    before, begun = os.times(), perf_counter()
    printed = subprocess.run(command, capture_output=True, check=True, text=True, env=environment).stdout
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


def measure_growth(folder: Path, count: int) -> Samples:
    """Milliseconds, wall and CPU by turns, of whole processes on long specs and on many files."""
    found: Samples = {}
    small = folder / "many"
    small.mkdir()
    for number in range(FILES):
        (small / f"{number}.fac.yaml").write_text(text(FILE_LAYERS))
    places = {FILES_KEY: small, BLOCKS_KEY: folder / "blocks.fac.yaml"}
    places[BLOCKS_KEY].write_text(repeated(BLOCKS))
    for layers in MANY_LAYERS:
        places[f"{layers:,} layers"] = folder / f"{layers}.fac.yaml"
        places[f"{layers:,} layers"].write_text(text(layers, each=3))  # all would be more than 1 MB
    for _ in range(count):
        for name, place in places.items():
            wall, cpu, _ = process(
                [sys.executable, "-m", "fac", "check", "--isolated", "--exit-zero", str(place)]
            )
            found.setdefault(name, []).append(wall)
            found.setdefault(f"{name}, CPU", []).append(cpu)
    return found


def exponent(growth: Samples) -> float:
    """The p of the time a + b n^p for n layers: what a doubling adds grows by 2^p to the next one, whatever a is."""
    times = [median(growth[f"{layers:,} layers, CPU"]) for layers in MANY_LAYERS]
    added = [log(after - before) for before, after in pairwise(times)]
    return linear_regression([log(layers) for layers in MANY_LAYERS[1:]], added).slope


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    count = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "deep.fac.yaml"
        path.write_text(text(LAYERS))
        wall, cpu, stages = measure(path, count)
        growth = measure_growth(Path(folder), max(1, count // 5))
    print(table(("process", "wall ms", "middle half", "CPU ms"), (line(n, wall[n], cpu[n]) for n in wall)))
    print("\n" + table(("stage", "CPU ms", "middle half"), (line(n, v) for n, v in stages.items())))
    print(
        "\n"
        + table(("spec", "wall s", "CPU s"), (seconds(name, growth) for name in growth if "CPU" not in name))
    )
    for fewer, more in pairwise(MANY_LAYERS):
        added = median(growth[f"{more:,} layers, CPU"]) - median(growth[f"{fewer:,} layers, CPU"])
        print(f"from {fewer:,} to {more:,} layers: {1000 * added / (more - fewer):.0f} us for each")
    power = exponent(growth)
    met = "yes" if power <= EXPONENT else "**no**"
    print(f"\nthat grows as layers ** {power:.2f}, at most {EXPONENT}: {met}")
    times = {
        "process": wall["fac check"],
        "10,000 layers": growth["10,000 layers"],
        BLOCKS_KEY: growth[BLOCKS_KEY],
        FILES_KEY: growth[FILES_KEY],
    }
    for name, target in SECONDS.items():
        met = "yes" if median(times[name]) <= 1000 * target else "**no**"
        print(f"{name} in at most {target:g} s: {met}")
    found = {"wall": wall, "cpu": cpu, "stages": stages, "growth": growth}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": machine(), "milliseconds": rounded(found)}, indent=1) + "\n")


def line(name: str, values: list[float], *others: list[float]) -> tuple[str, ...]:
    """Median and middle half; medians of the others."""
    low, high = quartiles(values)
    return name, f"{median(values):.0f}", f"{low:.0f} to {high:.0f}", *(f"{median(o):.0f}" for o in others)


def seconds(name: str, growth: Samples) -> tuple[str, str, str]:
    """A row of the table of long specs."""
    return name, f"{median(growth[name]) / 1000:.2f}", f"{median(growth[f'{name}, CPU']) / 1000:.2f}"


def rounded(samples: dict[str, Samples]) -> dict[str, Samples]:
    """A tenth of a millisecond is enough."""
    return {
        kind: {name: [round(v, 1) for v in values] for name, values in named.items()}
        for kind, named in samples.items()
    }


if __name__ == "__main__":
    main()
