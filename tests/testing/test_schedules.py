"""A schedule that lies is caught, and one that says nothing false is not."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from math import nan
from typing import Any

import pytest

from fac.program.kinds import Flat, ScheduleKind
from fac.schedules.constant import CONSTANT, Constant
from fac.schedules.cosine import COSINE, Cosine
from fac.schedules.step import STEP, StepDecay
from fac.spec.schedules import Epochs
from fac.testing import check_declarations

ASKED = count()


def lying(kind: ScheduleKind, **said: Any) -> ScheduleKind:
    return replace(kind, **said)


LIARS: dict[str, tuple[ScheduleKind, str]] = {
    "a negative factor": (
        lying(CONSTANT, shape=lambda _, step, *__: 1.0 - step / 2),
        r"in 1 epochs of 1 steps: .* returns -0\.5 at step 3 where a number that is not negative is needed",
    ),
    "no number": (lying(CONSTANT, shape=lambda *_: nan), "returns nan at step 0"),
    "a text": (lying(CONSTANT, shape=lambda *_: "1"), "returns '1' at step 0"),
    "what depends on what was asked before": (
        lying(CONSTANT, shape=lambda *_: float(next(ASKED))),
        "asked again .*: a run could not go on",
    ),
    "another function": (
        lying(COSINE, body=lambda *_: ("1 - step / (steps_per_epoch * epochs)",)),
        r"`cosine` at step 2 of 1 epochs of 1 steps is 0\.0, and as `body` writes it -1\.0",
    ),
    "another function after a warm-up": (
        lying(COSINE, body=lambda schedule, warmed: COSINE.body(schedule, False)),
        "`cosine` with `warmup: 1` at step .* as `body` writes it",
    ),
    "a sum without brackets": (
        lying(CONSTANT, body=lambda *_: ("0.5 + 0.5",)),
        r"with `warmup: 3` at step 0 of 1 epochs of 1 steps is 0\.33.*, and as `body` writes it 0\.66",
    ),
    "a name that written programs lack": (
        lying(CONSTANT, body=lambda *_: ("np.ones(())",)),
        "at step 0 of 1 epochs of 1 steps fails with NameError: .* as `body` writes it",
    ),
    "no Python": (lying(CONSTANT, body=lambda *_: ("1.0 +",)), "lines that are no Python: SyntaxError"),
    "no line": (lying(CONSTANT, body=lambda *_: ()), "where lines are needed"),
    "flat, and falls": (
        lying(COSINE, flat=lambda *_: Flat("floor", "why", "help")),
        "says by `flat` that it never falls in 7 epochs, and it does at step 1 of 7",
    ),
    "flat by no setting": (
        lying(CONSTANT, flat=lambda *_: Flat("floor", "why", "help")),
        "has no setting `floor`, which its `flat` names",
    ),
    "flat in other words": (lying(CONSTANT, flat=lambda *_: "floor"), "returns str where a Flat or None"),
}


@pytest.mark.parametrize("name", LIARS)
def test_a_liar_is_caught(name: str) -> None:
    kind, said = LIARS[name]
    with pytest.raises(AssertionError, match=said):
        check_declarations(kind)


@pytest.mark.parametrize(
    ("kind", "schedule"),
    [
        (CONSTANT, Constant(warmup=7)),
        (COSINE, Cosine(floor=1.0)),
        (COSINE, Cosine(floor=1e-7, per="epoch", warmup=Epochs(epochs=2))),
        (STEP, StepDecay(every=1)),
        (STEP, StepDecay(every=30, gamma=1.0)),
    ],
    ids=lambda one: getattr(one, "name", str(one)),
)
def test_what_ships_says_the_truth_of_other_settings(kind: ScheduleKind, schedule: Any) -> None:
    check_declarations(kind, schedule)


@pytest.mark.parametrize(
    ("kind", "schedule", "stretches"),
    [
        (CONSTANT, Constant(warmup=Epochs(epochs=9)), False),
        (STEP, StepDecay(every=2), False),
        (COSINE, Cosine(), True),
        (COSINE, Cosine(per="epoch"), True),
        (COSINE, Cosine(floor=1.0), False),
    ],
    ids=lambda one: getattr(one, "name", str(one)),
)
def test_whether_a_longer_training_has_other_factors_is_found(
    kind: ScheduleKind, schedule: Any, stretches: bool
) -> None:
    assert kind.stretches(schedule, 4, 9) == stretches
    assert not kind.stretches(schedule, 4, 4)
