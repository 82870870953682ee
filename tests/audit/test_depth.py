"""Rules against the arms whose hidden layers learn nothing."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from fac.audit import depth


@dataclass(frozen=True)
class Given:
    interval: tuple[float, float] | None
    metric: str = "test_accuracy"
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def difference(self) -> float | None:
        return self.interval and sum(self.interval) / 2


@pytest.mark.parametrize(
    ("interval", "metric", "expected"),
    [
        ((0.1, 0.3), "test_accuracy", True),
        ((0.0, 0.3), "test_accuracy", False),
        ((-0.3, -0.1), "test_accuracy", False),
        ((-0.3, -0.1), "test_loss", True),
        ((-0.3, 0.0), "test_loss", False),
        (None, "test_accuracy", None),
    ],
)
def test_a_rule_beats_an_arm_by_more_than_the_interval(
    interval: tuple[float, float] | None, metric: str, expected: bool | None
) -> None:
    assert depth.beats(Given(interval, metric)) is expected


def test_the_arms_that_a_rule_does_not_beat_are_named() -> None:
    found = {"shallow": Given((0.1, 0.2)), "frozen": Given((-0.1, 0.2))}
    frozen = "`frozen` (+5.00 points, 95 % interval -10.00 to +20.00, 3 seeds)"
    assert list(depth.said("dfa", found)) == [f"`dfa` is not shown to beat {frozen}"]
    found["shallow"] = Given((-2.0, 1.0), "test_loss")
    shallow = "`shallow` (-0.5000, 95 % interval -2.0000 to +1.0000, 3 seeds)"
    assert list(depth.said("dfa", found)) == [f"`dfa` is not shown to beat {shallow} and {frozen}"]
    assert not list(depth.said("dfa", {"frozen": Given((0.1, 0.2))}))
    assert not list(depth.said("dfa", {"frozen": Given(None)})), "of one seed there is no interval"
