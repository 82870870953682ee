"""Data that are read anew for a network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fac.diagnostics import FacError
from fac.step.feed import Feed
from fac.training.agreement import fitted_anew, unlike
from fac.training.dataset import Dataset, Split
from fac.training.metadata import Kept
from fac.training.scaling import Scaling

FEEDS = (Feed("x", (2,)), Feed("y", (), "cross_entropy", classes=3, ignored=-1))
X = np.array([[1.0, 20.0], [3.0, 40.0], [5.0, 60.0], [7.0, 80.0]])
SCALING = Scaling(np.array([1.0, 2.0]), np.array([2.0, 4.0]))


def made(*classes: str, y: tuple[int, ...] = (0, 1, -1, 2), columns: tuple[str, ...] = ()) -> Dataset:
    """Four samples, the same to train and to test on."""
    split = Split(X, np.array(y, np.uint8 if min(y) >= 0 else np.int64))
    return Dataset("table", split, split, classes=classes, columns=columns)


def anew(dataset: Dataset, kept: Kept, *, training: bool = True) -> tuple[Dataset, list[str]]:
    """As a network reads them."""
    return fitted_anew(dataset, FEEDS, "float64", kept, training=training)


@pytest.mark.parametrize("training", [True, False])
def test_a_class_has_the_number_of_its_name(training: bool) -> None:
    found, told = anew(made("c", "a", "b"), Kept(classes=("a", "b", "c")), training=training)
    assert found.train.y.tolist() == found.test.y.tolist() == [2, 0, -1, 1]
    assert found.classes == ("a", "b", "c")
    assert told == ["the classes of `table` are in another order than in the training, and read by name"]
    again, told = anew(made("a", "b", "c"), Kept(classes=("a", "b", "c")), training=training)
    assert (again.train.y.tolist(), told) == ([0, 1, -1, 2], [])


def test_a_class_whose_number_does_not_count_is_one_by_name() -> None:
    feeds = (FEEDS[0], replace(FEEDS[1], ignored=0))
    dataset = made("b", "a", "c", y=(0, 1, 2, 0))
    found, _ = fitted_anew(dataset, feeds, "float64", Kept(classes=("a", "b", "c")), training=True)
    assert found.train.y.tolist() == [1, 0, 2, 1]


@pytest.mark.parametrize("now", [("a", "b"), ("a", "b", "d"), ("a", "b", "c", "d"), ("a", "b", "b")])
def test_a_training_does_not_go_on_with_other_classes(now: tuple[str, ...]) -> None:
    with pytest.raises(
        FacError, match=r"`table` has the classes `a`, `b`.* trained on `a`, `b`, `c`: bring back"
    ):
        anew(made(*now, y=(0, 1, 0, 1)), Kept(classes=("a", "b", "c")))


def test_samples_of_known_classes_can_be_evaluated() -> None:
    kept = Kept(classes=("a", "b", "c"))
    found, told = anew(made("a", "c", y=(0, 1, 0, 1)), kept, training=False)
    assert (found.test.y.tolist(), found.classes, told) == ([0, 2, 0, 2], ("a", "b", "c"), [])
    found, _ = anew(made("0", "a", "c", y=(2, 1, 2, 1)), kept, training=False)
    assert found.test.y.tolist() == [2, 0, 2, 0]
    with pytest.raises(
        FacError, match="has the classes `0`, `a`, `c`, and this network was trained on `a`, `b`, `c`"
    ):
        anew(made("0", "a", "c", y=(2, 1, 0, 1)), kept, training=False)


def test_data_whose_classes_have_no_names_are_read_as_a_file_is() -> None:
    found, told = anew(made(y=(3, 1, 2, 1)), Kept(classes=("1", "2", "3")))
    assert (found.train.y.tolist(), found.classes) == ([2, 0, 1, 0], ("1", "2", "3"))
    assert len(told) == 2
    assert anew(made(y=(2, 1, 0, 1)), Kept(classes=("a", "b", "c")))[0].train.y.tolist() == [2, 1, 0, 1]
    assert anew(made("a", "b", "c"), Kept())[0].classes == ("a", "b", "c")


def test_columns_are_standardised_as_their_names_say() -> None:
    kept = Kept({"x": SCALING}, columns=("m", "n"))
    there = replace(made(columns=("n", "m")), scale={"x": ()})
    found, told = anew(there, kept)
    np.testing.assert_array_equal(found.test.x, (X[:, ::-1] - SCALING.mean) / SCALING.deviation)
    assert found.columns == ("m", "n")
    assert told == ["the columns of `table` are in another order than in the training, and read by name"]
    with pytest.raises(
        FacError, match="`table` has the columns `m`, `o`, and this network was trained on `m`, `n`"
    ):
        anew(replace(there, columns=("m", "o")), kept)


def test_what_is_other_than_in_the_run_of_the_parameters_is_a_line_each() -> None:
    here = replace(made("a", "b", columns=("m", "n")), scalings={"x": SCALING})
    same = Kept({"x": Scaling(SCALING.mean.copy(), SCALING.deviation.copy())}, ("a", "b"), ("m", "n"))
    assert unlike(here, same) == []
    other = Kept({"x": Scaling(SCALING.mean + 1, SCALING.deviation)}, ("b", "a"), ("n", "m"))
    lines = unlike(here, other)
    assert [line.split(" ")[:3] for line in lines] == [
        ["`x`", "is", "standardised"],
        ["the", "classes", "are"],
        ["the", "columns", "are"],
    ]
    assert len(unlike(here, Kept())) == 1
