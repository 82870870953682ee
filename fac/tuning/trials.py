"""One knob after the other: each way is held against float64 first, and then timed in interleaved rounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, isfinite
from statistics import median
from typing import Any

from fac.backend import Array, Artifact, Knob, Session
from fac.tuning.batches import drawn
from fac.tuning.deviation import deviation
from fac.tuning.rounds import ratios, rounds

ROUNDS = 7
GAIN = 1.05
"""How many times as fast as the usual way another one has to be, or it is not worth other digits."""
ROUNDED, WORSE = 1e-3, 4.0
"""How far from float64 a way may take a tensor, relative to how far it moved, whatever the usual way does; and how many
times as far as that. Products of bfloat16 are farther by both."""
TURN, MOST = 0.03, 64
"""Seconds that a turn should take, and how many steps that may be at most."""
CHECKED = 2
"""Steps that are held against float64: in one call, where a session makes several at once."""

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Tried:
    """A way that was looked at."""

    knob: str
    way: str
    says: str
    """What it is."""
    error: float
    """From float64, see `deviation`."""
    gain: float | None
    """How many times as fast as the usual way it is; None if its error left it out of the rounds."""
    chosen: bool


def search(
    artifact: Artifact, device: str, oracle: Callable[[], Artifact], now: Clock
) -> tuple[dict[str, str], tuple[Tried, ...]]:
    """The ways to go on that device, by the names of knobs, and all that was tried.

    A knob that comes later is turned with the earlier ones where they were found best.

    Args:
        artifact: as it is by the usual ways.
        device: of sessions.
        oracle: makes the same in float64.
        now: seconds.

    Raises:
        FacError: a session cannot be opened, such as for want of memory.
    """
    found: dict[str, str] = {}
    tried: list[Tried] = []
    knobs = [knob for knob in artifact.knobs(device) if is_tried(knob)]
    start = artifact.open(device=device).state()
    batch = drawn(artifact.compiled.feeds, artifact.compiled.recipe.batch, artifact.precision)
    exact = _moved(oracle().open(start, device), start, batch)
    for knob in knobs:
        ways = [knob.usual, *(way for way in knob.ways if way != knob.usual)]
        sessions = {
            way: artifact.choosing({**found, knob.name: way}, device).open(start, device) for way in ways
        }
        errors = {way: deviation(_moved(one, start, batch), exact, start) for way, one in sessions.items()}
        most = max(ROUNDED, WORSE * errors[knob.usual])
        timed = {
            way: one
            for way, one in sessions.items()
            if way == knob.usual or (isfinite(errors[way]) and errors[way] <= most)
        }
        gains = _gains(timed, start, batch, now)
        best = max(gains, key=lambda way: gains[way])
        found[knob.name] = best if gains[best] >= GAIN else knob.usual
        tried += [
            Tried(knob.name, way, knob.ways[way], errors[way], gains.get(way), way == found[knob.name])
            for way in knob.ways
        ]
    return artifact.choosing(found, device).chosen(device), tuple(tried)


def is_tried(knob: Knob) -> bool:
    """Whether there is something to choose that takes no longer to try than to measure."""
    return len(knob.ways) > 1 and not knob.asked


def _moved(session: Session, start: Mapping[str, Array], batch: Mapping[str, Array]) -> dict[str, Array]:
    """The state after the steps that are looked at."""
    session.load_state(start)
    session.block([batch] * CHECKED)
    return session.state()


@dataclass
class _Turn:
    """A session in the rounds. Its steps have no learning rate, so that no number runs away."""

    session: Session
    start: Mapping[str, Array]
    batch: Mapping[str, Any]
    calls: int = 1

    @property
    def steps(self) -> int:
        return self.calls * self.session.at_once

    def ready(self) -> None:
        self.session.load_state(self.start)
        if self.calls > 1:  # of one long step, cold caches are no part worth doubling it for
            self.session.block([self.batch], 0.0)

    def run(self) -> None:
        loss: Any = 0.0
        for _ in range(self.calls):
            loss = self.session.block([self.batch] * self.session.at_once, 0.0)[-1]["loss"]
        float(loss)  # until it can be read, a device has not made the step

    def left(self) -> str:
        return ""


def _gains(
    sessions: Mapping[str, Session], start: Mapping[str, Array], batch: Mapping[str, Array], now: Clock
) -> dict[str, float]:
    """How many times as fast as the first each is: the median of ratios within rounds."""
    turns = {}
    for way, session in sessions.items():
        placed = {name: session.place(array) for name, array in batch.items()}
        turns[way] = _Turn(session, start, placed)
    usual = next(iter(turns))
    if len(turns) == 1:
        return {usual: 1.0}
    for turn in turns.values():
        turn.run()  # what the first call makes is no part of the others
    begun = now()
    turns[usual].run()
    took = max(now() - begun, 1e-9) / turns[usual].steps
    steps = min(max(ceil(TURN / took), 1), MOST)
    for turn in turns.values():
        turn.calls = max(round(steps / turn.session.at_once), 1)
    seconds, _ = rounds(turns, ROUNDS, now, lambda _: None)
    each = {way: [s / turns[way].steps for s in seconds[way]] for way in turns}
    return {way: median(ratios(each[usual], each[way])) for way in turns}
