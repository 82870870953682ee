"""Maps with their channels last in memory: found by the flow of data, there at run time, and no number shows it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from fac.step.builder import Builder
from fac.step.ir import Attribute, Function, Value
from fac.step.types import Batch, N, Shape, Type
from fac_reference.interpreter import run
from fac_torch import kernels
from fac_torch.emit import Emitter

WINDOW: dict[str, Attribute] = {"stride": (2, 1), "padding": (1, 1, 0, 0), "dilation": (1, 2), "groups": 1}
SAMPLES, CHANNELS, SIZE, MADE, KERNEL, RANK = 3, 5, (7, 9), 6, (3, 2), 2
X = Type((N, CHANNELS, *SIZE))
Y = (N, MADE, 4, 7)
"""What the window makes of such a map."""


def convolution(b: Builder, x: Value) -> Value:
    """With a bias and an activation."""
    w, bias = b.input("w", Type((MADE, CHANNELS, *KERNEL))), b.input("bias", Type((MADE,)))
    return b.emit("relu", b.add(b.emit("conv2d", x, w, **WINDOW), b.reshape(bias, (MADE, 1, 1))))


def passed_on(b: Builder, error: Value, matrix: Value) -> Value:
    """What the error of a map sends through a convolution with that matrix [r, c u v] in the place of the kernel."""
    kernel = b.reshape(matrix, (matrix.type.shape[0], CHANNELS, *KERNEL))
    return b.emit("conv2d_input", error, kernel, size=SIZE, **WINDOW)


def flattened(b: Builder, x: Value) -> dict[str, Value]:
    """A map, read by a product."""
    y = convolution(b, x)
    read = b.input("read", Type((4, MADE * 4 * 7)))
    return {"made": b.matmul(b.reshape(y, (N, MADE * 4 * 7)), read, tb=True)}


def low_rank(b: Builder, x: Value) -> dict[str, Value]:
    """Rows of an error times P, back into a map, and past Q: [N, C, H, W] -> [N H W, C] -> [N, r, H, W]."""
    y = convolution(b, x)
    p, q = b.input("p", Type((RANK, MADE))), b.input("q", Type((CHANNELS * 3 * 2, RANK)))
    rows = b.reshape(b.transpose(b.mul(y, y), (0, 2, 3, 1)), (Batch(28), MADE))
    sent = b.transpose(b.reshape(b.matmul(rows, p, tb=True), (N, 4, 7, RANK)), (0, 3, 1, 2))
    return {"made": passed_on(b, sent, b.transpose(q, (1, 0)))}


def direct(b: Builder, x: Value) -> dict[str, Value]:
    """An error straight to a map, through the activation's derivative, to the gradient of the kernel."""
    y = convolution(b, x)
    error, matrix = b.input("error", Type((N, 4))), b.input("matrix", Type((MADE * 4 * 7, 4)))
    sent = b.reshape(b.matmul(error, matrix, tb=True), Y)
    return {"made": b.emit("conv2d_weight", b.emit("relu_input", sent, y), x, kernel=KERNEL, **WINDOW)}


def copied(b: Builder, x: Value) -> dict[str, Value]:
    """Rows that are no product, as a map; and a map that two read."""
    y = convolution(b, x)
    rows = b.input("rows", Type((N, MADE * 4 * 7)))
    back = passed_on(
        b, b.add(y, b.reshape(b.neg(rows), Y)), b.input("matrix", Type((MADE, CHANNELS * 3 * 2)))
    )
    return {"made": back, "sum": b.sum(b.mul(b.neg(x), back), (0, 2, 3))}


POOL: dict[str, Attribute] = {"kernel": (2, 3), "stride": (1, 2), "padding": (1, 0)}


def pooled(b: Builder, x: Value) -> dict[str, Value]:
    """The error of a pool's rows goes to where the pool found them, past the activation, to the kernel and to x."""
    y = convolution(b, x)
    rows = b.reshape(b.emit("max_pool2d", y, **POOL), (N, MADE * 5 * 3))
    read = b.input("read", Type((4, MADE * 5 * 3)))
    error = b.reshape(b.matmul(b.matmul(rows, read, tb=True), read), (N, MADE, 5, 3))
    back = b.emit("unpick", error, b.emit("max_pool2d_index", y, **POOL), shape=Y)
    back = b.emit("relu_input", back, y)
    return {
        "made": b.emit("conv2d_weight", back, x, kernel=KERNEL, **WINDOW),
        "sent": passed_on(b, back, b.reshape(b.inputs[1], (MADE, CHANNELS * 3 * 2))),
    }


def turned_state(b: Builder, x: Value) -> dict[str, Value]:
    """State is never viewed in another order: it may be written in place."""
    w = b.input("w", Type((2, 2, 2, 2)))
    square = b.emit("conv2d", b.input("z", Type((N, 2, 3, 3))), w, **(WINDOW | {"dilation": (1, 1)}))
    return {"made": b.sum(square, (0,)), "w": b.add(b.transpose(w, (0, 2, 3, 1)), 1.0)}


FUNCTIONS: tuple[Callable[[Builder, Value], dict[str, Value]], ...] = (
    flattened, low_rank, direct, copied, pooled, turned_state,
)  # fmt: skip
EACH = pytest.mark.parametrize("write", FUNCTIONS, ids=lambda write: write.__name__)


