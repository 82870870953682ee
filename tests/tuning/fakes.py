"""A backend with ways that are known, on a clock that only its steps move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fac.backend import Arrays, Compiled, Knob
from fac.pipeline import compiled, lowered
from fac.testing.nets import NET, Layers, spec
from fac_reference.session import ReferenceArtifact, ReferenceSession

SECONDS = {"plain": 1.0, "quick": 0.5, "hardly": 0.98, "rough": 0.1, "wild": 0.1}
"""Of a step, by the way that it goes."""
FACTOR = {"rough": 1.02, "wild": float("nan")}
"""On what it makes of the state: those are not right."""
CALL = {"one": 1, "four": 4}
"""Steps in a call, by the way: each call takes a second more."""


class Time:
    """Seconds that pass where a step is made, and what was measured."""

    def __init__(self) -> None:
        self.now, self.looks, self.made = 0.0, 0, list[str]()

    def __call__(self) -> float:
        self.looks += 1
        return self.now


class Fake(ReferenceArtifact):
    """The reference with two knobs."""

    time: Time

    def knobs(self, device: str | None = None) -> tuple[Knob, ...]:
        return (
            Knob("way", dict.fromkeys(SECONDS, "a way"), "plain"),
            Knob("call", dict.fromkeys(CALL, "steps in a call"), "one", exact=True),
        )

    def like(self, compiled: Compiled, choices: Mapping[str, str]) -> Fake:
        found = super().like(compiled, choices)
        assert isinstance(found, Fake)
        found.time = self.time
        return found

    def new_session(self, device: str | None) -> FakeSession:
        return FakeSession(self.compiled, self.precision, self.chosen(device), self.time)


class FakeSession(ReferenceSession):
    """Steps that take the time of their way."""

    def __init__(self, made: Compiled, precision: Any, ways: Mapping[str, str], time: Time) -> None:
        super().__init__(made, precision, "cpu")
        self.ways, self.time = ways, time
        self.at_once = CALL[ways["call"]]

    def run_step(self, batch: Arrays, lr: float, step: int) -> dict[str, float]:
        self.time.now += SECONDS[self.ways["way"]] + 1
        self.time.made.append(f"{self.ways['way']} {self.ways['call']}")
        found = super().run_step(batch, lr, step)
        factor = FACTOR.get(self.ways["way"], 1.0)
        self.arrays = {name: array * array.dtype.type(factor) for name, array in self.arrays.items()}
        return found

    def run_steps(
        self, batches: Sequence[Arrays], rates: Sequence[float], step: int
    ) -> list[Mapping[str, Any]]:
        found = list(super().run_steps(batches, rates, step))
        self.time.now -= len(batches) - 1
        return found


def artifact(layers: Layers = NET, **fields: Any) -> Fake:
    """Of a small network, with a clock of its own."""
    made = Fake(compiled(lowered(spec(layers, **fields))), "float32")
    made.time = Time()
    return made


def oracle() -> ReferenceArtifact:
    """The same in float64."""
    return ReferenceArtifact(compiled(lowered(spec(NET))), "float64")
