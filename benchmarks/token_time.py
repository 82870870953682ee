"""Time of one training step of networks of tokens: emitted rules against backpropagation by eager torch.

64 tokens of 48 numbers, the patches of 4 x 4 of 3 x 32 x 32, batch 64, cross-entropy over 10 classes, SGD with momentum
0.9, float32, one thread, process CPU time. An embedding of 384, two pre-norm blocks, a norm, the mean over tokens and a
linear head. The baseline is what a torch user writes: modules, autograd, `torch.optim.SGD(fused=True)`, under the
setting of float32 products that a session of fac uses, and under torch's own.

* `mlp`: in each block a residual of layer norm, linear 768, GELU, linear 384.
* `transformer`: before that a residual of layer norm and attention with 8 heads, a block of a vision transformer. Eager
  torch has `torch.nn.MultiheadAttention`, which calls `scaled_dot_product_attention`.

Before it is timed, every contender is checked in float64: backprop against autograd, the other rules against the NumPy
reference; steps by onnxruntime, which has no kernel for GELU in float64, are checked in float32 against those of torch.
While it is timed the learning rate is 0, as in `step_time`.

    python -m benchmarks.token_time
    python -m benchmarks.token_time --rounds 40
    python -m benchmarks.token_time --profile "ldfa, rank 16"    # milliseconds by line of the step
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import fac
from benchmarks.eager import EagerTraining, deviation, flagged
from benchmarks.line_times import line_times
from benchmarks.machine import machine, one_thread, quartiles, ratio, rounds, table
from fac.backend import Precision, Session
from fac.pipeline import lowered

RESULTS = Path(__file__).parent / "results" / "token_time.json"
BATCH, CLASSES, LR, TIMED_LR, MOMENTUM = 64, 10, 0.05, 0.0, 0.9
RULES: dict[str, dict[str, Any]] = {
    "bp": {"rule": "bp"},
    "dfa": {"rule": "dfa"},
    "ldfa, rank 16": {"rule": "ldfa", "rank": 16},
    "ldfa fixed, rank 16": {"rule": "ldfa", "rank": 16, "learn": "fixed"},
}
EAGER, DEFAULT = "eager, same flags", "eager, default flags"
BY_ONNX = ("bp", "dfa", "ldfa, rank 16")
"""Rules that are timed by onnxruntime too, for which there is no target."""
TARGETS = {"bp": 1.0, "ldfa, rank 16": 1.2}
"""How many times faster than eager a step shall be."""
CHECKED_STEPS, TOLERANCE = 3, 1e-9
ONNX_TOLERANCE = 1e-5
"""In float32, relative to the largest entry of a parameter."""


@dataclass(frozen=True)
class Size:
    """Of a network."""

    tokens: int = 64
    reads: int = 48
    width: int = 384
    wide: int = 768
    depth: int = 2
    heads: int = 8


SMALL = Size(5, 4, 8, 12, heads=2)
"""For checks."""


class Residual(nn.Module):
    """X + body(x)."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        """The sum."""
        total: Tensor = x + self.body(x)
        return total


class SelfAttention(nn.Module):
    """Of PyTorch."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """[N, T, d]."""
        found: Tensor = self.attention(x, x, x, need_weights=False)[0]
        return found


class MeanOfTokens(nn.Module):
    """[N, T, d] -> [N, d]."""

    def forward(self, x: Tensor) -> Tensor:
        """Over the tokens."""
        return x.mean(1)


def mlp(size: Size) -> tuple[list[dict[str, Any]], Callable[[], list[nn.Module]]]:
    """A block as the spec writes it, and what makes its modules."""
    body = [
        {"kind": "layer_norm"},
        {"kind": "linear", "name": "up", "out": size.wide},
        {"kind": "gelu"},
        {"kind": "linear", "name": "down", "out": size.width},
    ]

    def modules() -> list[nn.Module]:
        up, down = nn.Linear(size.width, size.wide), nn.Linear(size.wide, size.width)
        return [Residual(nn.LayerNorm(size.width), up, nn.GELU(), down)]

    return [{"kind": "residual", "name": "mlp", "body": body}], modules


def transformer(size: Size) -> tuple[list[dict[str, Any]], Callable[[], list[nn.Module]]]:
    """Attention before that."""
    feed, others = mlp(size)
    body = [{"kind": "layer_norm"}, {"kind": "attention", "name": "attn", "heads": size.heads}]

    def modules() -> list[nn.Module]:
        return [Residual(nn.LayerNorm(size.width), SelfAttention(size.width, size.heads)), *others()]

    return [{"kind": "residual", "name": "mix", "body": body}, *feed], modules


NETWORKS = {"mlp": mlp, "transformer": transformer}


def spec(rule: str, network: str, size: Size) -> dict[str, Any]:
    """A rule on a network."""
    block, _ = NETWORKS[network](size)
    return {
        "fac": 1,
        "name": "token-time",
        "input": {"shape": [size.tokens, size.reads]},
        "layers": [
            {"kind": "linear", "name": "embed", "out": size.width},
            {"kind": "repeat", "name": "block", "times": size.depth, "body": block},
            {"kind": "layer_norm", "name": "norm"},
            {"kind": "mean", "axes": [0]},
            {"kind": "linear", "name": "logits", "out": CLASSES},
        ],
        "loss": {"kind": "cross_entropy"},
        "feedback": RULES[rule],
        "update": {"rule": "sgd", "lr": LR, "momentum": MOMENTUM},
    }


def session(text: dict[str, Any], backend: str, precision: Precision) -> Session:
    """On the CPU."""
    return fac.compile(text, backend=backend, precision=precision).open(device="cpu")


class Eager(EagerTraining):
    """The same network in the way that a torch user writes it."""

    def __init__(self, network: str, size: Size, dtype: torch.dtype, lr: float) -> None:
        """Weights as torch draws them."""
        _, modules = NETWORKS[network](size)
        blocks = [module for _ in range(size.depth) for module in modules()]
        ends = nn.LayerNorm(size.width), MeanOfTokens(), nn.Linear(size.width, CLASSES)
        self.net = nn.Sequential(nn.Linear(size.reads, size.width), *blocks, *ends).to(dtype)
        self.optimiser = torch.optim.SGD(self.net.parameters(), lr=lr, momentum=MOMENTUM, fused=True)
        program = lowered(fac.load(spec("bp", network, size)))
        self.names = [tensor.name for node in program.nodes for tensor in node.tensors]

    def state(self) -> dict[str, Any]:
        """Under the names of fac, in whose order modules have their parameters."""
        found = (p.detach().numpy() for p in self.net.parameters())
        return dict(zip(self.names, found, strict=True))


def batch(size: Size, dtype: str, count: int = BATCH) -> tuple[Any, Any]:
    """Noise with labels: what is in a batch does not change how long a step takes."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((count, size.tokens, size.reads)).astype(dtype)
    return x, rng.integers(0, CLASSES, count)


