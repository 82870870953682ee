"""Pools, joins, and layers that change shapes, by themselves: values and gradients on every backend are torch's own."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as functional

import fac
from fac.backend import Array, Precision
from fac.pipeline import find_backend
from fac.plugins import kinds
from fac.program.kinds import Mode
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.reverse import Edits, Reverse
from fac.step.types import N, Type
from fac.testing.case import Subject
from fac.testing.nets import conv2d, linear, spec
from fac.testing.ops import forward_alone
from fac_onnx.artifact import OnnxArtifact
from fac_onnx.graph import DOUBLE, Graph

BACKENDS = ("reference", "torch", "onnx")
Sizes = tuple[int, ...]
Twin = Callable[..., torch.Tensor]
POOL = functional.max_pool2d
MEAN = functional.avg_pool2d
GRID = functional.adaptive_avg_pool2d


def larger(x: torch.Tensor, factor: Any, mode: str) -> torch.Tensor:
    """As `nn.Upsample` makes it."""
    corners = None if mode == "nearest" else False
    return functional.interpolate(x, scale_factor=factor, mode=mode, align_corners=corners)


CASES: dict[str, tuple[str, dict[str, Any], tuple[Sizes, ...], Twin]] = {
    "max_pool2d": ("max_pool2d", {"kernel": 2}, ((2, 5, 4),), lambda x: POOL(x, 2)),
    "max_pool2d, oblong": (
        "max_pool2d",
        {"kernel": (3, 2), "stride": (2, 3), "padding": (1, 0)},
        ((2, 6, 7),),
        lambda x: POOL(x, (3, 2), (2, 3), (1, 0)),
    ),
    "max_pool2d, overlapping": (
        "max_pool2d",
        {"kernel": 3, "stride": 1, "padding": 1},
        ((1, 4, 5),),
        lambda x: POOL(x, 3, 1, 1),
    ),
    "avg_pool2d": ("avg_pool2d", {"kernel": 2}, ((2, 5, 4),), lambda x: MEAN(x, 2)),
    "avg_pool2d, padded": (
        "avg_pool2d",
        {"kernel": (3, 2), "stride": (2, 1), "padding": 1},
        ((2, 6, 3),),
        lambda x: MEAN(x, (3, 2), (2, 1), 1),
    ),
    "avg_pool2d of the map alone": (
        "avg_pool2d",
        {"kernel": (3, 2), "stride": (2, 1), "padding": 1, "count_include_pad": False},
        ((2, 6, 3),),
        lambda x: MEAN(x, (3, 2), (2, 1), 1, count_include_pad=False),
    ),
    **{
        f"avg_pool2d over the edge, {'with' if counts else 'without'} zeros": (
            "avg_pool2d",
            {"kernel": 3, "stride": (2, 4), "padding": 1, "count_include_pad": counts, "ceil_mode": True},
            ((2, 6, 9),),
            lambda x, counts=counts: MEAN(x, 3, (2, 4), 1, True, counts),
        )
        for counts in (True, False)
    },
    "max_pool2d over the edge": (
        "max_pool2d",
        {"kernel": 3, "stride": (2, 3), "padding": (1, 0), "ceil_mode": True},
        ((2, 6, 5),),
        lambda x: POOL(x, 3, (2, 3), (1, 0), 1, True),
    ),
    "a grid that divides": ("adaptive_avg_pool2d", {"out": (2, 3)}, ((2, 4, 9),), lambda x: GRID(x, (2, 3))),
    "a grid that does not": ("adaptive_avg_pool2d", {"out": (3, 2)}, ((2, 7, 5),), lambda x: GRID(x, (3, 2))),
    "a grid that is finer": ("adaptive_avg_pool2d", {"out": 4}, ((1, 3, 4),), lambda x: GRID(x, 4)),
    "global_avg_pool": ("global_avg_pool", {}, ((3, 4, 5),), lambda x: x.mean((2, 3))),
    "upsample": ("upsample", {"scale_factor": (2, 3)}, ((2, 3, 2),), lambda x: larger(x, (2, 3), "nearest")),
    "upsample, bilinear": (
        "upsample",
        {"scale_factor": 2, "mode": "bilinear"},
        ((2, 3, 4),),
        lambda x: larger(x, 2, "bilinear"),
    ),
    "upsample, bilinear, thin": (
        "upsample",
        {"scale_factor": (3, 4), "mode": "bilinear"},
        ((2, 2, 1),),
        lambda x: larger(x, (3, 4), "bilinear"),
    ),
    "pad": ("pad", {"padding": 2}, ((2, 3, 1),), lambda x: functional.pad(x, (2, 2, 2, 2))),
    "pad, uneven": (
        "pad",
        {"padding": (1, 0, 0, 3)},
        ((2, 3, 2),),
        lambda x: functional.pad(x, (1, 0, 0, 3)),
    ),
    "pad, channels": (
        "pad",
        {"padding": (0, 0, 0, 0, 1, 2)},
        ((2, 2, 2),),
        lambda x: functional.pad(x, (0, 0, 0, 0, 1, 2)),
    ),
    "mean": ("mean", {"axes": "channels", "keep": True}, ((3, 2, 5),), lambda x: x.mean(1, keepdim=True)),
    "mean, spatial": ("mean", {"axes": "spatial"}, ((3, 2, 5),), lambda x: x.mean((2, 3))),
    "mean, last axis": ("mean", {"axes": (-1,)}, ((3, 5),), lambda x: x.mean(-1)),
    "max": ("max", {"axes": "channels", "keep": True}, ((3, 2, 5),), lambda x: x.amax(1, keepdim=True)),
    "max, two axes": ("max", {"axes": (2, 0)}, ((3, 2, 5),), lambda x: x.amax((1, 3))),
    "reshape": ("reshape", {"shape": (5, -1)}, ((3, 2, 5),), lambda x: x.reshape(len(x), 5, 6)),
    "permute": ("permute", {"axes": (1, -1, 0)}, ((3, 2, 5),), lambda x: x.permute(0, 2, 3, 1)),
    "concat": ("concat", {}, ((2, 3, 2), (1, 3, 2), (4, 3, 2)), lambda *x: torch.cat(x, 1)),
    "concat, last axis": ("concat", {"axis": -1}, ((2, 3), (2, 1)), lambda *x: torch.cat(x, -1)),
    "one factor a channel": (
        "multiply",
        {},
        ((3, 2, 4), (3,)),
        lambda x, gate: x * gate[:, :, None, None],
    ),
    "one factor a place, and a channel": (
        "multiply",
        {},
        ((1, 2, 4), (3, 2, 4), (3, 1, 1)),
        lambda places, x, gate: places * x * gate,
    ),
    "an outer product": ("multiply", {}, ((3, 1), (1, 4)), lambda x, y: x * y),
}


def alone(
    kind: str,
    settings: dict[str, Any],
    inputs: tuple[Array, ...],
    backend: str,
    precision: Precision = "float64",
    prepare: Callable[[Builder, Value], Value] = lambda _, x: x,
) -> tuple[Array, list[Array]]:
    """What a layer makes, and the gradients, at its inputs, of the sum of that weighted by 1, 2, ...

    Args:
        kind: of the layer.
        settings: of it.
        inputs: [n, *shape] each.
        backend: that runs it.
        precision: in which.
        prepare: what is done to an input before the layer reads it.
    """
    layer_kind = next(one for one in kinds("fac.layers") if one.name == kind)
    named = {"from": tuple(f"in{k}" for k in range(len(inputs)))}
    layer = layer_kind.spec.model_validate(settings | named)
    shapes = [x.shape[1:] for x in inputs]
    ends = np.cumsum([0, *map(prod, shapes)]).tolist()
    b = Builder()
    x = b.input("x", Type((N, ends[-1])))
    parts = [
        prepare(b, b.reshape(_part(b, x, first, last), (N, *shape)))
        for first, last, shape in zip(ends, ends[1:], shapes, strict=False)
    ]
    y = layer_kind.forward(b, layer, parts, {}, Mode("it", True, 0, lambda: b.constant(3)))
    made: Sizes = layer_kind.infer(layer, "it", shapes).shape
    assert y.type.shape == (N, *made)
    weights = np.arange(1.0, 1 + prod(made)).reshape(made)
    total = b.sum(b.mul(y, b.input("w", Type(made))), range(len(y.type.shape)))
    reverse = Reverse(b, total, Edits(), frozenset())
    errors = [error for part in parts if (error := reverse.cotangent(part)) is not None]
    assert len(errors) == len(parts)
    out = b.emit("concat", b.rows(y), *map(b.rows, errors), axis=1)
    sizes = (prod(made) + ends[-1],)
    whole = forward_alone(b.finish("forward", {"output": out}), (ends[-1],), sizes, {"w": weights})
    rows = np.concatenate([x.reshape(len(x), -1) for x in inputs], 1)
    found = Subject(find_backend(backend), precision, "cpu").open_functions(whole).forward(rows)
    gradients = found[:, prod(made) :]
    return found[:, : prod(made)].reshape(-1, *made), [
        gradients[:, first:last].reshape(-1, *shape)
        for first, last, shape in zip(ends, ends[1:], shapes, strict=False)
    ]


def _part(b: Builder, x: Value, first: int, last: int) -> Value:
    whole = x.type.shape[1]
    assert isinstance(whole, int)
    return b.emit("crop", x, before=(0, first), after=(0, whole - last))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_torch(name: str, backend: str) -> None:
    kind, settings, shapes, twin = CASES[name]
    for n in (3, 1):
        rng = np.random.default_rng(n)
        inputs = tuple(rng.standard_normal((n, *shape)) for shape in shapes)
        leaves = [torch.tensor(x, requires_grad=True) for x in inputs]
        y = twin(*leaves)
        weights = torch.arange(1.0, 1 + y[0].numel(), dtype=torch.float64).reshape(y.shape[1:])
        gradients = torch.autograd.grad((y * weights).sum(), leaves)
        made, errors = alone(kind, settings, inputs, backend)
        np.testing.assert_allclose(made, y.detach().numpy(), rtol=0, atol=1e-14)
        for ours, theirs in zip(errors, gradients, strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("backend", BACKENDS)
def test_of_equal_numbers_the_first_of_a_window_gets_the_error(backend: str) -> None:
    """Row by row, as torch has it; windows that overlap are counted by themselves. All are 1 but one 2 and one 0."""
    x = np.ones((2, 2, 3, 4))
    x[:, 1, 0, 0], x[:, 1, 1, 2] = 0, 2
    settings = {"kernel": (2, 3), "stride": (1, 2), "padding": (1, 1)}
    made, (error,) = alone("max_pool2d", settings, (x,), backend)
    np.testing.assert_array_equal(made[0], [np.ones((4, 2)), [[1, 1], [1, 2], [1, 2], [1, 1]]])
    # The windows of channel 1 are weighted by 9 to 16.
    np.testing.assert_array_equal(
        error[1],
        [
            [[1 + 3, 2 + 4, 0, 0], [5, 6, 0, 0], [7, 8, 0, 0]],
            [[0, 9 + 10 + 11, 0, 0], [13, 0, 12 + 14, 0], [15, 16, 0, 0]],
        ],
    )
    np.testing.assert_array_equal(error[0], error[1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_along_axes_equal_numbers_share_the_error(backend: str) -> None:
    """As torch has it for `amax`; a window gives it to one of them."""
    x = np.array([[[[1.0, 3], [2, 2]], [[1, 0], [2, 2]], [[1, 3], [0, 2]]]])
    made, (error,) = alone("max", {"axes": "channels", "keep": True}, (x,), backend)
    np.testing.assert_array_equal(made, [[[[1, 3], [2, 2]]]])
    leaf = torch.tensor(x, requires_grad=True)
    weighted = leaf.amax(1, keepdim=True) * torch.tensor([[1.0, 2], [3, 4]])
    (expected,) = torch.autograd.grad(weighted.sum(), leaf)
    np.testing.assert_allclose(error, expected.numpy(), rtol=1e-15)
    np.testing.assert_allclose(error[0, :, 1, 1], 4 / 3, rtol=1e-15)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_that_is_padded_wins_and_nan_is_not_passed_over(backend: str, precision: Precision) -> None:
    """Of x = 1, 0 and -1 the logarithm is 0, -inf and NaN: where all is -inf the map wins over what is around it."""
    x = np.zeros((1, 1, 4, 4))
    x[0, 0] = [[0, 0, 1, -1], [0, -1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]]
    window = {"kernel": 2, "padding": 1}
    made, (error,) = alone("max_pool2d", window, (x,), backend, precision, lambda b, x: b.emit("log", x))
    low = -np.inf
    np.testing.assert_array_equal(made[0, 0], [[low, 0, np.nan], [0, np.nan, 0], [low, low, low]])
    np.testing.assert_array_equal(error[0, 0], [[1, 0, 2, 3], [0, 5, 0, 6], [4, 0, 0, 0], [7, 8, 0, 9]])


def test_a_step_of_onnx_finds_the_largest_numbers_and_where_they_stand_in_one_go() -> None:
    data = spec(
        (conv2d("c1", 2, 2), {"kind": "max_pool2d", "kernel": 2}, {"kind": "flatten"}, linear("out", 3)),
        shape=(1, 5, 5),
    )
    made = fac.compile(data, backend="onnx")
    assert isinstance(made, OnnxArtifact)
    for function, outputs in ((made.compiled.step, 2), (made.compiled.forward, 1)):
        (node,) = (node for node in made.made(function).graph.node if node.op_type == "MaxPool")
        assert len(node.output) == outputs


def test_two_constants_of_the_same_numbers_in_other_shapes_are_two() -> None:
    """[2, 1] on one axis and [1, 2] on the other, both of ones."""
    graph = Graph()
    names = {graph.constant(np.ones(shape), DOUBLE) for shape in ((2, 1), (1, 2), (2,))}
    assert len(names) == 3
