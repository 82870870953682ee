"""Hidden layers that make no difference.

Two arms train the same network on the same samples from the same initial weights: `frozen`, whose hidden layers keep
their initial values below a last and above a first layer that learn, and `shallow`, of which the last layer alone
learns. Measured is the paired difference between a rule and each of them over the seeds, with its 95 % interval. Where
the interval reaches down to zero, the rule has not been shown to beat that arm, and that is said; where all of it lies
below zero, that the rule is shown to be worse. Equal differences in all seeds have no interval, and a single seed has
none: neither shows anything.

Wide layers of random features carry far: on CIFAR-100 one network reached .321 by backpropagation, .133 by feedback
alignment and .088 by direct feedback, both with positive cosines, and .178 with its hidden layers frozen (faeval, an
audit of feedback alignment, 2026). A positive cosine is no evidence of learning in the hidden layers; this is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

NAME = "depth"
ARMS = ("shallow", "frozen")


class Difference(Protocol):
    """A paired difference, rule minus arm."""

    @property
    def metric(self) -> str:
        """`test_accuracy`, of which more is better, or a loss."""

    @property
    def difference(self) -> float | None:
        """The mean over seeds."""

    @property
    def interval(self) -> tuple[float, float] | None:
        """At 95 %; None of a single pair, and of differences that are all equal."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """In which both have a result."""


def beats(found: Difference) -> bool | None:
    """Whether a rule is better than an arm by more than the interval; None if there is no interval."""
    if found.interval is None:
        return None
    low, high = found.interval
    return low > 0 if found.metric == "test_accuracy" else high < 0


def _worse(found: Difference) -> bool:
    if found.interval is None:
        return False
    low, high = found.interval
    return high < 0 if found.metric == "test_accuracy" else low > 0


def said(rule: str, found: Mapping[str, Difference]) -> Iterator[str]:
    """What is wrong with a rule, against each arm by its name."""
    worse = [f"`{arm}` ({_shown(against)})" for arm, against in found.items() if _worse(against)]
    if worse:
        yield f"`{rule}` is shown to be worse than {' and '.join(worse)}"
    lost = [
        f"`{arm}` ({_shown(against)})"
        for arm, against in found.items()
        if len(against.seeds) > 1 and not beats(against) and not _worse(against)
    ]
    if lost:
        yield f"`{rule}` is not shown to beat {' and '.join(lost)}"


def _shown(found: Difference) -> str:
    assert found.difference is not None
    scale, digits, unit = (100, 2, " points") if found.metric == "test_accuracy" else (1, 4, "")
    numbers = (found.difference, *(found.interval or ()))
    middle, *ends = (f"{scale * value:+.{digits}f}" for value in numbers)
    if not ends:
        return f"{middle}{unit} in each of {len(found.seeds)} seeds, which gives no interval"
    return f"{middle}{unit}, 95 % interval {ends[0]} to {ends[1]}, {len(found.seeds)} seeds"
