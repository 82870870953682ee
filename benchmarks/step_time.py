"""Time of one training step: emitted rules against backpropagation by eager torch, same and default matmul flags.

784-W-W-W-W-10, ReLU, batch 128, SGD with momentum 0.9, float32, one thread, process CPU time. Before it is timed, every
contender is checked in float64: backprop against autograd, the other rules against the NumPy reference. While it is
timed the learning rate is 0: a network that had fitted its one batch would be timed at errors too small for float32.

    python -m benchmarks.step_time                    # W = 512, 1024, 2048
    python -m benchmarks.step_time --widths 1024 --rounds 40
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

import fac
from benchmarks.eager import EagerTraining, deviation, flagged
from benchmarks.machine import machine, one_thread, quartiles, ratio, rounds, table
from fac.backend import Precision, Session

RESULTS = Path(__file__).parent / "results" / "step_time.json"
BATCH, LR, TIMED_LR, MOMENTUM = 128, 0.05, 0.0, 0.9
RULES: dict[str, dict[str, Any]] = {
    "bp": {"rule": "bp"},
    "fa": {"rule": "fa"},
    "dfa": {"rule": "dfa"},
    "ldfa, rank 10": {"rule": "ldfa", "rank": 10},
    "direct_ldfa, rank 10": {"rule": "direct_ldfa", "rank": 10},
}
SAME, DEFAULT = "eager, same flags", "eager, default flags"
TARGETS = {1024: 1.3, 2048: 1.4}
"""By width: how many times faster than eager with the same flags `dfa` and `ldfa` shall be."""
CHECKED_WIDTH, CHECKED_STEPS, TOLERANCE = 96, 5, 1e-9


def session(rule: str, width: int, backend: str, precision: Precision, device: str = "cpu") -> Session:
    """A rule on the network of this benchmark."""
    layers: list[dict[str, Any]] = []
    for i in range(4):
        layers += [{"kind": "linear", "name": f"fc{i + 1}", "out": width}, {"kind": "relu"}]
    spec = {
        "fac": 1,
        "name": "step-time",
        "input": {"shape": [784]},
        "layers": [*layers, {"kind": "linear", "name": "logits", "out": 10}],
        "loss": {"kind": "cross_entropy"},
        "feedback": RULES[rule],
        "update": {"rule": "sgd", "lr": LR, "momentum": MOMENTUM},
    }
    return fac.compile(spec, backend=backend, precision=precision).open(device=device)


Optimiser = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class Eager(EagerTraining):
    """The same network in the way that a torch user writes it."""

    def __init__(self, state: dict[str, Any], dtype: torch.dtype, optimiser: Optimiser | None = None) -> None:
        """Weights and biases as in `state`; SGD with momentum unless told otherwise."""
        names = [name.removesuffix(".weight") for name in state if name.endswith(".weight")]
        layers: list[nn.Module] = []
        for name in names:
            weight = torch.tensor(state[f"{name}.weight"], dtype=dtype)
            linear = nn.Linear(weight.shape[1], weight.shape[0], dtype=dtype)
            with torch.no_grad():
                linear.weight.copy_(weight)
                linear.bias.copy_(torch.tensor(state[f"{name}.bias"], dtype=dtype))
            layers += [linear, nn.ReLU()]
        self.net = nn.Sequential(*layers[:-1])
        self.names = names
        optimiser = optimiser or partial(torch.optim.SGD, lr=LR, momentum=MOMENTUM)
        self.optimiser = optimiser(self.net.parameters())

    def state(self) -> dict[str, Any]:
        """Weights and biases under the names of fac."""
        tensors = (p.detach().cpu().numpy() for p in self.net.parameters())
        keys = (f"{name}.{kind}" for name in self.names for kind in ("weight", "bias"))
        return dict(zip(keys, tensors, strict=True))


def batch(dtype: str, samples: int = BATCH) -> tuple[Any, Any]:
    """Noise with labels: what is in a batch does not change how long a step takes."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((samples, 784)).astype(dtype), rng.integers(0, 10, samples)


