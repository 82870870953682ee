"""What every benchmark shares: one thread, the name of the machine, interleaved rounds, Markdown tables."""

from __future__ import annotations

import os
import platform
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import process_time

import torch

SEED = 0
"""Of the order of contenders in the rounds."""


def one_thread() -> None:
    """Times and results of one thread: a second core may be busy with something else."""
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # for onnxruntime, and for the processes that this one starts


def cpu_name() -> str:
    """The model as the kernel names it; with family and model number, because virtual machines shorten names."""
    found: dict[str, str] = {}
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    if "model name" not in found:
        return platform.processor() or platform.machine()
    numbers = f"family {found.get('cpu family')}, model {found.get('model')}"
    return f"{found['model name']} ({numbers})"


def machine(*others: str) -> dict[str, str]:
    """What a quoted figure depends on: the CPU and the versions of packages."""
    packages = {name: version(name) for name in ("torch", "numpy", "fac-compiler", *others)}
    return {"cpu": cpu_name(), "python": platform.python_version(), **packages}


def rounds(
    contenders: Mapping[str, Callable[[], object]], count: int, clock: Callable[[], float] = process_time
) -> dict[str, list[float]]:
    """Seconds of each contender in each round, by CPU time of this process unless told otherwise.

    Each is warmed up twice; then all run once per round, in an order that is new every time, so that a slow
    moment of the machine or the neighbour before hits them all alike.
    """
    for call in contenders.values():
        call()
        call()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    names, shuffle = list(contenders), random.Random(SEED).shuffle
    for _ in range(count):
        shuffle(names)
        for name in names:
            begun = clock()
            contenders[name]()
            seconds[name].append(clock() - begun)
    return seconds


def ratio(of: Sequence[float], to: Sequence[float]) -> float:
    """The median of the ratios within each round: what changes between rounds cancels."""
    return median(ratios(of, to))


def ratios(of: Sequence[float], to: Sequence[float]) -> list[float]:
    """Within each round."""
    return [a / b for a, b in zip(of, to, strict=True)]


def quartiles(values: Iterable[float]) -> tuple[float, float]:
    """The range of the middle half."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return ordered[round(last / 4)], ordered[round(3 * last / 4)]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table: the first column is text, the others are numbers."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