def function_of(write: Callable[[Builder, Value], dict[str, Value]]) -> Function:
    """A step that writes what is made into state of that name."""
    b = Builder()
    x = b.input("x", X)
    outputs = write(b, x)
    given = {value.name for value in b.inputs}
    b.inputs += [Value(name, value.type) for name, value in outputs.items() if name not in given]
    return b.finish("step", {"loss": b.sum(x, (0, 1, 2, 3)), **outputs})


def drawn(function: Function) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {value.name: rng.standard_normal(concrete(value.type.shape)) for value in function.inputs}


def concrete(shape: Shape) -> tuple[int, ...]:
    return tuple(dim if isinstance(dim, int) else dim.times * SAMPLES for dim in shape)


class Run:
    """The step, run once, and how every tensor in it lay in memory when it was made."""

    def __init__(self, function: Function, inputs: dict[str, Any]) -> None:
        self.emitter = Emitter(function, buffered=True)
        self.text = self.emitter.source()
        module = ModuleType("maps")
        text = "import math\nimport torch\nfrom fac_torch import kernels\n\n" + self.text + "\n\n"
        exec(compile(text + self.emitter.workspace(), "<maps>", "exec"), module.__dict__)
        tensors = {name: torch.from_numpy(a.copy()) for name, a in inputs.items()}
        x = kernels.channels_last(tensors.pop("x"))
        workspace = module.workspace(tensors, SAMPLES)
        self.seen: dict[str, torch.Tensor] = {}
        before = sys.gettrace()
        sys.settrace(lambda frame, *_: self._trace if frame.f_code.co_filename == "<maps>" else None)
        try:
            module.step(tensors, workspace, x, None, 0.1, 0)
        finally:
            sys.settrace(before)
        self.state = {name: tensor.numpy() for name, tensor in tensors.items()}

    def _trace(self, frame: FrameType, *_: Any) -> Any:
        self.seen |= {k: v for k, v in frame.f_locals.items() if isinstance(v, torch.Tensor)}
        return self._trace


@EACH
def test_numbers_are_those_of_the_reference(write: Any) -> None:
    function = function_of(write)
    inputs = drawn(function)
    expected = run(function, inputs, np.dtype("float64"))
    found = Run(function, inputs).state
    for name, value in expected.items():
        if name != "loss":
            np.testing.assert_allclose(found[name], value, rtol=1e-12, atol=1e-12, err_msg=name)


@EACH
def test_maps_lie_as_the_flow_of_data_says(write: Any) -> None:
    function = function_of(write)
    done = Run(function, drawn(function))
    names = {done.emitter.names[value]: value for value in done.emitter.maps}
    maps = {name: tensor for name, tensor in done.seen.items() if name in names}
    assert maps
    for name, tensor in maps.items():
        assert tensor.is_contiguous(memory_format=torch.channels_last), name


def test_rows_of_a_map_and_maps_of_rows_are_views() -> None:
    function = function_of(low_rank)
    done = Run(function, drawn(function))
    assert ".permute(" in done.text
    assert "permute_copy" not in done.text.replace("torch.permute_copy(q, (1, 0)", "")
    for line in done.emitter.lines:
        if line.kind == "permute":
            assert line.result is not None
            before, after = (done.seen[done.emitter.names[v]] for v in (line.operands[0], line.result))
            assert before.data_ptr() == after.data_ptr()


def test_a_product_writes_its_rows_as_a_map() -> None:
    """Reordering a small matrix costs less than reordering what it makes."""
    assert "kernels.matmul_map(error, matrix" in Run(function_of(direct), drawn(function_of(direct))).text


def test_a_bias_is_part_of_the_convolution() -> None:
    done = Run(function_of(flattened), drawn(function_of(flattened)))
    (line,) = [line for line in done.emitter.lines if line.kind == "conv2d"]
    assert [value.name for value in line.operands] == ["x", "w", "bias"]
    assert not [line for line in done.emitter.lines if line.kind == "add"]


def test_a_pool_is_one_call_forwards_and_one_back() -> None:
    done = Run(function_of(pooled), drawn(function_of(pooled)))
    pools = [line for line in done.emitter.lines if line.kind.startswith(("max_pool2d", "unpick"))]
    assert [line.kind for line in pools] == ["max_pool2d_with_index", "max_pool2d_back"]
    assert len(pools[0].results) == 2


def test_what_torch_allocated_is_written_over_and_given_back() -> None:
    done = Run(function_of(flattened), drawn(function_of(flattened)))
    product = next(line for line in done.text.splitlines() if "torch.conv2d" in line).split()[0]
    activation = next(line for line in done.text.splitlines() if "torch.clamp_min" in line)
    assert f"out={product})" in activation
    assert f"del {product}, {activation.split()[0]}" in done.text


def test_state_stays_in_its_order_where_nothing_else_is_wanted() -> None:
    assert (
        "permute_copy(w, (0, 2, 3, 1)"
        in Run(function_of(turned_state), drawn(function_of(turned_state))).text
    )


def test_vectors_know_no_order() -> None:
    """Without a convolution or a pool nothing is laid out, whatever its rank."""
    b = Builder()
    x = b.input("x", X)
    y = b.mul(x, b.input("w", X))
    emitter = Emitter(b.finish("step", {"loss": b.sum(y, (0, 1, 2, 3)), "w": y}), buffered=True)
    assert emitter.maps == frozenset()
    assert "last" not in emitter.workspace()
