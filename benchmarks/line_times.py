"""CPU time of each line of an emitted torch step: where a step spends its time, and what is worth a look.

python -m benchmarks.line_times vgg8 ldfa    # a case of `fac bench`, and a rule of it
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from time import process_time
from types import FrameType
from typing import Any

from benchmarks.machine import one_thread, table
from fac.backend import Artifact
from fac.bench.cases import CASES, made
from fac.pipeline import compile

STEPS, SHOWN = 7, 0.01


def line_times(artifact: Artifact, x: Any, y: Any) -> str:
    """A table of the lines that take at least 1 % of a step: the least of some steps each, in milliseconds.

    Args:
        artifact: made by the torch backend.
        x: the batch.
        y: its labels.
    """
    session = artifact.open(device="cpu")
    placed = session.place(x), session.place(y)
    session.step(*placed, 0.0)
    least: dict[int, float] = defaultdict(lambda: float("inf"))
    for _ in range(STEPS):
        for line, seconds in _one(lambda: session.step(*placed, 0.0)).items():
            least[line] = min(least[line], seconds)
    total = sum(least.values())
    text: list[str] = artifact.source.splitlines()  # type: ignore[attr-defined]
    rows = [
        (f"`{text[line - 1].strip().partition('  #')[0]}`", f"{1000 * s:.2f}", f"{100 * s / total:.0f} %")
        for line, s in sorted(least.items(), key=lambda entry: -entry[1])
        if s >= SHOWN * total
    ]
    return table(("line", "ms", "part"), [*rows, ("all", f"{1000 * total:.1f}", "")])


def _one(step: Any) -> dict[int, float]:
    """Seconds of each line of emitted code in one call."""
    found: dict[int, float] = defaultdict(float)
    last: tuple[int, float] | None = None

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal last
        if not frame.f_code.co_filename.startswith("<fac "):
            return None
        now = process_time()
        if last is not None:
            found[last[0]] += now - last[1]
        last = None if event == "return" else (frame.f_lineno, process_time())
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        step()
    finally:
        sys.settrace(before)
    return found


def main() -> None:
    """Of a case by a rule."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("rule")
    given = parser.parse_args()
    case, _ = made(given.case)
    if given.rule not in case.rules:
        parser.error(f"`{given.case}` has no rule `{given.rule}`, but {', '.join(case.rules)}")
    one_thread()
    ((x, y),) = case.batches(1, "float32")
    print(line_times(compile(case.spec(given.rule), backend="torch"), x, y))


if __name__ == "__main__":
    main()
