"""Time of one training step of convolutional networks: emitted rules against backpropagation by eager torch.

3 x 32 x 32, batch 64, cross-entropy over 10 classes, SGD with momentum 0.9, float32, one thread, process CPU time. The
baseline is what a torch user writes: `nn.Sequential` in `channels_last`, autograd, `torch.optim.SGD(fused=True)`. Two
networks, each with and without batch normalisation:

* `conv3`: 64, 64 and 128 channels, 3 x 3, a max pool behind each;
* `vgg8`: 64, 64, 128, 128, 256, 256, 512, 512 channels, 3 x 3, a max pool behind every second.

Before it is timed, every contender is checked in float64: backprop against autograd, the other rules against the NumPy
reference. While it is timed the learning rate is 0, as in `step_time`.

    python -m benchmarks.conv_time
    python -m benchmarks.conv_time --networks conv3 --rounds 40
    python -m benchmarks.conv_time --profile "ldfa, rank 16" --networks conv3    # milliseconds by line of the step
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

import fac
from benchmarks.eager import EagerTraining, deviation
from benchmarks.line_times import line_times
from benchmarks.machine import machine, one_thread, quartiles, ratio, rounds, table
from fac.backend import Precision, Session

RESULTS = Path(__file__).parent / "results" / "conv_time.json"
BATCH, SIDE, LR, TIMED_LR, MOMENTUM = 64, 32, 0.05, 0.0, 0.9
NETWORKS: dict[str, tuple[int | None, ...]] = {
    "conv3": (64, None, 64, None, 128, None),
    "vgg8": (64, 64, None, 128, 128, None, 256, 256, None, 512, 512, None),
}
"""Channels of convolutions, and None for a max pool."""
RULES: dict[str, dict[str, Any]] = {
    "bp": {"rule": "bp"},
    "dfa": {"rule": "dfa"},
    "ldfa, rank 16": {"rule": "ldfa", "rank": 16},
    "ldfa fixed, rank 16": {"rule": "ldfa", "rank": 16, "learn": "fixed"},
}
BY_ONNX = ("bp", "dfa", "ldfa, rank 16")
"""Rules that are timed by onnxruntime too, for which there is no target."""
EAGER = "eager, channels_last"
TARGETS = {("bp", False): 1.0, ("dfa", False): 1.2, ("ldfa, rank 16", False): 1.2} | {
    ("bp", True): 1.0, ("dfa", True): 1.2, ("ldfa, rank 16", True): 1.1
}  # fmt: skip
"""By rule and whether there is batch normalisation: how many times faster than eager a step shall be."""
CHECKED_STEPS, TOLERANCE = 3, 1e-9


def spec(rule: str, channels: tuple[int | None, ...], norm: bool, side: int) -> dict[str, Any]:
    """A rule on a network; the last layers flatten, and map to 10 classes."""
    layers: list[dict[str, Any]] = []
    for i, count in enumerate(channels, 1):
        if count is None:
            layers.append({"kind": "max_pool2d", "kernel": 2})
            continue
        layers.append(
            {"kind": "conv2d", "name": f"c{i}", "out": count, "kernel": 3, "padding": 1, "bias": not norm}
        )
        layers += [{"kind": "batch_norm", "name": f"n{i}"}] * norm + [{"kind": "relu"}]
    return {
        "fac": 1,
        "name": "conv-time",
        "input": {"shape": [3, side, side]},
        "layers": [*layers, {"kind": "flatten"}, {"kind": "linear", "name": "logits", "out": 10}],
        "loss": {"kind": "cross_entropy"},
        "feedback": RULES[rule],
        "update": {"rule": "sgd", "lr": LR, "momentum": MOMENTUM},
    }


def session(text: dict[str, Any], backend: str, precision: Precision) -> Session:
    """On the CPU."""
    return fac.compile(text, backend=backend, precision=precision).open(device="cpu")


class Eager(EagerTraining):
    """The same network in the way that a torch user writes it."""

    def __init__(
        self, channels: tuple[int | None, ...], norm: bool, side: int, dtype: torch.dtype, lr: float
    ) -> None:
        """Weights as torch draws them."""
        layers: dict[str, nn.Module] = {}
        wide = 3
        for i, count in enumerate(channels, 1):
            if count is None:
                layers[f"p{i}"], side = nn.MaxPool2d(2), side // 2
                continue
            layers[f"c{i}"] = nn.Conv2d(wide, count, 3, padding=1, bias=not norm)
            layers |= {f"n{i}": nn.BatchNorm2d(count)} if norm else {}
            layers[f"r{i}"] = nn.ReLU(inplace=True)
            wide = count
        net = nn.Sequential()
        for name, layer in layers.items():
            net.add_module(name, layer)
        net.add_module("flatten", nn.Flatten())
        net.add_module("logits", nn.Linear(wide * side * side, 10))
        self.net = net.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.SGD(self.net.parameters(), lr=lr, momentum=MOMENTUM, fused=True)

    def state(self) -> dict[str, Any]:
        """Under the names of fac, which are those of torch."""
        return {k: v.detach().numpy() for k, v in self.net.state_dict().items() if v.is_floating_point()}


def batch(side: int, dtype: str, size: int = BATCH) -> tuple[Any, Any]:
    """Noise with labels: what is in a batch does not change how long a step takes."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((size, 3, side, side)).astype(dtype), rng.integers(0, 10, size)


