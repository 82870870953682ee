"""Convolutions: the numbers that their definition gives, and the multiply-adds that it takes."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from fac.step.builder import Builder
from fac.step.ops import OPS
from fac.step.types import Type, TypeRuleError
from fac.testing.calls import CALLS, Call
from fac_reference.interpreter import run
from tests.step.op_cases import SAMPLES, concrete, draw, function_of, x_of

FORMS = [call for call in CALLS if call.kind in ("conv2d", "conv2d_input", "conv2d_weight")]
EACH = pytest.mark.parametrize("call", FORMS, ids=lambda call: call.id)


def shapes(call: Call) -> dict[str, tuple[int, ...]]:
    """Of x, w and y of the form, whichever of them the call makes."""
    names = {"conv2d": "xwy", "conv2d_input": "ywx", "conv2d_weight": "yxw"}[call.kind]
    return dict(
        zip(names, map(concrete, (*(t.shape for t in call.operands), call.result.shape)), strict=True)
    )


def terms(call: Call) -> Any:
    """The indices (of y, of x, of w) of every product that the form sums, those beyond the edges of x left out."""
    of: Any = call.attributes
    sizes = shapes(call)
    (n, m, *places), (_, own, *kernel) = sizes["y"], sizes["w"]
    for i, a, b, *rest in product(*map(range, (n, m, own, *places, *kernel))):
        at, under = rest[:2], rest[2:]
        read = [
            at[axis] * of["stride"][axis] + under[axis] * of["dilation"][axis] - of["padding"][2 * axis]
            for axis in (0, 1)
        ]
        if all(0 <= r < size for r, size in zip(read, sizes["x"][2:], strict=True)):
            group = a // (m // of["groups"])
            yield (i, a, *at), (i, group * own + b, *read), (a, b, *under)


@EACH
def test_a_convolution_is_what_its_definition_says(call: Call) -> None:
    function = function_of(call, lambda _, result: {"result": result}, "forward")
    drawn = draw(call)
    found = run(function, {"x": x_of(), **drawn}, np.dtype("float64"))["result"]
    first, second, made = {"conv2d": (1, 2, 0), "conv2d_input": (0, 2, 1), "conv2d_weight": (0, 1, 2)}[
        call.kind
    ]
    expected = np.zeros(concrete(call.result.shape))
    for indices in terms(call):
        expected[indices[made]] += drawn["a0"][indices[first]] * drawn["a1"][indices[second]]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


@EACH
def test_multiply_adds_are_places_times_what_windows_show(call: Call) -> None:
    """For each sample, channel and place one for each number under the window, padding included."""
    function = function_of(call, lambda _, result: {"result": result}, "forward")
    macs = OPS[call.kind].macs
    assert macs is not None
    (n, m, h, w), (_, own, u, v) = shapes(call)["y"], shapes(call)["w"]
    assert macs(function.ops[-1], SAMPLES) == n * m * h * w * own * u * v


@pytest.mark.parametrize("call", [c for c in CALLS if c.kind == "bmm"], ids=lambda call: call.id)
def test_multiply_adds_of_many_matrices_are_those_of_each(call: Call) -> None:
    function = function_of(call, lambda _, result: {"result": result}, "forward")
    *many, rows, columns = concrete(call.result.shape)
    inner = np.prod(concrete(call.operands[0].shape)) // (np.prod(many) * rows)
    macs = OPS["bmm"].macs
    assert macs is not None
    assert macs(function.ops[-1], SAMPLES) == np.prod(many) * rows * inner * columns


@pytest.mark.parametrize(
    ("message", "kind", "operands", "settings"),
    [
        (r"a map \[N, C, H, W\] of FLOAT is needed, not f\[3, 4\]", "conv2d", ((3, 4), (1, 1, 1, 1)), {}),
        (
            r"a window of \(3, 3\) fits nowhere into a map of \(2, 9\)",
            "conv2d",
            ((1, 1, 2, 9), (1, 1, 3, 3)),
            {},
        ),
        (r"2 groups of .* do not read", "conv2d", ((1, 4, 5, 5), (3, 2, 1, 1)), {"groups": 2}),
        (r"no convolution of .* makes", "conv2d_input", ((1, 1, 2, 2), (1, 1, 2, 2)), {"size": (4, 4)}),
        (r"no convolution of .* makes", "conv2d_weight", ((1, 1, 2, 2), (1, 1, 4, 4)), {"kernel": (2, 2)}),
        (r"has no 2 groups of channels", "unfold", ((1, 3, 2, 2),), {"kernel": (1, 1), "groups": 2}),
        (r"does not fold to", "fold", ((1, 4, 4),), {"kernel": (2, 2), "shape": (1, 1, 2, 2)}),
    ],
)
def test_what_does_not_fit_is_said(
    message: str, kind: str, operands: tuple[tuple[int, ...], ...], settings: dict[str, Any]
) -> None:
    b = Builder()
    given = [b.input(f"a{k}", Type(shape)) for k, shape in enumerate(operands)]
    window: dict[str, Any] = {
        "stride": (1, 1),
        "padding": (0, 0, 0, 0),
        "dilation": (1, 1),
        "groups": 1,
    } | settings
    with pytest.raises(TypeRuleError, match=message):
        b.emit(kind, *given, **window)