def check(rule: str, device: str = "cpu") -> float:
    """Largest relative difference of a parameter after some steps in float64, from autograd or the reference.

    Raises:
        AssertionError: it is too large for rounding.
    """
    x, y = batch("float64")
    ours = session(rule, CHECKED_WIDTH, "torch", "float64", device)
    step = partial(ours.step, x, y)
    if rule == "bp":
        eager = Eager(ours.state(), torch.float64)
        eager.net.to(device)
        other = partial(eager.step, *(torch.from_numpy(array).to(device) for array in (x, y)))
        return deviation(rule, step, ours, other, eager, CHECKED_STEPS, TOLERANCE)
    reference = session(rule, CHECKED_WIDTH, "reference", "float64")
    return deviation(rule, step, ours, partial(reference.step, x, y), reference, CHECKED_STEPS, TOLERANCE)


def repeated(call: Callable[[], object], times: int) -> Callable[[], None]:
    """Some steps in a row, as in training: one alone would find the weights out of the cache."""

    def turn() -> None:
        for _ in range(times):
            call()

    return turn


def measure(width: int, count: int) -> tuple[dict[str, list[float]], str]:
    """Milliseconds per step by contender and round, and the matmul setting that the backend chose."""
    x, y = batch("float32")
    contenders: dict[str, Callable[[], object]] = {}
    sessions = {rule: session(rule, width, "torch", "float32") for rule in RULES}
    for rule, one in sessions.items():
        placed = one.place(x), one.place(y)
        contenders[rule] = lambda one=one, placed=placed: one.step(*placed, TIMED_LR)  # type: ignore[misc]
    mode: str = sessions["bp"].matmul  # type: ignore[attr-defined]
    start = sessions["bp"].state()
    tensors = torch.from_numpy(x), torch.from_numpy(y)
    for name, flags in ((SAME, mode), (DEFAULT, "highest")):
        eager = Eager(start, torch.float32, partial(torch.optim.SGD, lr=TIMED_LR, momentum=MOMENTUM))
        contenders[name] = lambda eager=eager, flags=flags: flagged(eager, tensors, flags)  # type: ignore[misc]
    steps = max(2, 4096 // width)
    turns = {name: repeated(call, steps) for name, call in contenders.items()}
    seconds = rounds(turns, count)
    return {name: [1000 * s / steps for s in values] for name, values in seconds.items()}, mode


def rows(times: dict[str, list[float]], width: int) -> list[tuple[object, ...]]:
    """One line per contender: its time, and how many times faster it is than three baselines."""
    found: list[tuple[object, ...]] = []
    for name, values in times.items():
        low, high = quartiles(values)
        gains = [ratio(times[base], values) for base in (SAME, DEFAULT, "bp")]
        target = TARGETS.get(width) if name.startswith(("dfa", "ldfa")) else None
        met = "–" if target is None else f"≥ {target}: {'yes' if gains[0] >= target else '**no**'}"
        found.append(
            (name, f"{median(values):.2f}", f"{low:.2f} to {high:.2f}", *(f"{g:.2f}" for g in gains), met)
        )
    return found


def main() -> None:
    """Check, measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--widths", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args()
    one_thread()
    errors = {rule: check(rule) for rule in RULES}
    print(f"float64 check, {CHECKED_STEPS} steps, largest relative difference: {max(errors.values()):.0e}\n")
    results: dict[str, Any] = {"machine": machine(), "rounds": given.rounds, "milliseconds": {}}
    head = ("contender", "ms per step", "middle half", f"vs {SAME}", f"vs {DEFAULT}", "vs fac bp", "target")
    for width in given.widths:
        times, mode = measure(width, given.rounds)
        results["matmul"] = mode
        results["milliseconds"][width] = {k: [round(v, 3) for v in vs] for k, vs in times.items()}
        print(f"W = {width}, matmul precision `{mode}`\n\n{table(head, rows(times, width))}\n", flush=True)
    print(json.dumps(results["machine"]))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
