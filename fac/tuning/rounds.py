"""Interleaved rounds, and what is made of their seconds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import quantiles
from time import perf_counter, process_time
from typing import Protocol

SEED = 0
"""Of the order of contenders in the rounds."""


class Turn(Protocol):
    """One contender in one round."""

    def ready(self) -> None:
        """Outside of the clock: its state as it was before the first round, and a step that finds the caches cold."""

    def run(self) -> object:
        """Within it."""

    def left(self) -> str:
        """Outside of the clock: why it is to be timed no more, if so."""


def clock(threads: int) -> Callable[[], float]:
    """CPU time of the process where one thread works, so that others on the machine count little; else of the wall."""
    return process_time if threads == 1 else perf_counter


def rounds(
    turns: Mapping[str, Turn], count: int, now: Callable[[], float], watch: Callable[[int], None]
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Seconds of each in each round, and why some were left out.

    All run once per round, in an order that is new every time, so that a slow moment of the machine, or the neighbour
    before, hits them all alike.
    """
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    left: dict[str, str] = {}
    names, shuffle = list(turns), random.Random(SEED).shuffle
    for number in range(count):
        watch(number)
        shuffle(names)
        for name in names:
            if name in left:
                continue
            turn = turns[name]
            turn.ready()
            begun = now()
            turn.run()
            seconds[name].append(now() - begun)
            if reason := turn.left():
                left[name] = reason
    return {name: values for name, values in seconds.items() if name not in left}, left


def ratios(of: Sequence[float], to: Sequence[float]) -> list[float]:
    """Within each round: what changes between rounds cancels."""
    return [a / b for a, b in zip(of, to, strict=True)]


def spread(values: Iterable[float]) -> tuple[float, float, float]:
    """The median, and the ends of the middle half."""
    ordered = sorted(values)
    if len(ordered) == 1:
        return ordered[0], ordered[0], ordered[0]
    low, middle, high = quantiles(ordered, n=4, method="inclusive")
    return middle, low, high