def check(rule: str, network: str) -> float:
    """Largest relative difference of a parameter after some steps in float64, from autograd or the reference.

    Raises:
        AssertionError: it is too large for rounding.
    """
    x, y = batch(SMALL, "float64", 5)
    ours = session(spec(rule, network, SMALL), "torch", "float64")
    step = partial(ours.step, x, y)
    if rule == "bp":
        eager = Eager(network, SMALL, torch.float64, LR)
        ours.load_state({**ours.state(), **eager.state()})
        other = partial(eager.step, torch.from_numpy(x), torch.from_numpy(y))
        return deviation(rule, step, ours, other, eager, CHECKED_STEPS, TOLERANCE)
    reference = session(spec(rule, network, SMALL), "reference", "float64")
    return deviation(rule, step, ours, partial(reference.step, x, y), reference, CHECKED_STEPS, TOLERANCE)


def check_onnx(rule: str, network: str) -> float:
    """The same between onnxruntime and torch, in float32.

    Raises:
        AssertionError: it is too large for rounding.
    """
    x, y = batch(SMALL, "float32", 5)
    one, other = (session(spec(rule, network, SMALL), backend, "float32") for backend in ("onnx", "torch"))
    steps = partial(one.step, x, y), partial(other.step, x, y)
    return deviation(rule, steps[0], one, steps[1], other, CHECKED_STEPS, ONNX_TOLERANCE)


def contenders(network: str, size: Size) -> dict[str, Callable[[], object]]:
    """A step of each rule, and of eager backpropagation."""
    x, y = batch(size, "float32")
    found: dict[str, Callable[[], object]] = {}
    for rule in RULES:
        one = session(spec(rule, network, size), "torch", "float32")
        found[rule] = partial(one.step, one.place(x), one.place(y), TIMED_LR)
    for rule in BY_ONNX:
        by_onnx = session(spec(rule, network, size), "onnx", "float32")
        found[f"onnx {rule}"] = partial(by_onnx.step, by_onnx.place(x), by_onnx.place(y), TIMED_LR)
    mode: str = one.matmul  # type: ignore[attr-defined]
    tensors = torch.from_numpy(x), torch.from_numpy(y)
    for name, flags in ((EAGER, mode), (DEFAULT, "highest")):
        found[name] = partial(flagged, Eager(network, size, torch.float32, TIMED_LR), tensors, flags)
    return found


def rows(times: dict[str, list[float]]) -> list[tuple[object, ...]]:
    """One line per contender: its time, and how many times faster it is than eager and than emitted backpropagation."""
    found: list[tuple[object, ...]] = []
    for name, values in times.items():
        low, high = (1000 * s for s in quartiles(values))
        gains = [ratio(times[base], values) for base in (EAGER, DEFAULT, "bp")]
        target = TARGETS.get(name)
        met = "–" if target is None else f"≥ {target}: {'yes' if gains[0] >= target else '**no**'}"
        shown = f"{1000 * median(values):.1f}", f"{low:.1f} to {high:.1f}"
        found.append((name, *shown, *(f"{g:.2f}" for g in gains), met))
    return found


def main() -> None:
    """Check, measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tokens", type=int, default=Size.tokens)
    parser.add_argument(
        "--profile", metavar="RULE", choices=RULES, help="time each line of the emitted step instead"
    )
    given = parser.parse_args()
    one_thread()
    size = Size(given.tokens)
    if given.profile:
        for network in given.networks:
            text = spec(given.profile, network, size)
            lines = line_times(fac.compile(text, backend="torch"), *batch(size, "float32"))
            print(f"{given.profile}, {network}\n\n{lines}\n", flush=True)
        return
    errors = [check(rule, network) for rule in RULES for network in given.networks]
    by_onnx = [check_onnx(rule, network) for rule in BY_ONNX for network in given.networks]
    print(
        f"{CHECKED_STEPS} steps, largest relative difference: {max(errors):.0e} in float64, "
        f"of onnxruntime in float32 {max(by_onnx):.0e}\n"
    )
    results: dict[str, Any] = {"machine": machine(), "rounds": given.rounds, "milliseconds": {}}
    head = ("contender", "ms per step", "middle half", f"vs {EAGER}", f"vs {DEFAULT}", "vs fac bp", "target")
    for network in given.networks:
        times = rounds(contenders(network, size), given.rounds)
        results["milliseconds"][network] = {k: [round(1000 * v, 3) for v in vs] for k, vs in times.items()}
        print(f"{network}\n\n{table(head, rows(times))}\n", flush=True)
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results["machine"]))


if __name__ == "__main__":
    main()
