"""Maps with their channels last in memory: found by the flow of data, there at run time, and no number shows it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import product
from types import FrameType, ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from fac.passes.common import share_common
from fac.step.builder import Builder
from fac.step.feed import fed
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


def normalized(b: Builder, x: Value) -> dict[str, Value]:
    """A map by the moments of the batch, forwards and back."""
    y = convolution(b, x)
    over: dict[str, Attribute] = {"axes": (0, 2, 3), "eps": 0.1}
    scale, shift = (b.reshape(b.input(name, Type((MADE,))), (MADE, 1, 1)) for name in ("scale", "shift"))
    z = b.emit("normalize", y, scale, shift, **over)
    mean, variance = b.mean(y, (0, 2, 3)), b.variance(y, (0, 2, 3))
    back = b.emit("normalize_input", b.mul(z, z), y, mean, variance, scale, **over)
    return {
        "made": b.emit("conv2d_weight", back, x, kernel=KERNEL, **WINDOW),
        "slope": b.emit("normalize_scale", b.mul(z, z), y, mean, variance, shape=(MADE, 1, 1), **over),
        "mean": mean,
        "variance": variance,
    }


def sequence(b: Builder, x: Value) -> dict[str, Value]:
    """[N, C, L], convolved as a map of one row; the kernel is kept as a sequence too."""
    w, line = b.input("w", Type((MADE, CHANNELS, 2))), b.reshape(x, (N, CHANNELS, 63))
    z = b.input("z", Type((N, CHANNELS, 63)))
    moves: dict[str, Attribute] = {"stride": (1, 1), "padding": (0, 0, 1, 0), "dilation": (1, 1), "groups": 1}
    kernel, row = b.reshape(w, (MADE, CHANNELS, 1, 2)), b.reshape(b.mul(line, z), (N, CHANNELS, 1, 63))
    y = b.emit("sigmoid", b.reshape(b.emit("conv2d", row, kernel, **moves), (N, MADE, 63)))
    back = b.emit("conv2d_weight", b.reshape(b.mul(y, y), (N, MADE, 1, 63)), row, kernel=(1, 2), **moves)
    return {"made": b.reshape(y, (N, MADE * 63)), "w": b.add(w, b.reshape(back, (MADE, CHANNELS, 2)))}


def turned_state(b: Builder, x: Value) -> dict[str, Value]:
    """State is never viewed in another order: it may be written in place."""
    w = b.input("w", Type((2, 2, 2, 2)))
    square = b.emit("conv2d", b.input("z", Type((N, 2, 3, 3))), w, **(WINDOW | {"dilation": (1, 1)}))
    return {"made": b.sum(square, (0,)), "w": b.add(b.transpose(w, (0, 2, 3, 1)), 1.0)}


FUNCTIONS: tuple[Callable[[Builder, Value], dict[str, Value]], ...] = (
    flattened, low_rank, direct, copied, pooled, normalized, sequence, turned_state,
)  # fmt: skip
EACH = pytest.mark.parametrize("write", FUNCTIONS, ids=lambda write: write.__name__)


def function_of(write: Callable[[Builder, Value], dict[str, Value]]) -> Function:
    """A step that writes what is made into state of that name."""
    b = Builder()
    x = b.input("x", X)
    outputs = write(b, x)
    given = {value.name for value in b.inputs}
    b.inputs += [Value(name, value.type) for name, value in outputs.items() if name not in given]
    b.input("kept", Type((1,)))  # the workspace takes its type from the state
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
        batch = [{**tensors, "x": x}[value.name] for value in function.inputs if fed(value)]
        self.seen: dict[str, torch.Tensor] = {}
        before = sys.gettrace()
        sys.settrace(lambda frame, *_: self._trace if frame.f_code.co_filename == "<maps>" else None)
        try:
            module.step(tensors, workspace, *batch, 0.1, 0)
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
        assert tensor.movedim(1, -1).is_contiguous(), name


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


def test_a_normalisation_is_one_call_forwards_and_one_back() -> None:
    function = share_common(function_of(normalized))
    lines = Run(function, drawn(function)).emitter.lines
    calls = [line for line in lines if line.kind.startswith(("norm", "batch", "mean", "var", "moments"))]
    assert [(line.kind, len(line.results)) for line in calls] == [
        ("batch_norm_moments", 3),
        ("normalize_back", 2),
    ]


def test_a_kernel_with_several_results_reads_none_of_them() -> None:
    """Here the scale is made of the mean of the same numbers, which therefore has to come first."""
    b = Builder()
    x = b.input("x", X)
    mean = b.reshape(b.mean(x, (0, 2, 3)), (CHANNELS, 1, 1))
    z = b.emit("normalize", x, mean, mean, axes=(0, 2, 3), eps=0.1)
    outputs = {"made": b.add(z, b.reshape(b.variance(x, (0, 2, 3)), (CHANNELS, 1, 1)))}
    b.inputs += [Value("made", X), Value("kept", Type((1,)))]
    function = b.finish("step", {"loss": b.sum(x, (0, 1, 2, 3)), **outputs})
    inputs = drawn(function)
    done = Run(function, inputs)
    expected = run(function, inputs, np.dtype("float64"))["made"]
    np.testing.assert_allclose(done.state["made"], expected, rtol=1e-12, atol=1e-12)
    assert [line.kind for line in done.emitter.lines if line.kind in ("normalize", "moments")] == [
        "moments",
        "normalize",
    ]


def test_what_torch_allocated_is_written_over_and_given_back() -> None:
    done = Run(function_of(flattened), drawn(function_of(flattened)))
    product = next(line for line in done.text.splitlines() if "torch.conv2d" in line).split()[0]
    activation = next(line for line in done.text.splitlines() if "torch.clamp_min" in line)
    assert f"out={product})" in activation
    assert f"del {product}, {activation.split()[0]}" in done.text


def test_a_sequence_that_is_convolved_is_not_laid_out_at_every_layer() -> None:
    """Once where it is made of rows; from there on the map of one row is a view of it, and the kernel of a kernel."""
    text = Run(function_of(sequence), drawn(function_of(sequence))).text
    assert text.count("as_map") == 1


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
    b.input("kept", Type((1,)))
    emitter = Emitter(b.finish("step", {"loss": b.sum(y, (0, 1, 2, 3)), "w": y}), buffered=True)
    assert emitter.maps == frozenset()
    assert "last" not in emitter.workspace()


SHAPE, POOLED, WINDOWS = (3, 4, 5, 7), (3, 4, 2, 3), ((2, 2), (2, 2), (0, 0))
SCALE = torch.arange(1.0, 5.0, dtype=torch.float64).view(4, 1, 1)
KERNELS: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...], tuple[int, ...]]] = {
    "max_pool2d_with_index": (
        lambda x, **out: kernels.max_pool2d_with_index(x, *WINDOWS, **out)[0], (SHAPE,), POOLED,
    ),
    "max_pool2d_back": (
        lambda g, x, **out: kernels.max_pool2d_back(g, x, kernels.max_pool2d_index(x, *WINDOWS), *WINDOWS, **out),
        (POOLED, SHAPE), SHAPE,
    ),
    "batch_norm_moments": (
        lambda x, **out: kernels.batch_norm_moments(x, SCALE, SCALE, 0.1, **out)[0], (SHAPE,), SHAPE,
    ),
    "as_map": (
        lambda rows, **out: kernels.as_map(rows.flatten(1), SHAPE, **out), (SHAPE,), SHAPE,
    ),
    "matmul_map": (
        lambda b, **out: kernels.matmul_map(SCALE[:3, 0], b.reshape(140, 1), SHAPE, **out), ((1, 4, 5, 7),), SHAPE,
    ),
}  # fmt: skip
"""Calls that stand for several ops, the shapes of their maps and of their results. Those of ops are tested as such."""


@pytest.mark.parametrize("kernel", KERNELS)
def test_numbers_of_kernels_do_not_depend_on_how_maps_lie(kernel: str) -> None:
    call, shapes, made = KERNELS[kernel]
    rng = np.random.default_rng(0)
    given = [torch.from_numpy(rng.standard_normal(shape)) for shape in shapes]
    expected = call(*given).numpy()
    orders = (torch.contiguous_format, torch.channels_last)
    for *order, last in product(*[orders] * (len(given) + 1)):
        maps = [x.contiguous(memory_format=o) for x, o in zip(given, order, strict=True)]
        out = torch.full(made, torch.nan, dtype=torch.float64).contiguous(memory_format=last)
        for found in (call(*maps), call(*maps, out=out), out):
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-13, atol=1e-13)


PICKED = """
import torch
from fac_torch.kernels import channels_last, conv2d_weight

for channels, made in ((3, 5), (4, 6), (6, 8)):
    x, y = torch.randn(5, channels, 8, 9), torch.randn(5, made, 4, 9)
    exact = torch.einsum("nmhw,nchw->mc", y.double(), x.double()[:, :, ::2])
    for _ in range(100):
        found = conv2d_weight(channels_last(y), channels_last(x), (1, 1), (2, 1), (0, 0, 0, 0), (1, 1), 1)
        others = [torch.empty(7 + i) for i in range(20)]
    assert torch.allclose(found[..., 0, 0].double(), exact, atol=1e-4)
"""


def test_a_stride_of_a_kernel_of_one_place_harms_no_memory() -> None:
    """In a process of its own: with torch's own call for the stride it ends by a signal on CPUs without AVX-512."""
    ended = subprocess.run([sys.executable, "-c", PICKED], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
