"""Rules against the arms whose hidden layers learn nothing."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from fac.audit import depth


@dataclass(frozen=True)
class Given:
    low: float | None
    high: float | None
    runs: int = 5


@pytest.mark.parametrize(
    ("interval", "higher", "expected"),
    [
        (Given(0.1, 0.3), True, True),
        (Given(0.0, 0.3), True, False),
        (Given(-0.3, -0.1), True, False),
        (Given(-0.3, -0.1), False, True),
        (Given(-0.3, 0.0), False, False),
        (Given(None, None, 1), True, None),
    ],
)
def test_a_rule_beats_an_arm_by_more_than_the_interval(
    interval: Given, higher: bool, expected: bool | None
) -> None:
    assert depth.beats(interval, higher=higher) is expected


def test_the_arms_that_a_rule_does_not_beat_are_named() -> None:
    found = {"shallow": Given(0.1, 0.2), "frozen": Given(-0.1, 0.2, 4)}
    assert list(depth.said("dfa", found, higher=True)) == [
        "`dfa` does not beat `frozen` by more than the interval over 4 seeds"
    ]
    found["shallow"] = Given(-0.2, 0.2)
    assert list(depth.said("dfa", found, higher=True)) == [
        "`dfa` does not beat `shallow` and `frozen` by more than the interval over 4 seeds"
    ]
    assert not list(depth.said("dfa", {"frozen": Given(0.1, 0.2)}, higher=True))
