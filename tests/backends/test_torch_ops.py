"""What the shipped suite does not see of single ops: the workspace's memory beside torch's own, and the hash kernel."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from fac.passes.decompose import decompose
from fac.step.builder import Builder
from fac.step.feed import fed
from fac.step.ir import Function, Value
from fac.step.ops import OPS
from fac.step.random import bernoulli, uniform_bits
from fac.step.types import DType, N, Type
from fac.testing.calls import CALLS, Call
from fac_reference.interpreter import run
from fac_torch import BACKEND, kernels, update_kernels
from fac_torch.emit import Emitter
from fac_torch.measuring import KINDS
from fac_torch.session import know_host
from fac_torch.statements import is_buffered
from fac_torch.templates import TEMPLATES, Line, Memory
from fac_torch.together import TOGETHER
from tests.step.op_cases import SAMPLES, concrete, draw, function_of, x_of

know_host()
DEVICES = BACKEND.devices()
TOLERANCE = {"float64": 1e-12, "float32": 4e-6}
"""Absolute, for numbers near 1. In float32 slopes of `gelu` and `matmul` lose a few units in the last place."""


def emitted(function: Function, buffered: bool) -> Any:
    """The function's Python, as a callable of (state, x)."""
    emitter = Emitter(decompose(function, BACKEND.ops("float64")), buffered)
    text = "import math\nimport torch\nfrom fac_torch import kernels\n\n" + emitter.source()
    module = ModuleType("one_op")
    if buffered:
        text += "\n\n" + emitter.workspace()
    exec(compile(text, "<one op>", "exec"), module.__dict__)
    names = [value.name for value in function.inputs if fed(value)]

    def called(state: Any, x: Any) -> Any:
        batch = [{**state, "x": x}[name] for name in names]
        if not buffered:
            return module.forward(state, *batch)
        return module.step(state, module.workspace(state, len(x)), *batch, 0.1, 0)

    return called


def placed(value: Any, dtype: str, device: str) -> Any:
    if np.shape(value) == ():
        return value
    array = np.asarray(value)
    return torch.from_numpy(array.astype(dtype) if array.dtype.kind == "f" else array).to(device)


def array_of(value: Any) -> Any:
    return value.cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def with_state(b: Builder, result: Value) -> dict[str, Value]:
    """One float tensor of state, as every step has: the workspace takes its type and device from it."""
    b.inputs.insert(0, Value("state", Type((1,))))
    return {"result": result}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("buffered", [False, True], ids=["allocated", "buffered"])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.id)
def test_op(call: Call, buffered: bool, dtype: str, device: str) -> None:
    function = function_of(call, with_state, "step" if buffered else "forward")
    inputs = draw(call) | {"state": np.zeros(1)}
    state = {name: placed(value, dtype, device) for name, value in inputs.items()}
    before = {name: array_of(value).copy() for name, value in state.items()}
    found = array_of(emitted(function, buffered)(state, placed(x_of(), dtype, device)))
    rounded = {name: array_of(value) if np.shape(value) else value for name, value in state.items()}
    expected = run(function, {"x": x_of(dtype), **rounded}, np.dtype(dtype))["result"]
    assert found.shape == np.shape(expected)
    if call.result.dtype == DType.FLOAT:
        largest = max(1.0, np.abs(expected).max())  # a sum of large terms may be small
        np.testing.assert_allclose(found, expected, rtol=TOLERANCE[dtype], atol=largest * TOLERANCE[dtype])
        assert np.shape(found) == () or found.dtype == dtype
    else:
        np.testing.assert_array_equal(found, expected)
    for name, value in state.items():
        np.testing.assert_array_equal(array_of(value), before[name], err_msg=f"{name} was overwritten")


def shares(result: Any, *others: Any) -> bool:
    """Whether a tensor lies in memory of the others."""

    def memory(tensor: torch.Tensor) -> int:
        return tensor.untyped_storage().data_ptr()

    tensors = [a for a in others if isinstance(a, torch.Tensor)]
    return isinstance(result, torch.Tensor) and memory(result) in map(memory, tensors)


