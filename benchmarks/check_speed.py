"""Time of `fac check` on a spec of 100 layers: the whole process, and each stage within one.

python -m benchmarks.check_speed              # target: the whole process in less than 0.5 s
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.machine import machine, quartiles, table
from fac import source
from fac.checks import run_checks
from fac.program.lower import lower
from fac.spec.model import ModelSpec

RESULTS = Path(__file__).parent / "results" / "check_speed.json"
TARGET = 0.5
LAYERS = 100


def text(layers: int) -> str:
    """A spec of so many layers, with a route through each that has weights, written out."""
    weighted = layers // 2
    lines = ["fac: 1", "name: deep", "input: {shape: [784]}", "layers:"]
    for i in range(weighted):
        out = 10 if i == weighted - 1 else 256
        lines.append(f"  - {{kind: linear, name: fc{i}, out: {out}}}")
        lines += ["  - {kind: relu}"] if i < weighted - 1 else []
    lines += ["  - {kind: dropout, rate: 0.0}"] * (layers - 2 * weighted)
    lines += ["loss: {kind: cross_entropy}", "feedback:", "  routes:"]
    lines += [f"    - {{through: fc{i}, matrix: {{kind: low_rank, rank: 10}}}}" for i in range(1, weighted)]
    lines += ["update: {rule: sgd, lr: 0.05, momentum: 0.9}", "constraints: {max_rank: 10}"]
    return "\n".join(lines) + "\n"


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Wall seconds, and what came of it."""
    begun = perf_counter()
    found = call()
    return perf_counter() - begun, found


def stages(path: Path) -> dict[str, float]:
    """Seconds of each stage of one check."""
    read, document = timed(lambda: source.read(str(path)))
    parse, spec = timed(lambda: ModelSpec.model_validate(document.data))
    lowering, program = timed(lambda: lower(spec))
    checking, findings = timed(lambda: run_checks(program))
    assert not findings, findings
    return {"read": read, "parse": parse, "lower": lowering, "checks": checking}


def processes(path: Path, count: int) -> dict[str, list[float]]:
    """Wall seconds of whole processes: Python alone, `fac --version`, and `fac check`."""
    fac = [sys.executable, "-m", "fac"]
    commands = {
        "python alone": [sys.executable, "-c", "pass"],
        "fac --version": [*fac, "--version"],
        "fac check": [*fac, "check", str(path)],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(count + 1):
        for name, command in commands.items():
            seconds[name].append(
                timed(lambda command=command: subprocess.run(command, capture_output=True, check=True))[0]  # type: ignore[misc]
            )
    return {name: values[1:] for name, values in seconds.items()}


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    count = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "deep.fac.yaml"
        path.write_text(text(LAYERS))
        whole = processes(path, count)
        inside = [stages(path) for _ in range(count + 1)]
    samples = whole | {f"- {name}": [run[name] for run in inside[1:]] for name in inside[0]}
    lines = []
    for name, values in samples.items():
        low, high = quartiles(values)
        lines.append((name, f"{1000 * median(values):.0f}", f"{1000 * low:.0f} to {1000 * high:.0f}"))
    print(table((f"{LAYERS} layers", "ms", "middle half"), lines))
    met = "yes" if median(whole["fac check"]) < TARGET else "**no**"
    print(f"\n`fac check` in less than {TARGET} s: {met}")
    kept = {name: [round(1000 * v, 1) for v in values] for name, values in samples.items()}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": machine(), "milliseconds": kept}, indent=1) + "\n")


if __name__ == "__main__":
    main()
