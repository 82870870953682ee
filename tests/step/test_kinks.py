"""Derivatives where there is no one derivative: ties and kinks have the values that the ops state, and no NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.reverse import Edits, Reverse
from fac.step.types import Type
from fac_reference.interpreter import run

Made = Callable[[Builder, Value, Value], Value]
TIES = np.array([[1.0, 1.0, 0.0], [2.0, -1.0, 2.0]])
OTHER = np.array([[1.0, 0.0, 0.0], [2.0, 0.0, 3.0]])


def maximum_along(axes: tuple[int, ...], keep: bool) -> Made:
    """The largest along some axes."""
    return lambda b, x, y: b.emit("max", x, axes=axes, keep=keep)


CASES: dict[str, tuple[Made, list[list[float]]]] = {
    "maximum gives each of two equal numbers half": (
        lambda b, x, y: b.maximum(x, y),
        [[0.5, 1, 0.5], [0.5, 0, 0]],
    ),
    "minimum gives each of two equal numbers half": (
        lambda b, x, y: b.minimum(x, y),
        [[0.5, 0, 0.5], [0.5, 1, 1]],
    ),
    "a number is the larger one of itself": (lambda b, x, y: b.maximum(x, x), [[1, 1, 1], [1, 1, 1]]),
    "clamp lets the ends through": (lambda b, x, y: b.clamp(x, 0.0, 1.0), [[1, 1, 1], [0, 0, 0]]),
    "a size is flat at 0": (lambda b, x, y: b.abs(x), [[1, 1, 0], [1, -1, 1]]),
    "where hands all to what it takes, at ties too": (
        lambda b, x, y: b.where(b.less(y, b.stop_gradient(x)), x, b.mul(b.add(x, y), 3.0)),
        [[3, 1, 3], [3, 3, 3]],
    ),
    "max shares equally": (maximum_along((1,), False), [[0.5, 0.5, 0], [0.5, 0, 0.5]]),
    "max shares equally, axes kept": (maximum_along((1,), True), [[0.5, 0.5, 0], [0.5, 0, 0.5]]),
    "max over all shares equally": (maximum_along((0, 1), False), [[0, 0, 0], [0.5, 0, 0.5]]),
    "relu is flat at its kink": (lambda b, x, y: b.emit("relu", x), [[1, 1, 0], [1, 0, 1]]),
    "leaky relu has its slope at its kink": (
        lambda b, x, y: b.emit("leaky_relu", x, slope=0.25),
        [[1, 1, 0.25], [1, 0.25, 1]],
    ),
    "elu has its alpha at its kink": (
        lambda b, x, y: b.emit("elu", b.maximum(x, 0.0), alpha=0.25),
        [[1, 1, 0.125], [1, 0, 1]],
    ),
    "hardsigmoid is flat at both ends": (
        lambda b, x, y: b.emit("hardsigmoid", b.mul(x, 3.0)),
        [[0, 0, 0.5], [0, 0, 0]],
    ),
    "hardswish has the derivatives from outside at both ends": (
        lambda b, x, y: b.emit("hardswish", b.mul(x, 3.0)),
        [[3, 3, 1.5], [3, 0, 3]],
    ),
    "a power of 0 is constant": (lambda b, x, y: b.pow(x, 0.0), [[0, 0, 0], [0, 0, 0]]),
    "a square is flat at 0": (lambda b, x, y: b.pow(x, 2.0), [[2, 2, 0], [4, -2, 4]]),
    "a power of 1 is the number itself": (lambda b, x, y: b.pow(x, 1.0), [[1, 1, 1], [1, 1, 1]]),
    "powers of 0 do not depend on the exponent": (lambda b, x, y: b.pow(0.0, b.mul(x, x)), [[0.0] * 3] * 2),
}


@pytest.mark.parametrize(("made", "expected"), CASES.values(), ids=CASES)
def test_at_ties_and_kinks(made: Made, expected: list[list[float]]) -> None:
    b = Builder()
    x, y = b.input("x", Type((2, 3))), b.input("y", Type((2, 3)))
    result = made(b, x, y)
    loss = b.sum(result, range(len(result.type.shape)))
    gradient = Reverse(b, loss, Edits(), frozenset()).cotangent(x)
    assert gradient is not None
    inputs: dict[str, Any] = {"x": TIES, "y": OTHER}
    found = run(b.finish("kinks", {"g": gradient}), inputs, np.dtype("float64"))["g"]
    np.testing.assert_array_equal(np.broadcast_to(found, (2, 3)), expected)