def called(call: Call, state: dict[str, Any], out: str | None = None) -> Any:
    """What the template's line makes, by itself."""
    emitter = Emitter(function_of(call, with_state, "forward"), False)
    (line,) = emitter.lines
    host = tuple(np.shape(state[v.name]) == () for v in line.operands)
    text = TEMPLATES[line.kind].text(Line(line, tuple(v.name for v in line.operands), host))
    names = {"torch": torch, "kernels": kernels, "math": math, "n": SAMPLES}
    text = text if out is None else f"{text[:-1]}, out={out})"
    with torch.inference_mode():
        return eval(text, names | state | {"x": placed(x_of(), "float64", "cpu")})


LITERALS = ("constant", "batch_size")
WRITTEN = [c for c in CALLS if c.kind in TEMPLATES and c.kind not in LITERALS]


@pytest.mark.parametrize("call", WRITTEN, ids=lambda call: call.id)
def test_the_result_lives_where_the_template_says(call: Call) -> None:
    """A wrong word for it is a wrong lifetime: memory that is written to while somebody is still to read it."""
    memory = TEMPLATES[call.kind].memory
    state = {name: placed(value, "float64", "cpu") for name, value in draw(call).items()}
    expected = called(call, state)
    if memory is not Memory.VIEW:
        assert not shares(expected, *state.values())
    if not memory.is_told or not is_buffered(Value("result", call.result)):
        return
    out = torch.full(concrete(call.result.shape), torch.nan, dtype=torch.float64)
    made = called(call, state | {"out": out}, "out")
    assert made.data_ptr() == out.data_ptr()
    np.testing.assert_array_equal(array_of(made), array_of(expected))
    if memory is Memory.OVER:
        for name in (f"a{k}" for k, type in enumerate(call.operands) if type == call.result):
            over = state | {name: state[name].clone()}
            np.testing.assert_array_equal(array_of(called(call, over, name)), array_of(expected))


OF_MAPS = [c for c in WRITTEN if 4 in map(len, (c.result.shape, *(type.shape for type in c.operands)))]


@pytest.mark.parametrize("call", OF_MAPS, ids=lambda call: call.id)
def test_numbers_do_not_depend_on_how_maps_lie_in_memory(call: Call) -> None:
    """Some kernels of torch go through the memory of what they are given, whatever its strides say, and say nothing."""
    state = {name: placed(value, "float64", "cpu") for name, value in draw(call).items()}
    expected = array_of(called(call, state))
    maps = [name for name, value in state.items() if np.ndim(value) == 4]
    told = TEMPLATES[call.kind].memory.is_told and is_buffered(Value("result", call.result))
    for last in (*([name] for name in maps), maps, []):
        mixed = state | {name: state[name].contiguous(memory_format=torch.channels_last) for name in last}
        np.testing.assert_allclose(array_of(called(call, mixed)), expected, rtol=1e-13, atol=1e-13)
        for layout in ("rows", "channels last") if told else ():
            out = LAYOUTS[layout](torch.full(concrete(call.result.shape), torch.nan, dtype=torch.float64))
            called(call, mixed | {"out": out}, "out")
            np.testing.assert_allclose(array_of(out), expected, rtol=1e-13, atol=1e-13)


ORDERS = {
    "rows": (0, 1, 2, 3),
    "channels last": (0, 2, 3, 1),
    "samples last": (1, 2, 3, 0),
    "another": (2, 0, 3, 1),
}
"""In which order the axes of a map follow each other in memory, the slowest first."""


def lying(tensor: Any, order: tuple[int, ...]) -> Any:
    """The same numbers, in another place and that order; of a sequence as of a map one place high."""
    axes = [axis for axis in order if axis < tensor.dim()]
    back = [axes.index(axis) for axis in range(tensor.dim())]
    return torch.empty([tensor.shape[axis] for axis in axes], dtype=tensor.dtype).permute(back).copy_(tensor)


def elementwise() -> list[Call]:
    """The calls whose operands and result are alike, once for each kind and its settings."""

    def is_one(call: Call) -> bool:
        alike = set(call.operands) == {call.result} and call.result.dtype == DType.FLOAT
        return alike and len(call.result.shape) > 1 and TEMPLATES[call.kind].memory is Memory.OVER

    return list({(c.kind, tuple(c.attributes.items())): c for c in filter(is_one, WRITTEN)}.values())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("call", elementwise(), ids=lambda call: call.id)
