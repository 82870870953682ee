"""`fac report` of 50 runs of 100 epochs: CPU time of the whole command, and bytes of the page.

The folders are copies of one training of the digits, with logs of random numbers and the rule and the seed changed; the
network of the first run of each of six settings is measured on its test data. Target: 5 s and 3 MB.

    python -m benchmarks.report
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fac
from benchmarks.machine import machine, one_thread, table

RESULTS = Path(__file__).parent / "results" / "report.json"
RUNS, EPOCHS = 50, 100
SECONDS, BYTES = 5.0, 3_000_000
SPEC: dict[str, Any] = {
    "fac": 1,
    "name": "digits",
    "input": {"shape": [64]},
    "layers": [
        {"kind": "linear", "name": "fc1", "out": 48},
        {"kind": "relu"},
        {"kind": "linear", "name": "fc2", "out": 48},
        {"kind": "relu"},
        {"kind": "linear", "name": "logits", "out": 10},
    ],
    "loss": {"kind": "cross_entropy"},
    "feedback": {"rule": "ldfa", "rank": 4},
    "update": {"rule": "sgd", "lr": 0.05},
    "data": {"source": "digits"},
    "probes": [{"kind": "alignment"}, {"kind": "captured_energy"}, {"kind": "effective_rank"}],
    "train": {"epochs": 1, "batch": 64},
}


def folders(place: Path, settings: int) -> None:
    """Runs of so many settings, each with equally many seeds."""
    fac.train(SPEC, out=place / "one", backend="reference")
    first = json.loads((place / "one/metrics.jsonl").read_text().splitlines()[-1])
    draw = random.Random(0)
    for number in range(RUNS):
        seed, setting = divmod(number, settings)
        path = place / "runs" / f"{setting}-{seed}"
        shutil.copytree(place / "one", path)
        spec = SPEC | {
            "feedback": {"rule": "ldfa", "rank": 2 + setting % 8},
            "update": {"rule": "sgd", "lr": 0.05 * (1 + setting // 8)},
            "train": {"epochs": EPOCHS, "batch": 64, "seed": seed},
        }
        (path / "spec.fac.yaml").write_text(json.dumps(spec))
        lines = []
        for epoch in range(1, EPOCHS + 1):
            row = {
                name: value * draw.uniform(0.5, 1.5) if isinstance(value, float) else value
                for name, value in first.items()
            }
            lines.append(json.dumps(row | {"epoch": epoch, "step": 21 * epoch}) + "\n")
        (path / "metrics.jsonl").write_text("".join(lines))


def measured(settings: int) -> dict[str, Any]:
    """CPU seconds of the command, and bytes of the page."""
    with TemporaryDirectory() as name:
        place = Path(name)
        folders(place, settings)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        call = [sys.executable, "-m", "fac", "report", str(place / "runs"), "-o", str(place / "report.html")]
        subprocess.run(call, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        return {
            "settings": settings,
            "runs": RUNS,
            "epochs": EPOCHS,
            "cpu_seconds": seconds,
            "bytes": (place / "report.html").stat().st_size,
        }


def main() -> None:
    """Measure, print, and say whether the target is met."""
    found = [measured(settings) for settings in (5, 10, 50)]
    RESULTS.write_text(json.dumps({"machine": machine(), "rows": found}, indent=1) + "\n")
    header = ("settings", "runs", "epochs", "CPU s", "MB")
    rows = [
        (r["settings"], r["runs"], r["epochs"], f"{r['cpu_seconds']:.1f}", f"{r['bytes'] / 1e6:.2f}")
        for r in found
    ]
    print(table(header, rows))
    met = all(row["cpu_seconds"] < SECONDS and row["bytes"] < BYTES for row in found)
    print(f"\n{SECONDS:g} s and {BYTES / 1e6:g} MB: {'met' if met else 'missed'}")


if __name__ == "__main__":
    one_thread()
    main()
