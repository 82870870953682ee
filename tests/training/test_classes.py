"""Classes and outputs, and samples that are met again: what is said before a training, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fac.diagnostics import FacError
from fac.step.feed import Feed
from fac.training.classes import unused_outputs
from fac.training.dataset import Dataset, Split
from fac.training.fitting import fitted
from fac.training.met_again import met_again

NAMES = ("cat", "dog", "owl")


def feeds(outputs: int, ignored: int | None = None) -> tuple[Feed, ...]:
    return Feed("x", (2,)), Feed("y", (), "cross_entropy", outputs, ignored=ignored)


def data(train: list[int], test: list[int], classes: tuple[str, ...] = ()) -> Dataset:
    draw = np.random.default_rng(0)
    splits = (Split(draw.normal(size=(len(y), 2)), np.array(y)) for y in (train, test))
    return Dataset("pets", *splits, classes=classes)


@pytest.mark.parametrize(
    ("dataset", "outputs", "said"),
    [
        (data([0, 1, 2], [1]), 3, ""),
        (data([0, 1], [2]), 3, ""),
        (data([0, 1], [1]), 3, "`pets` has 2 classes, and the output has 3 units: unit 2 never is a target"),
        (
            data([0], [1], NAMES),
            7,
            "`pets` has 3 classes (`cat`, `dog`, `owl`), and the output has 7 units: units 3 to 6 never are a target",
        ),
        (data([0], [1], NAMES), 3, ""),
    ],
)
def test_outputs_without_a_class_are_told(dataset: Dataset, outputs: int, said: str) -> None:
    assert "".join(unused_outputs(fitted(dataset, feeds(outputs), "float64"), feeds(outputs))) == said


def test_what_does_not_count_is_no_class() -> None:
    read = feeds(5, ignored=4)
    (line,) = unused_outputs(fitted(data([0, 4], [1]), read, "float64"), read)
    assert line.endswith("units 2 to 4 never are a target")


def test_more_classes_than_outputs_are_refused() -> None:
    """Although no sample is of the last one."""
    with pytest.raises(FacError) as caught:
        fitted(data([0, 1], [0], NAMES), feeds(2), "float64")
    expected = "`pets` has 3 classes, and the network has 2 outputs: none is for `owl`; end with 3 outputs"
    assert str(caught.value) == expected


def test_a_label_without_a_name_is_refused() -> None:
    with pytest.raises(FacError) as caught:
        fitted(data([0, 1, 2], [0, 2, 4], NAMES), feeds(6), "float64")
    assert str(caught.value) == (
        "label 4 of sample 2 in the `test` split of `pets` is no class: names are for 0 to 2, `cat`, `dog`, `owl`"
    )
    fitted(data([0, 1, 2], [0, 2, 4], NAMES), feeds(6, ignored=4), "float64")


def changed(x: NDArray[Any]) -> NDArray[Any]:
    x = x.copy()
    x[-1, -1] += 1
    return x


def test_samples_that_are_met_again_are_told() -> None:
    one = data([0, 1, 2], [0])
    copy = Split(one.train.x.copy(), one.train.y)
    said = "the `{}` split of `pets` is the training samples: what is known by heart says nothing of others"
    assert [*met_again(one)] == []
    assert [*met_again(replace(one, test=copy))] == [said.format("test")]
    assert [*met_again(replace(one, validation=one.train))] == [said.format("validation")]
    assert [*met_again(replace(one, test=Split(changed(copy.x), copy.y)))] == []
    assert [*met_again(replace(one, test=Split(copy.x, copy.y[::-1])))] == []
    assert [*met_again(replace(one, test=Split(copy.x[:2], copy.y[:2])))] == []
