"""Time of one training step on a GPU: steps as CUDA graphs against backpropagation by eager and by compiled torch.

784-W-W-W-W-10, ReLU, SGD with momentum 0.9, float32, wall time to where the device is done. Before it is timed, every
rule is checked in float64 on the device: backprop against autograd, the others against the NumPy reference.

    python -m benchmarks.gpu                          # what `make test-gpu` ends with
    python -m benchmarks.gpu --products high          # in TF32, for all contenders
    python -m benchmarks.gpu --device cpu --rounds 3 --without-compiled    # that it runs, where there is no GPU
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch

from benchmarks.machine import machine, quartiles, ratio, rounds, table
from benchmarks.step_time import CHECKED_STEPS, MOMENTUM, RULES, TIMED_LR, Eager, batch, check, session
from fac.diagnostics import FacError
from fac_torch.device import float32_products

RESULTS = Path(__file__).parent / "results" / "gpu.json"
SIZES = ((64, 32), (512, 128), (1024, 128), (2048, 128), (4096, 128))
"""Width and batch."""
EAGER, COMPILED, SINGLE = "eager bp", "compiled bp", "fac bp, kernel by kernel"
STEPS = 48
"""In a turn: several blocks of steps of a small network."""


def done(device: str) -> None:
    """Wait for the device."""
    if device != "cpu":
        torch.cuda.synchronize()


def contenders(width: int, samples: int, device: str, compiled: bool) -> dict[str, Callable[[], object]]:
    """By name what makes `STEPS` steps, and is back when they are made."""
    x, y = batch("float32", samples)
    tensors = torch.from_numpy(x).to(device), torch.from_numpy(y).to(device)
    turns: dict[str, Callable[[], object]] = {}

    def turn(step: Callable[[], object], times: int = STEPS) -> Callable[[], None]:
        def made() -> None:
            for _ in range(times):
                step()
            done(device)

        return made

    def plain(**settings: Any) -> Eager:
        optimiser = partial(torch.optim.SGD, lr=TIMED_LR, momentum=MOMENTUM, **settings)
        eager = Eager(session("bp", width, "torch", "float32", "cpu").state(), torch.float32, optimiser)
        eager.net.to(device)
        return eager

    for rule in RULES:
        ours = session(rule, width, "torch", "float32", device)
        placed = ours.place(x), ours.place(y)
        block = partial(ours.block, [placed] * ours.at_once, TIMED_LR)
        turns[f"fac {rule}"] = turn(block, STEPS // ours.at_once)
    single: Any = session("bp", width, "torch", "float32", device)
    single.captures = False
    placed = single.place(x), single.place(y)
    turns[SINGLE] = turn(partial(single.step, *placed, TIMED_LR))
    turns[EAGER] = turn(partial(plain().step, *tensors))
    if compiled:
        fast = plain(fused=True)
        fast.net = torch.compile(fast.net, mode="reduce-overhead")  # type: ignore[assignment]
        turns[COMPILED] = turn(partial(fast.step, *tensors))
    return turns


def rows(times: Mapping[str, list[float]]) -> list[tuple[object, ...]]:
    """One line per contender: its time, and how many times faster it is than the baselines."""
    bases = [name for name in (EAGER, COMPILED, "fac bp") if name in times]
    return [
        (
            name,
            f"{1000 * median(values):.1f}",
            "{:.1f} to {:.1f}".format(*(1000 * value for value in quartiles(values))),
            *(f"{ratio(times[base], values):.2f}" for base in bases),
        )
        for name, values in times.items()
    ]


def main() -> None:
    """Check, measure, print, and keep the figures of a GPU."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--products", choices=("highest", "high"), default="highest")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--widths", type=int, nargs="+", default=[width for width, _ in SIZES])
    parser.add_argument("--without-compiled", action="store_true")
    given = parser.parse_args()
    try:
        errors = {rule: check(rule, given.device) for rule in RULES}
    except FacError as error:
        sys.exit(str(error))
    print(f"float64 check, {CHECKED_STEPS} steps, largest relative difference: {max(errors.values()):.0e}\n")
    where = torch.cuda.get_device_name() if given.device != "cpu" else "no GPU"
    results: dict[str, Any] = {"machine": {"gpu": where, **machine()}, "products": given.products}
    results |= {"rounds": given.rounds, "milliseconds": {}}
    with float32_products(given.products):
        for width, samples in SIZES:
            if width not in given.widths:
                continue
            turns = contenders(width, samples, given.device, not given.without_compiled)
            seconds = rounds(turns, given.rounds, perf_counter)
            times = {name: [1000 * s / STEPS for s in values] for name, values in seconds.items()}
            results["milliseconds"][width] = {k: [round(v, 5) for v in vs] for k, vs in times.items()}
            bases = [f"vs {name}" for name in (EAGER, COMPILED, "fac bp") if name in times]
            head = ("contender", "µs per step", "middle half", *bases)
            print(
                f"W = {width}, batch {samples}, products `{given.products}`\n\n{table(head, rows(times))}\n",
                flush=True,
            )
    print(json.dumps(results["machine"]))
    if given.device != "cpu":
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