def check(rule: str, norm: bool) -> float:
    """Largest relative difference of a parameter after some steps in float64, from autograd or the reference.

    Raises:
        AssertionError: it is too large for rounding.
    """
    channels, side, size = (6, None, 5, 7, None), 8, 5
    x, y = batch(side, "float64", size)
    ours = session(spec(rule, channels, norm, side), "torch", "float64")
    step = partial(ours.step, x, y)
    if rule == "bp":
        eager = Eager(channels, norm, side, torch.float64, LR)
        ours.load_state({**ours.state(), **eager.state()})
        laid_out = torch.from_numpy(x).contiguous(memory_format=torch.channels_last)
        other = partial(eager.step, laid_out, torch.from_numpy(y))
        return deviation(rule, step, ours, other, eager, CHECKED_STEPS, TOLERANCE)
    reference = session(spec(rule, channels, norm, side), "reference", "float64")
    return deviation(rule, step, ours, partial(reference.step, x, y), reference, CHECKED_STEPS, TOLERANCE)


def contenders(network: str, norm: bool) -> dict[str, Callable[[], object]]:
    """A step of each rule, and of eager backpropagation."""
    x, y = batch(SIDE, "float32")
    found: dict[str, Callable[[], object]] = {}
    for rule in RULES:
        one = session(spec(rule, NETWORKS[network], norm, SIDE), "torch", "float32")
        found[rule] = partial(one.step, one.place(x), one.place(y), TIMED_LR)
    for rule in BY_ONNX:
        one = session(spec(rule, NETWORKS[network], norm, SIDE), "onnx", "float32")
        found[f"onnx {rule}"] = partial(one.step, one.place(x), one.place(y), TIMED_LR)
    eager = Eager(NETWORKS[network], norm, SIDE, torch.float32, TIMED_LR)
    laid_out = torch.from_numpy(x).contiguous(memory_format=torch.channels_last)
    found[EAGER] = partial(eager.step, laid_out, torch.from_numpy(y))
    return found


def rows(times: dict[str, list[float]], norm: bool) -> list[tuple[object, ...]]:
    """One line per contender: its time, and how many times faster it is than eager and than emitted backpropagation."""
    found: list[tuple[object, ...]] = []
    for name, values in times.items():
        low, high = (1000 * s for s in quartiles(values))
        gains = [ratio(times[base], values) for base in (EAGER, "bp")]
        target = TARGETS.get((name, norm))
        met = "–" if target is None else f"≥ {target}: {'yes' if gains[0] >= target else '**no**'}"
        shown = f"{1000 * median(values):.1f}", f"{low:.1f} to {high:.1f}"
        found.append((name, *shown, *(f"{g:.2f}" for g in gains), met))
    return found


def main() -> None:
    """Check, measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--profile", metavar="RULE", choices=RULES, help="time each line of the emitted step instead"
    )
    given = parser.parse_args()
    one_thread()
    if given.profile:
        for network in given.networks:
            for norm in (False, True):
                text = spec(given.profile, NETWORKS[network], norm, SIDE)
                lines = line_times(fac.compile(text, backend="torch"), *batch(SIDE, "float32"))
                print(f"{given.profile}, {network}{', batch norm' * norm}\n\n{lines}\n", flush=True)
        return
    errors = [check(rule, norm) for rule in RULES for norm in (False, True)]
    print(f"float64 check, {CHECKED_STEPS} steps, largest relative difference: {max(errors):.0e}\n")
    results: dict[str, Any] = {"machine": machine(), "rounds": given.rounds, "milliseconds": {}}
    head = ("contender", "ms per step", "middle half", f"vs {EAGER}", "vs fac bp", "target")
    for network in given.networks:
        for norm in (False, True):
            name = f"{network}{', batch norm' * norm}"
            times = rounds(contenders(network, norm), given.rounds)
            results["milliseconds"][name] = {k: [round(1000 * v, 3) for v in vs] for k, vs in times.items()}
            print(f"{name}\n\n{table(head, rows(times, norm))}\n", flush=True)
            RESULTS.parent.mkdir(exist_ok=True)
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results["machine"]))


if __name__ == "__main__":
    main()
