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
        return sum(self.interval) / 2 if self.interval else 0.0


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
    assert not list(depth.said("dfa", {"frozen": Given(None, seeds=(0,))})), (
        "of one seed there is no interval"
    )


def test_that_a_rule_is_worse_is_said_and_that_equal_differences_say_nothing() -> None:
    for below in (Given((-0.2, -0.1)), Given((0.1, 0.2), "test_loss")):
        (line,) = depth.said("dfa", {"shallow": Given((0.1, 0.2)), "frozen": below})
        assert line.startswith("`dfa` is shown to be worse than `frozen` (")
    both = {"shallow": Given((-0.2, -0.1)), "frozen": Given((-0.1, 0.2))}
    assert [line.split(" (")[0] for line in depth.said("dfa", both)] == [
        "`dfa` is shown to be worse than `shallow`",
        "`dfa` is not shown to beat `frozen`",
    ]
    assert list(depth.said("dfa", {"frozen": Given(None)})) == [
        "`dfa` is not shown to beat `frozen` (+0.00 points in each of 3 seeds, which gives no interval)"
    ]