def test_numbers_do_not_depend_on_the_order_of_each_operand_and_of_the_result(call: Call, dtype: str) -> None:
    """In float32 torch has other kernels for some of these, which do not say where they leave `out` as it was."""
    for shape in ((N, 3, 4, 2), (N, 1, 4, 4), (N, 5, 4)):
        type = Type(shape)
        wider = replace(call, operands=(type,) * len(call.operands), result=type)
        state = {name: placed(value, dtype, "cpu") for name, value in draw(wider).items()}
        expected = array_of(called(wider, state))
        for orders in product(ORDERS.values(), repeat=min(len(state), 2)):
            mixed = {name: lying(value, orders[k % 2]) for k, (name, value) in enumerate(state.items())}
            for order in ORDERS.values():
                out = lying(torch.full(expected.shape, torch.nan, dtype=state["a0"].dtype), order)
                called(wider, mixed | {"out": out}, "out")
                np.testing.assert_allclose(array_of(out), expected, rtol=2e-6, atol=TOLERANCE[dtype])


GAPS = [
    c for c in WRITTEN if TEMPLATES[c.kind].takes_gaps and max(map(len, (t.shape for t in c.operands))) > 1
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("call", GAPS, ids=lambda call: call.id)
def test_numbers_do_not_depend_on_gaps_between_rows(call: Call, dtype: str) -> None:
    """What is read of a tensor in part is no copy of it for these."""
    state = {name: placed(value, dtype, "cpu") for name, value in draw(call).items()}
    expected = called(call, state)
    rtol, atol = TOLERANCE[dtype], TOLERANCE[dtype]
    for axis in (-1, 1):
        parts = {name: among_others(value, axis) for name, value in state.items()}
        np.testing.assert_allclose(array_of(called(call, parts)), array_of(expected), rtol, atol)
        if TEMPLATES[call.kind].memory.is_told and is_buffered(Value("result", call.result)):
            out = torch.full(expected.shape, torch.nan, dtype=expected.dtype)
            called(call, parts | {"out": out}, "out")
            np.testing.assert_allclose(array_of(out), array_of(expected), rtol, atol)


def among_others(value: Any, axis: int) -> Any:
    """The same numbers as a part of a larger tensor, along the last axis or the second."""
    if not isinstance(value, torch.Tensor) or value.dim() < 2 or not value.is_floating_point():
        return value
    nothing = torch.full_like(value, torch.nan)
    whole = torch.cat((nothing, value, nothing), axis)
    return whole.narrow(axis, value.shape[axis], value.shape[axis])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", [(5, 4, 3, 2), (1, 4, 3, 2), (5, 4, 6), (1, 4, 6), (3, 4, 1, 5), (6, 4)])
def test_a_batch_norm_does_not_depend_on_the_order_of_anything_in_memory(
    shape: tuple[int, ...], dtype: str
) -> None:
    """Against sums by hand. `native_batch_norm` takes maps in neither of two orders for maps in one of them."""
    rng = np.random.default_rng(0)
    x, g = (placed(rng.normal(size=shape) + 1, dtype, "cpu") for _ in range(2))
    axes, sizes = (0, *range(2, len(shape))), (shape[1], *(1,) * (len(shape) - 2))
    scale, shift = (placed(rng.normal(size=sizes), dtype, "cpu") for _ in range(2))
    mean, variance = x.mean(axes), x.var(axes, correction=0)
    rate = (variance + 1e-3).rsqrt().view(sizes)
    z = (x - mean.view(sizes)) * rate
    h = g * scale
    error = (h - h.mean(axes, True) - z * (h * z).mean(axes, True)) * rate
    rtol, atol = TOLERANCE[dtype], 20 * TOLERANCE[dtype]
    for a, b in product(ORDERS.values(), repeat=2):
        made = kernels.normalize_moments(lying(x, a), scale, shift, axes, 1e-3)
        for got, expected in zip(made, (z * scale + shift, mean, variance), strict=True):
            np.testing.assert_allclose(array_of(got), array_of(expected), rtol, atol)
        out = lying(torch.full(shape, torch.nan, dtype=x.dtype), b)
        kernels.batch_norm_moments(lying(x, a), scale, shift, 1e-3, out=out)
        np.testing.assert_allclose(array_of(out), array_of(z * scale + shift), rtol, atol)
        back = kernels.normalize_back(lying(g, a), lying(x, b), mean, variance, scale, axes, 1e-3, sizes)
        for got, expected in zip(back, (error, (g * z).sum(axes).view(sizes)), strict=True):
            np.testing.assert_allclose(array_of(got), array_of(expected), rtol, atol)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("axes", [(1,), (2,), (1, 2)])
def test_a_layer_norm_is_written_where_it_is_told(axes: tuple[int, ...], dtype: str) -> None:
    """Whatever lies there before, and in whatever order it lies; with the moments of what it reads."""
    rng = np.random.default_rng(0)
    shape = (3, 4) if axes == (1,) else (3, 4, 5)
    x = placed(rng.normal(size=shape) + 1, dtype, "cpu")
    sizes = tuple(shape[axis] for axis in axes)
    scale, shift = (placed(rng.normal(size=sizes), dtype, "cpu") for _ in range(2))
    mean, variance = x.mean(axes), x.var(axes, correction=0)
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    expected = (x - mean.view(kept)) * (variance + 1e-3).rsqrt().view(kept) * scale + shift
    room = torch.full(shape, torch.nan, dtype=x.dtype)
    for out in (None, room, room.clone().mT.contiguous().mT):
        made = kernels.layer_norm_moments(x, scale, shift, 1e-3, out=out)
        assert out is None or made[0] is out
        for got, wanted in zip(made, (expected, mean, variance), strict=True):
            np.testing.assert_allclose(
                array_of(got), array_of(wanted), TOLERANCE[dtype], 20 * TOLERANCE[dtype]
            )


def test_every_view_is_one_somewhere() -> None:
    """A result that never shares memory with its operand need not keep it alive."""
    viewed = set()
    for call in WRITTEN:
        state = {name: placed(value, "float64", "cpu") for name, value in draw(call).items()}
        if shares(called(call, state), state.get("a0")):
            viewed.add(call.kind)
    # `permute` is a transposed map: `test_torch_maps.py` looks at those.
    assert viewed | {"permute"} == {k for k, template in TEMPLATES.items() if template.memory is Memory.VIEW}


def test_every_op_has_a_template() -> None:
    """Or the emitter writes it as a literal, or it is made of finer ones."""
    assert {kind for kind in set(OPS) - BACKEND.ops("float64") if OPS[kind].finer is None} == set()


def test_every_template_is_an_op_or_a_kernel_of_a_statement() -> None:
    """What is more than ops stands for several of them; whole steps test those."""
    more = {"addmm", "addcmul", "uniform_bits", "copy", "clone"}
    more |= {name for rule in ("sgd", "adam", "rmsprop") for name in (rule, f"{rule}_outer")}
    maps = {"permute", "as_map", "matmul_map", "max_pool2d_back", "batch_norm_moments"} | {
        kernel.kind for kernel in TOGETHER
    }
    tokens = {"attend_with_logsum", "attend_back", "layer_norm_moments"}
    parts = {"part", "row", "stacked", "copied"}
    narrow = {"narrow_matmul", "narrow_addmm", "widen"}
    measures = KINDS | {"sample_cosines"}
    assert set(TEMPLATES) - set(OPS) == more | maps | tokens | parts | narrow | measures


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("buffered", [False, True], ids=["allocated", "buffered"])
@pytest.mark.parametrize("seed", [0, 12345, 2**40 + 3])
def test_masks_are_equal_to_the_bit(seed: int, buffered: bool, dtype: str, device: str) -> None:
    b = Builder()
    b.input("state", Type((1,)))
    b.input("x", Type((N,)))
    mask = bernoulli(b, (N, 100), 0.7, seed, "dropout_1", b.scalar("t", DType.INT))
    function = b.finish("step" if buffered else "forward", {"mask": mask})
    for step in (0, 1, 10**6):
        state = {"state": placed(np.zeros(1), dtype, device), "t": step}
        found = array_of(emitted(function, buffered)(state, placed(x_of(), dtype, device)))
        expected = run(function, {"x": x_of(), "state": np.zeros(1), "t": step}, np.dtype(dtype))["mask"]
        assert found.tobytes() == np.ascontiguousarray(expected).tobytes()
        assert found.dtype == expected.dtype == dtype


@pytest.mark.parametrize("device", DEVICES)
def test_hash_kernel_equals_the_ops_that_it_stands_for(device: str) -> None:
    """The kernel is the one op of a region; the interpreter runs the forty ops behind the mark."""
    b = Builder()
    b.input("x", Type((N,)))
    bits = uniform_bits(b, (N, 5), 99, "dropout_2", b.scalar("t", DType.INT))
    function = b.finish("forward", {"bits": bits})
    (region,) = function.regions
    for step in (0, 7, 2**31, 2**32 + 7, 2**63 - 1):
        expected = run(function, {"x": x_of(), "t": step}, np.dtype("float64"))["bits"]
        given = dict(region.attributes)
        found = kernels.uniform_bits(
            (SAMPLES, 5), step, int(str(given["first"])), int(str(given["second"])), torch.device(device)
        )
        np.testing.assert_array_equal(array_of(found), expected)
        assert (expected >= 0).all()
        assert (expected < 2**24).all()


SETTINGS: dict[str, dict[str, Any]] = {
    "sgd": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    "adam": {"beta1": 0.9, "beta2": 0.99, "eps": 0.1, "weight_decay": 0.1, "decoupled": False},
    "amsgrad": {"beta1": 0.9, "beta2": 0.99, "eps": 0.1, "weight_decay": 0.1, "decoupled": False},
    "rmsprop": {"alpha": 0.9, "eps": 0.1, "momentum": 0.9, "weight_decay": 0.1},
}
ARRAYS = {"sgd": 3, "adam": 4, "amsgrad": 5, "rmsprop": 5}
"""The parameter, the state of the rule, the gradient."""


def update(kind: str, arrays: list[Any]) -> None:
    """One step of a kernel."""
    if kind == "adam":
        arrays = [*arrays[:3], None, arrays[3]]
    rest = (0.1, 3) if kind in ("adam", "amsgrad") else (0.1,)
    getattr(kernels, {"amsgrad": "adam"}.get(kind, kind))(*arrays, *rest, **SETTINGS[kind])


LAYOUTS: dict[str, Any] = {
    "rows": lambda a: a.clone(),
    "columns": lambda a: a.transpose(0, 1).contiguous().transpose(0, 1),
    "every other": lambda a: torch.stack((a, a + 1), -1)[..., 0],
    "channels last": lambda a: a.contiguous(memory_format=torch.channels_last) if a.dim() == 4 else a.clone(),
}
"""The same numbers, differently laid out in memory."""


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "eager"])
@pytest.mark.parametrize("where", ["parameter", "state", "gradient", "all"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 2, 5)], ids=["matrix", "kernel"])
@pytest.mark.parametrize("kind", SETTINGS)
def test_an_update_does_not_depend_on_how_arrays_lie_in_memory(
    kind: str, shape: tuple[int, ...], layout: str, where: str, fused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not fused:
        for name in ("FUSED_SGD", "FUSED_ADAM", "FUSED_ADAMW"):
            monkeypatch.setattr(update_kernels, name, None)
    rng = np.random.default_rng(0)
    given = [torch.from_numpy(rng.random(shape)) for _ in range(ARRAYS[kind])]
    odd = {"parameter": {0}, "gradient": {len(given) - 1}, "all": set(range(len(given)))}.get(where, {1})
    rows = [a.clone() for a in given]
    other = [LAYOUTS[layout](a) if k in odd else a.clone() for k, a in enumerate(given)]
    for arrays in (rows, other):
        update(kind, arrays)
    for found, expected in zip(other, rows, strict=True):
        np.testing.assert_allclose(array_of(found), array_of(expected), rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", ["sgd", "adam", "amsgrad"])
def test_kernels_with_their_channels_last_are_updated_by_the_fused_kernel(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a copy of the gradient, if that lies as they do: its memory is what the fused kernel gets."""
    seen: list[int] = []

    def fused(*lists: Any, **_: Any) -> None:
        seen.append(lists[1][0].data_ptr())

    monkeypatch.setattr(update_kernels, "FUSED_SGD", fused)
    monkeypatch.setattr(update_kernels, "FUSED_ADAM", fused)
    arrays = [
        torch.rand(3, 4, 2, 5).contiguous(memory_format=torch.channels_last) for _ in range(ARRAYS[kind])
    ]
    update(kind, arrays)
    assert seen == [arrays[-1].data_ptr()]
