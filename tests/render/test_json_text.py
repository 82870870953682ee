"""Whatever numbers come up, what is printed is JSON."""

from __future__ import annotations

import json
from math import inf, nan

import pytest

from fac.render.json_text import json_text
from fac.training.logs import EpochRecord


def refuse(name: str) -> float:
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.parametrize("number", [nan, inf, -inf])
def test_numbers_that_json_lacks_become_null_at_any_depth(number: float) -> None:
    found = json_text({"a": number, "b": [1.5, (number, {"c": number})], "d": "NaN", "e": 2**70})
    assert json.loads(found, parse_constant=refuse) == {
        "a": None,
        "b": [1.5, [None, {"c": None}]],
        "d": "NaN",
        "e": 2**70,
    }


def test_finite_numbers_keep_every_bit() -> None:
    numbers = [0.1, 5e-324, 1.7976931348623157e308, -0.0, 1 / 3]
    assert [x.hex() for x in json.loads(json_text(numbers))] == [x.hex() for x in numbers]


def test_a_line_of_the_log_is_json_whatever_was_measured() -> None:
    record = EpochRecord(1, 5, 0.1, nan, inf, None, 1.0, 2.0, {"fc1.error.cosine": nan})
    found = json.loads(record.to_json(), parse_constant=refuse)
    assert (found["train_loss"], found["test_loss"], found["fc1.error.cosine"]) == (None, None, None)
