"""What the trainer adds to a bare step, at W = 512: taking batches, schedule, reading losses, reporting.

The same steps from the same state, put back in each round, by the trainer's own loop and by a bare loop over batches
that were taken before, in interleaved rounds; one thread, process CPU time. Target: at most 5 %.

    python -m benchmarks.trainer
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import fac
from benchmarks.accuracy_rows import DENSE
from benchmarks.machine import machine, one_thread, quartiles, rounds, table
from fac.training.dataset import Split
from fac.training.logs import Listener
from fac.training.stepping import Stepping

RESULTS = Path(__file__).parent / "results" / "trainer.json"
STEPS, TARGET = 100, 0.05
RULES = ("bp", "ldfa oja_kp")


def overhead(rule: str, count: int) -> dict[str, Any]:
    """Milliseconds per step of both loops, and the overhead of each round."""
    row = next(row for row in DENSE.rows if row.name == rule)
    spec = fac.load(DENSE.spec(row, seed=0))
    session = fac.compile(spec, backend="torch", precision="float32").open(device="cpu")
    rng = np.random.default_rng(0)
    samples = STEPS * spec.train.batch
    split = Split(rng.standard_normal((samples, 784), dtype=np.float32), rng.integers(0, 10, samples))
    start = session.state()
    family = Stepping(session, split, spec)
    taken = [family.taken(step) for step in range(STEPS)]

    def bare() -> None:
        session.load_state(start)
        for step, batch in enumerate(taken):
            session.step(batch, lr=family.lr)
            assert session.steps == step + 1

    def trainer() -> None:
        session.load_state(start)
        assert family.run(Listener(), lambda: False, {}, lambda _: None).finished

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
    found = {rule: overhead(rule, count) for rule in RULES}
    lines = []
    for rule, figures in found.items():
        low, high = figures["middle half"]
        met = "yes" if figures["overhead"] <= TARGET else "**no**"
        lines.append(
            (
                rule,
                f"{figures['bare']:.2f}",
                f"{figures['trainer']:.2f}",
                f"{100 * figures['overhead']:.1f} %",
                f"{100 * low:.1f} to {100 * high:.1f} %",
                met,
            )
        )
    head = ("rule", "bare ms", "trainer ms", "overhead", "middle half", f"≤ {100 * TARGET:.0f} %")
    print(table(head, lines))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": machine(), "rules": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
