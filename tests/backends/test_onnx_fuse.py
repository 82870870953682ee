"""What becomes of products, of the hash and of scalars on the way to ONNX: the numbers, and the nodes that are left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fac.backend import Precision
from fac.passes.common import share_common
from fac.pipeline import compile
from fac.step.builder import Builder
from fac.step.ir import Function, Value
from fac.step.random import MULTIPLIERS, uniform_bits
from fac.step.types import DType, N, Type
from fac.testing.nets import Data, mlp, spec
from fac_onnx.artifact import OnnxArtifact
from fac_onnx.emit import model
from fac_onnx.runtime import ort
from fac_reference.interpreter import run

TOLERANCE = {"float64": 1e-14, "float32": 3e-6}
"""Relative to numbers near 1."""


def compared(function: Function, inputs: dict[str, Any], precision: Precision) -> Counter[str]:
    """Runs a function with onnxruntime and with the interpreter; returns the ops that ONNX needs."""
    made = model(function, precision, {})
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {
        v.name: np.asarray(inputs[v.name], precision if v.type.dtype == DType.FLOAT else np.int64)
        for v in function.inputs
    }
    names = [output.name for output in made.graph.output]
    found = session.run(names, feeds)
    given = {name: value if np.ndim(value) else value.item() for name, value in feeds.items()}
    expected = run(function, given, np.dtype(precision))
    for value, (name, _) in zip(found, function.outputs, strict=True):
        tolerance = TOLERANCE[precision]
        np.testing.assert_allclose(value, expected[name], rtol=tolerance, atol=tolerance)
    return Counter(node.op_type for node in made.graph.node)


def factors_of(b: Builder) -> dict[str, Value]:
    return {
        "x": b.input("x", Type((N, 4))),
        "d": b.input("d", Type((N, 3))),
        "w": b.input("w", Type((3, 4))),
        "v": b.input("v", Type((3, 4))),
        "row": b.input("row", Type((4,))),
        "lr": b.scalar("lr"),
    }


def drawn() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    shapes = {"x": (5, 4), "d": (5, 3), "w": (3, 4), "v": (3, 4), "row": (4,), "lr": ()}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


Sum = Callable[[Builder, dict[str, Value], Value], Value]
"""From the product g = d^T x to the result."""

ONE_GEMM: dict[str, Sum] = {
    "sgd": lambda b, i, g: b.sub(i["w"], b.mul(g, i["lr"])),
    "momentum": lambda b, i, g: b.add(b.mul(i["v"], 0.5), g),
    "momentum, other way round": lambda b, i, g: b.add(g, b.mul(i["v"], 0.5)),
    "decay": lambda b, i, g: b.add(g, b.mul(i["w"], 0.25)),
    "bias": lambda b, i, g: b.add(g, i["row"]),
    "minus": lambda b, i, g: b.sub(g, i["w"]),
    "half": lambda b, i, g: b.mul(g, 0.5),
    "scaled sum": lambda b, i, g: b.sub(i["w"], b.mul(b.mul(g, 0.5), i["lr"])),
    "scalar c": lambda b, i, g: b.add(g, i["lr"]),
}


def built(make: Sum) -> Function:
    b = Builder()
    i = factors_of(b)
    return b.finish("step", {"result": make(b, i, b.matmul(i["d"], i["x"], ta=True))})


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("make", ONE_GEMM.values(), ids=ONE_GEMM)
def test_one_gemm(make: Sum, precision: Precision) -> None:
    """All factors here are exact in float32. Nothing of the size of the weights is left beside the product."""
    ops = compared(built(make), drawn(), precision)
    assert ops["Gemm"] == 1
    assert ops["Add"] + ops["Sub"] == 0
    assert ops["Mul"] <= 1


def test_the_scalar_is_applied_to_the_smaller_factor() -> None:
    made = model(built(ONE_GEMM["sgd"]), "float32", {})
    (mul,) = (node for node in made.graph.node if node.op_type == "Mul")
    assert mul.input[0] == "d"


STAYS: dict[str, tuple[Sum, int]] = {
    "two readers": (lambda b, i, g: b.add(b.add(i["w"], g), b.mul(g, g)), 2),
    "a sum of three": (lambda b, i, g: b.add(b.add(i["w"], g), i["v"]), 1),
    "a product that is added to itself": (lambda b, i, g: b.add(g, g), 1),
}


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize(("make", "adds"), STAYS.values(), ids=STAYS)
def test_what_has_other_readers_stays(make: Sum, adds: int, precision: Precision) -> None:
    ops = compared(built(make), drawn(), precision)
    assert (ops["Gemm"], ops["Add"]) == (1, adds)


def test_a_product_that_is_an_output_itself_stays() -> None:
    b = Builder()
    i = factors_of(b)
    g = b.named(b.matmul(i["d"], i["x"], ta=True), "g")
    ops = compared(b.finish("step", {"g": g, "sum": b.add(g, i["w"])}), drawn(), "float64")
    assert (ops["Gemm"], ops["Add"]) == (1, 1)


@pytest.mark.parametrize(("precision", "folded"), [("float64", False), ("float32", True)])
def test_factors_that_float32_rounds_stay_ops_in_float64(precision: Precision, folded: bool) -> None:
    """Attributes are float32: 0.9 as beta would be wrong by 2e-8."""
    ops = compared(built(lambda b, i, g: b.add(b.mul(i["v"], 0.9), g)), drawn(), precision)
    assert (ops["Mul"] == 0) is folded


@settings(max_examples=60, derandomize=True)
@given(st.data())
def test_random_sums_of_products(data: st.DataObject) -> None:
    """Any nesting of sums, differences and multiples of products and matrices."""
    b = Builder()
    i = factors_of(b)
    pool = [i["w"], i["v"], b.matmul(i["d"], i["x"], ta=True), b.matmul(i["d"], i["x"], ta=True)]
    for _ in range(data.draw(st.integers(1, 8))):
        kind = data.draw(st.sampled_from(["add", "sub", "mul"]))
        left = data.draw(st.sampled_from(pool))
        scalars = [i["lr"], b.constant(0.5), b.constant(-2.0), b.constant(0.3)]
        right = data.draw(st.sampled_from(scalars if kind == "mul" else [*pool, i["row"], *scalars]))
        operands = (right, left) if data.draw(st.booleans()) else (left, right)
        pool.append(b.emit(kind, *operands))
    compared(
        b.finish("step", {"result": pool[-1], "other": data.draw(st.sampled_from(pool[4:]))}),
        drawn(),
        "float64",
    )


# -- whole steps --------------------------------------------------------------------------------------------------


def step_ops(update: Data) -> Counter[str]:
    """The ops of a bp step in float32 whose result has the shape of a weight."""
    made = compile(spec(mlp(8, 6, 3), {"rule": "bp"}, update), "onnx", "float32")
    assert isinstance(made, OnnxArtifact)
    graph = made.made(made.compiled.step).graph
    shapes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*graph.value_info, *graph.output)
    }
    return Counter(node.op_type for node in graph.node if shapes[node.output[0]] in ([8, 5], [6, 8], [3, 6]))


def test_sgd_touches_each_weight_once() -> None:
    assert step_ops({"rule": "sgd", "lr": 0.1}) == {"Gemm": 3}


def test_momentum_touches_each_weight_three_times() -> None:
    assert step_ops({"rule": "sgd", "lr": 0.1, "momentum": 0.9}) == {"Gemm": 3, "Mul": 3, "Sub": 3}


# -- integers and scalars -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0, 7, 2**31, 2**32 - 1, 2**40 + 3, 2**63 - 1])
@pytest.mark.parametrize("seed", [0, 2**32 - 1, 2**64 - 1])
def test_the_hash_gives_the_same_bits(step: int, seed: int) -> None:
    """32-bit arithmetic that wraps around, against 64-bit arithmetic that is cut to 32 bits."""
    b = Builder()
    b.input("x", Type((N, 1)))
    bits = uniform_bits(b, (N, 40), seed, "drop", b.scalar("step", DType.INT))
    function = b.finish("forward", {"bits": bits})
    made = model(function, "float32", {})
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.zeros((9, 1), np.float32)
    (found,) = session.run(None, {"x": x, "step": np.array(step)})
    expected = run(function, {"x": x, "step": step}, np.dtype("float32"))["bits"]
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(found)) > 300


OUTSIDE: dict[str, Callable[[Builder, Value, Value], Value]] = {
    "the index itself": lambda b, index, bits: b.emit("add", index, b.constant(5)),
    "a product beyond 32 bits": lambda b, index, bits: b.emit("mul", index, b.constant(MULTIPLIERS[0])),
    "a number beyond 32 bits": lambda b, index, bits: b.emit("bit_xor", index, b.constant(2**35)),
    "a comparison with what is negative": lambda b, index, bits: b.emit("less", b.constant(-1), index),
    "a comparison with what is large": lambda b, index, bits: b.emit("less", bits, b.constant(2**40)),
    "the bits, times much": lambda b, index, bits: b.emit("mul", bits, b.constant(2**20)),
    "the bits and the index": lambda b, index, bits: b.emit("less", bits, index),
}


@pytest.mark.parametrize("read", OUTSIDE.values(), ids=OUTSIDE)
def test_integers_that_others_read_are_whole(read: Callable[[Builder, Value, Value], Value]) -> None:
    """Common subexpressions join what a layer computes with what the hash does on its way."""
    b = Builder()
    b.input("x", Type((N, 1)))
    bits = uniform_bits(b, (N, 40), 3, "drop", b.scalar("step", DType.INT))
    other = b.cast(read(b, b.iota((N, 40)), bits), DType.FLOAT)
    function = share_common(b.finish("forward", {"other": other, "bits": bits}))
    compared(function, {"x": np.zeros((9, 1)), "step": 11}, "float64")


@pytest.mark.parametrize(
    "factors", [(1 / 3, 1 / 3), (2.0**100, 2.0**100), (2.0**-100, 2.0**-100), (0.0, 1.0)]
)
def test_products_of_factors_are_looked_at_again(factors: tuple[float, float]) -> None:
    """Each may be a float32, and their product not."""

    def make(b: Builder, i: dict[str, Value], g: Value) -> Value:
        first, second = (float(np.float32(factor)) for factor in factors)
        return b.add(b.mul(b.mul(g, first), second), b.mul(i["w"], second))

    b = Builder()
    i = factors_of(b)
    function = b.finish("step", {"result": make(b, i, b.matmul(i["d"], i["x"], ta=True))})
    compared(function, drawn(), "float64")


@pytest.mark.parametrize("t", [0, 1, 1000])
def test_scalars_are_computed_in_double_precision(t: int) -> None:
    """1 - 0.999^t in float32 would be wrong by 5e-5 at the first step of Adam."""
    b = Builder()
    x, step = b.input("x", Type((N, 1))), b.scalar("step", DType.INT)
    correction = b.sub(1.0, b.pow(0.999, b.add(b.cast(step, DType.FLOAT), 1.0)))
    made = model(b.finish("forward", {"y": b.div(x, correction)}), "float32", {})
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": np.ones((1, 1), np.float32), "step": np.array(t)})
    assert found[0, 0] == pytest.approx(1 / (1 - 0.999 ** (t + 1)), rel=1e-7)


# -- projection ---------------------------------------------------------------------------------------------------

ROWS = np.random.default_rng(3).standard_normal((4, 6))
READINGS = {
    "independent": ROWS,
    "repeated": ROWS[[0, 1, 0, 1]],
    "sum of others": np.vstack([ROWS[:3], ROWS[0] - 2 * ROWS[1]]),
    "zero": np.zeros((4, 6)),
    "one zero row": np.vstack([ROWS[:2], np.zeros((1, 6)), ROWS[2:3]]),
    "more rows than columns": np.vstack([ROWS, ROWS @ ROWS.T @ ROWS, ROWS]),
    "nearly parallel": ROWS[:1] + 1e-6 * ROWS,
    "large and small": ROWS * np.array([[1e6], [1.0], [1e-6], [1e3]]),
}


@pytest.mark.parametrize("p", READINGS.values(), ids=READINGS)
def test_projection_on_rows_that_may_depend_on_each_other(p: Any) -> None:
    """Against an orthonormal basis from a singular value decomposition."""
    b = Builder()
    d, reading = b.input("x", Type((N, 6))), b.input("p", Type(p.shape))
    made = model(b.finish("forward", {"y": b.emit("project", d, reading)}), "float64", {})
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(4).standard_normal((7, 6))
    (found,) = session.run(None, {"x": x, "p": p})
    scaled = p / np.maximum(np.linalg.norm(p, axis=1, keepdims=True), 1e-300)
    _, sizes, rows = np.linalg.svd(scaled)
    basis = rows[: len(sizes)][sizes > 1e-13 * max(sizes[0], 1e-300)]
    np.testing.assert_allclose(found, x @ basis.T @ basis, atol=1e-8)
