"""Schedules: values against the closed forms, and how a spec writes them."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from pydantic import TypeAdapter, ValidationError

from fac.program.kinds import ScheduleKind
from fac.program.lower import kind_of
from fac.schedules import Constant, Cosine, StepDecay
from fac.spec.schedules import AnySchedule, Epochs, Schedule, schedule_of

SCHEDULE: TypeAdapter[str | Schedule] = TypeAdapter(AnySchedule)


def kind_of_schedule(schedule: Schedule) -> ScheduleKind:
    found = kind_of("fac.schedules", schedule)
    assert isinstance(found, ScheduleKind)
    return found


def factor(schedule: Schedule, step: int, steps_per_epoch: int, epochs: int) -> float:
    return kind_of_schedule(schedule).factor(schedule, step, steps_per_epoch, epochs)


def body(schedule: Schedule) -> tuple[str, ...]:
    return kind_of_schedule(schedule).written(schedule)


def factors(schedule: Schedule, steps_per_epoch: int, epochs: int) -> list[float]:
    return [factor(schedule, step, steps_per_epoch, epochs) for step in range(steps_per_epoch * epochs)]


def test_constant_is_one() -> None:
    assert factors(Constant(), 3, 2) == [1.0] * 6


def test_cosine_per_step() -> None:
    expected = [0.5 * (1 + math.cos(math.pi * step / 8)) for step in range(8)]
    assert factors(Cosine(), 4, 2) == pytest.approx(expected, abs=1e-15)
    assert factor(Cosine(), 0, 4, 2) == 1.0
    assert factor(Cosine(), 8, 4, 2) == pytest.approx(0.0, abs=1e-15)


def test_cosine_per_epoch_holds_still_within_an_epoch() -> None:
    expected = [0.5 * (1 + math.cos(math.pi * epoch / 3)) for epoch in (0, 0, 1, 1, 2, 2)]
    assert factors(Cosine(per="epoch"), 2, 3) == pytest.approx(expected, abs=1e-15)


def test_cosine_ends_at_its_floor() -> None:
    cosine = Cosine(floor=0.1)
    assert factor(cosine, 4, 4, 2) == pytest.approx(0.55)
    assert factor(cosine, 8, 4, 2) == pytest.approx(0.1)
    assert factor(cosine, 100, 4, 2) == pytest.approx(0.1)


def test_step_falls_every_k_epochs() -> None:
    assert factors(StepDecay(every=2, gamma=0.5), 2, 5) == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_warmup_is_linear_and_ends_at_one() -> None:
    assert factors(Constant(warmup=4), 3, 2) == [0.25, 0.5, 0.75, 1, 1, 1]


def test_warmup_in_epochs_counts_their_steps() -> None:
    assert factors(Cosine(warmup=Epochs(epochs=2)), 5, 4) == factors(Cosine(warmup=10), 5, 4)


def test_cosine_spans_the_steps_after_the_warmup() -> None:
    expected = [1 / 3, 2 / 3, 1, *(0.5 * (1 + math.cos(math.pi * step / 5)) for step in range(5))]
    assert factors(Cosine(warmup=3), 4, 2) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("warmup", [8, 20])
def test_warmup_may_fill_the_whole_training(warmup: int) -> None:
    expected = [(step + 1) / warmup for step in range(8)]
    assert factors(Cosine(warmup=warmup), 4, 2) == pytest.approx(expected)


def written(schedule: Schedule) -> Callable[[int, int, int], float]:
    """The function that `body` writes."""
    lines = "".join(f"    {line}\n" for line in body(schedule))
    names: dict[str, Callable[[int, int, int], float]] = {}
    exec(f"import math\ndef factor(step, steps_per_epoch, epochs):\n{lines}", names)
    return names["factor"]


SHAPES = [
    Constant(),
    Cosine(),
    Cosine(floor=0.1),
    Cosine(floor=1.0),
    Cosine(per="epoch"),
    Cosine(floor=1e-7, per="epoch"),
    StepDecay(every=1),
    StepDecay(every=2, gamma=0.3),
    StepDecay(every=3, gamma=1.0),
]
WARMUPS = [0, 1, 3, 8, 100, *(Epochs(epochs=epochs) for epochs in (0, 1, 2, 9))]


@pytest.mark.parametrize("warmup", WARMUPS, ids=str)
@pytest.mark.parametrize(
    "shape", SHAPES, ids=lambda s: f"{s.kind} {s.model_dump(exclude={'kind', 'warmup'})}"
)
def test_written_out_a_schedule_means_the_same(shape: Schedule, warmup: int | Epochs) -> None:
    """Past the last step too, where a training that goes on for longer may get."""
    schedule = shape.model_copy(update={"warmup": warmup})
    function = written(schedule)
    for steps_per_epoch, epochs in ((1, 1), (1, 7), (4, 2), (5, 4)):
        steps = range(steps_per_epoch * epochs + 3)
        found = [function(step, steps_per_epoch, epochs) for step in steps]
        expected = [factor(schedule, step, steps_per_epoch, epochs) for step in steps]
        assert found == pytest.approx(expected, rel=0, abs=1e-15)


def test_written_out_a_schedule_says_no_more_than_it_needs() -> None:
    assert body(Constant()) == ("return 1.0",)
    assert body(Cosine()) == (
        "done = min(1, step / (steps_per_epoch * epochs))",
        "return 0.5 * (1 + math.cos(math.pi * done))",
    )
    assert body(StepDecay(every=2, warmup=Epochs(epochs=1))) == (
        "warm = 1 * steps_per_epoch",
        "ramp = min(1, (step + 1) / warm)",
        "return ramp * 0.1 ** (step // steps_per_epoch // 2)",
    )


def test_plain_names_and_models_mean_the_same() -> None:
    assert schedule_of(SCHEDULE.validate_python("cosine")) == Cosine()
    assert schedule_of(SCHEDULE.validate_python("constant")) == Constant()
    assert schedule_of(SCHEDULE.validate_python({"kind": "cosine", "warmup": 100})) == Cosine(warmup=100)
    assert schedule_of(
        SCHEDULE.validate_python({"kind": "step", "every": 3, "warmup": {"epochs": 1}})
    ) == StepDecay(every=3, warmup=Epochs(epochs=1))


@pytest.mark.parametrize(
    ("value", "location"),
    [
        ("cosin", ("a name",)),
        ("step", ("a name",)),
        ({"kind": "cosin"}, ()),
        ({"warmup": 3}, ()),
        ({"kind": "step"}, ("step", "every")),
        ({"kind": "cosine", "flor": 0.1}, ("cosine", "flor")),
        ({"kind": "cosine", "floor": 2.0}, ("cosine", "floor")),
    ],
)
def test_a_mistake_is_reported_once(value: object, location: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        SCHEDULE.validate_python(value)
    assert [error["loc"] for error in caught.value.errors()] == [location]


def test_negative_warmup_is_refused() -> None:
    with pytest.raises(ValidationError):
        SCHEDULE.validate_python({"kind": "constant", "warmup": -1})


def test_every_field_has_a_description() -> None:
    for model in (Constant, Cosine, StepDecay, Epochs):
        assert all(field.description for field in model.model_fields.values()), model


def test_json_schema_offers_names_and_models() -> None:
    branches = SCHEDULE.json_schema()["oneOf"]
    assert branches[0] == {"enum": ["constant", "cosine"], "type": "string"}
    assert len(branches) == 4
