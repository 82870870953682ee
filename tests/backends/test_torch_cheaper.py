"""Maps computed another way where that is less work: the same numbers, and less is left to do."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from fac.passes import optimise
from fac.step.builder import Builder
from fac.step.ir import Attribute, Function, Value
from fac.step.types import Batch, N, Type
from fac.step.verify import verify
from fac_reference.interpreter import run
from fac_torch.cheaper import cheaper
from fac_torch.lowering import drafted

CHANNELS, SIDE, READ, MADE, RANK = 3, 6, 2, 4, 2
APART: dict[str, Attribute] = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0)}
OVERLAPPING: dict[str, Attribute] = {"kernel": (3, 2), "stride": (1, 2), "padding": (1, 0)}
WINDOW: dict[str, Attribute] = {"stride": (1, 1), "padding": (1, 1, 1, 1), "dilation": (1, 1), "groups": 1}
SLOPES: dict[str, dict[str, Attribute]] = {
    "relu": {},
    "leaky_relu": {"slope": 0.1},
    "tanh": {},
    "sigmoid": {},
}


def pooled(curve: str, window: dict[str, Attribute], seen: bool = False) -> Function:
    """What reaches a map before its activation from an error behind the pool, and its sum by channel."""
    b = Builder()
    y = b.emit(curve, b.input("x", Type((N, CHANNELS, SIDE, SIDE))), **SLOPES[curve])
    chosen = b.emit("max_pool2d", y, **window)
    spread = b.emit("unpick", b.mul(chosen, 3.0), b.emit("max_pool2d_index", y, **window), shape=y.type.shape)
    error = b.emit(f"{curve}_input", spread, y, **SLOPES[curve])
    made = {"error": error, "sum": b.sum(error, (0, 2, 3))}
    return b.finish("f", made | ({"spread": spread} if seen else {}))


def learned(whole: bool = True, groups: int = 1, other: bool = False) -> Function:
    """The gradient of Q past a convolution, behind that of its kernel, or of another kernel that reads x."""
    b = Builder()
    x = b.input("x", Type((N, READ, SIDE, SIDE)))
    error, beside = (b.input(name, Type((N, MADE, SIDE, SIDE))) for name in ("error", "beside"))
    p = b.input("p", Type((RANK, MADE)))
    gradients = {"w": weight_gradient(b, error, x, groups)} if whole else {}
    gradients |= {"v": weight_gradient(b, beside, x, groups)} if other else {}
    rows = b.reshape(b.transpose(error, (0, 2, 3, 1)), (Batch(SIDE * SIDE), MADE))
    seen = b.reshape(b.matmul(rows, p, tb=True), (N, SIDE, SIDE, RANK))
    return b.finish("f", gradients | {"q": weight_gradient(b, b.transpose(seen, (0, 3, 1, 2)), x, groups)})


def weight_gradient(b: Builder, error: Value, x: Value, groups: int) -> Value:
    return b.emit("conv2d_weight", error, x, kernel=(3, 3), **{**WINDOW, "groups": groups})


def same(function: Function) -> Counter[str]:
    """How often each op is left where it is computed the cheaper way, which makes the same."""
    rng = np.random.default_rng(0)
    found = cheaper(function)
    verify(found)
    given = {v.name: rng.standard_normal(tuple(d if isinstance(d, int) else 5 * d.times for d in v.type.shape))
             for v in function.inputs}  # fmt: skip
    expected, made = (run(f, given, np.dtype("float64")) for f in (function, found))
    for name, value in expected.items():
        np.testing.assert_allclose(made[name], value, rtol=0, atol=1e-12, err_msg=name)
    return Counter(line.kind for line in drafted(found, (), moves=False).lines)


@pytest.mark.parametrize("window", [APART, OVERLAPPING], ids=["apart", "overlapping"])
@pytest.mark.parametrize("curve", SLOPES)
def test_a_slope_is_taken_where_the_pool_chose(curve: str, window: dict[str, Attribute]) -> None:
    found = cheaper(pooled(curve, window))
    slope = next(op for op in found.ops if op.kind == f"{curve}_input")
    summed = next(op for op in found.ops if op.kind == "sum")
    chosen = next(op.result.type for op in found.ops if op.kind == "max_pool2d")
    assert slope.result.type == slope.operands[1].type == summed.operands[0].type == chosen
    assert chosen.shape != (N, CHANNELS, SIDE, SIDE)
    assert same(pooled(curve, window))["unpick"] == 1


def test_an_error_that_somebody_else_reads_is_made_as_it_is_written() -> None:
    found = cheaper(pooled("relu", APART, seen=True))
    slope = next(op for op in found.ops if op.kind == "relu_input")
    assert slope.result.type.shape == (N, CHANNELS, SIDE, SIDE)
    same(pooled("relu", APART, seen=True))


def test_numbers_that_another_window_or_another_map_chose_are_not_taken() -> None:
    """Of two pools of one map, and of a pool of another map, the numbers have the same shape."""
    b = Builder()
    x, z = (b.input(name, Type((N, CHANNELS, SIDE, SIDE))) for name in ("x", "z"))
    y = b.emit("relu", x)
    made: dict[str, Value] = {}
    windows = {"wide": APART, "narrow": {**APART, "kernel": (1, 1)}}
    pools = {name: b.emit("max_pool2d", y, **window) for name, window in windows.items()}
    for name, window in windows.items():
        chosen = pools[name]
        for of in (y, z):
            error = b.emit(
                "unpick", b.mul(chosen, 3.0), b.emit("max_pool2d_index", of, **window), shape=y.type.shape
            )
            made[f"{name}.{of.name}"] = b.emit("relu_input", error, y)
    found = same(b.finish("f", made))
    assert found["max_pool2d"] == 2


@pytest.mark.parametrize("axes", [(0,), (2,), (0, 1), (1, 2, 3)])
def test_a_sum_along_other_axes_tells_places_apart(axes: tuple[int, ...]) -> None:
    b = Builder()
    y = b.input("x", Type((N, CHANNELS, SIDE, SIDE)))
    index = b.emit("max_pool2d_index", y, **APART)
    spread = b.emit("unpick", b.emit("max_pool2d", y, **APART), index, shape=y.type.shape)
    assert same(b.finish("f", {"sum": b.sum(spread, axes)}))["sum"] == 1


def test_what_a_projected_error_teaches_a_kernel_is_projected_from_the_whole() -> None:
    assert same(learned())["conv2d_weight"] == 1
    assert same(learned(whole=False))["conv2d_weight"] == 1, "there is no whole, and none is made"


def test_the_gradient_of_another_kernel_that_reads_the_map_is_not_the_whole() -> None:
    assert same(learned(other=True))["conv2d_weight"] == 2
    assert same(learned(whole=False, other=True))["conv2d_weight"] == 2


def test_groups_do_not_mix() -> None:
    assert same(learned(groups=2))["conv2d_weight"] == 2


def test_a_step_learns_q_of_a_convolution_without_another_convolution() -> None:
    import fac

    layers = [{"kind": "conv2d", "name": f"c{i}", "out": 4, "kernel": 3} for i in range(3)]
    spec = {
        "fac": 1,
        "name": "s",
        "input": {"shape": [2, 8, 8]},
        "layers": [*layers, {"kind": "flatten"}, {"kind": "linear", "name": "out", "out": 3}],
        "loss": {"kind": "cross_entropy"},
        "feedback": {"rule": "ldfa", "rank": 2},
        "update": {"rule": "sgd", "lr": 0.1},
    }
    step = fac.compile(spec).compiled.step
    assert Counter(op.kind for op in step.ops)["conv2d_weight"] == 5, "three kernels, two Q"
    assert (
        Counter(line.kind for line in drafted(cheaper(optimise(step)), (), moves=True).lines)["conv2d_weight"]
        == 3
    )
