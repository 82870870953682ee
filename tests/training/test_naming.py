"""Labels by the names of classes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fac.diagnostics import FacError
from fac.step.feed import Feed
from fac.training.dataset import Split
from fac.training.naming import numbered

X = np.zeros((4, 2))


def read(y: object, *classes: str, ignored: int | None = None) -> tuple[NDArray[np.int64], str]:
    """The labels, and what is said of them."""
    feeds = (Feed("x", (2,)), Feed("y", (), "cross_entropy", classes=3, ignored=ignored))
    split, told = numbered(Split(X, np.array(y)), feeds, classes, "the file")
    return split.y, told


@pytest.mark.parametrize(
    ("classes", "y", "expected"),
    [
        (("1", "2", "3"), [3, 1, 2, 1], [2, 0, 1, 0]),
        (("0", "2", "4"), [4, 2, 0, 0], [2, 1, 0, 0]),
        (("-1", "1"), [1, -1, 1, -1], [1, 0, 1, 0]),
        (("1.0", "2e0"), [2, 1, 2, 1], [1, 0, 1, 0]),
        (("hi", "lo", "mid"), ["mid", " lo", "hi", "mid"], [2, 1, 0, 2]),
        (("1", "2", "3"), ["3", "1", "2", "1"], [2, 0, 1, 0]),
        (("1", "2", "3"), [[3, 1], [2, 2], [1, 1], [3, 3]], [[2, 0], [1, 1], [0, 0], [2, 2]]),
        # by number: nothing is a name
        (("hi", "lo", "mid"), [2, 1, 0, 2], [2, 1, 0, 2]),
        (("0.5", "1"), [0, 1, 1, 0], [0, 1, 1, 0]),
        ((), [2, 1, 0, 2], [2, 1, 0, 2]),
    ],
)
def test_each_label_means_the_class_that_it_names(
    classes: tuple[str, ...], y: list[object], expected: list[object]
) -> None:
    found, _ = read(y, *classes)
    assert found.dtype.kind == "i"
    np.testing.assert_array_equal(found, expected)


def test_it_is_said_where_numbers_are_read_by_name() -> None:
    assert read([3, 1, 2, 1], "1", "2", "3")[1] == (
        "`y` of the file: its numbers are the names of classes, `1`, `2`, `3`"
    )
    assert read([2, 1, 0, 1], "0", "1", "2")[1] == ""
    assert read(["b", "a", "a", "a"], "a", "b")[1] == ""


def test_what_does_not_count_stays() -> None:
    found, _ = read([3, -100, 2, 1], "1", "2", "3", ignored=-100)
    assert found.tolist() == [2, -100, 1, 0]


@pytest.mark.parametrize(
    ("classes", "y", "message"),
    [
        (
            ("1", "2"),
            [1, 2, 0, 1],
            "label `0` of sample 2 in the file is no class of this network, which has `1`, `2`",
        ),
        (("a", "b"), ["a", "c", "b", "c"], "label `c` of sample 1 in the file is no class"),
        (("1", "1.0", "2"), [2, 1, 2, 2], "label `1` of sample 1 in the file is no class"),
        (
            (),
            ["a", "c", "b", "c"],
            "`y` in the file holds text, and the classes of this network have no names",
        ),
    ],
)
def test_a_label_that_is_no_class_is_refused(classes: tuple[str, ...], y: list[object], message: str) -> None:
    with pytest.raises(FacError) as caught:
        read(y, *classes)
    assert str(caught.value).startswith(message)


def test_floats_are_targets() -> None:
    feeds = (Feed("x", (2,)), Feed("y", (1,), "mse"))
    y = np.array([[1.0], [2.0], [3.0], [1.0]])
    found, told = numbered(Split(X, y), feeds, ("1", "2", "3"), "the file")
    assert found.y is y
    assert told == ""


def test_text_is_no_input() -> None:
    feeds = (Feed("x", (2,)), Feed("y", (), "cross_entropy", classes=3))
    with pytest.raises(FacError, match="`x` in the file holds text: give numbers"):
        numbered(Split(np.full((4, 2), "a"), np.array(["a"] * 4)), feeds, ("a", "b"), "the file")
