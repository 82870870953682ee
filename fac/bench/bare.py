"""The floor as bare kernels of torch: each product by one call on buffers of its shapes, each pass by a sum in place.

A product has the kernel that a person would call for its kind, into memory that is there where the kernel takes it;
maps lie with their channels last. A pass is a += b, which reads two numbers for one that it writes, as updates nearly
do, of as many bytes; a copy would fetch what it is to overwrite. Each value of the step has a buffer of its own, so
that weights come from as far as they do in a step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from fac.bench.contenders.base import UnfitError
from fac.bench.contenders.eager import float32_products
from fac.bench.floor import Pass, Product, Work
from fac.step.ir import Op, Value
from fac.step.ops.maps import whole
from fac.step.types import Batch, DType, numel

Kernel = Callable[[], object]
aten = torch.ops.aten


class Bare:
    """Buffers and calls; buffers are shared by the floors of all rules of a case."""

    def __init__(self, n: int, mode: str) -> None:
        """Of batches of n samples, with float32 products computed in this way."""
        self.n, self.mode = n, mode
        self.buffers: dict[tuple[str, tuple[int, ...]], Tensor] = {}
        self.memory = torch.zeros(0)

    def turn(self, works: list[Work]) -> Kernel:
        """All of it in one call.

        Raises:
            UnfitError: a product has no kernel here.
        """
        largest = max((work.bytes for work in works if isinstance(work, Pass)), default=0) // 12
        if largest > self.memory.numel() // 2:
            self.memory = torch.zeros(2 * largest)
        calls = [
            self._product(work) if isinstance(work, Product) else self._pass(work.bytes) for work in works
        ]

        def run() -> None:
            with torch.inference_mode(), float32_products(self.mode):
                for call in calls:
                    call()

        return run

    def _pass(self, size: int) -> Kernel:
        """Where the memory lies is known when it is called: another floor may ask for more of it."""

        def add() -> None:
            count, half = size // 12, self.memory.numel() // 2
            self.memory[:count].add_(self.memory[half : half + count])

        return add

    def _product(self, work: Product) -> Kernel:
        op = work.ops[0]
        make = KERNELS.get(op.kind)
        if make is None:
            raise UnfitError(f"no bare kernel is known for `{op.kind}`")
        return make(op, [self._buffer(v) for v in op.operands], self._buffer(op.result))

    def _buffer(self, value: Value) -> Tensor:
        shape = tuple(d.times * self.n if isinstance(d, Batch) else d for d in value.type.shape)
        key = value.name, shape
        if key not in self.buffers:
            assert value.type.dtype == DType.FLOAT
            made = torch.randn(shape) / max(1, numel(value.type.shape[1:], self.n)) ** 0.5
            if len(shape) == 4:
                made = made.contiguous(memory_format=torch.channels_last)
            self.buffers[key] = made
        return self.buffers[key]


def _matmul(op: Op, given: list[Tensor], out: Tensor) -> Kernel:
    a, b = (x.mT if op[side] else x for x, side in zip(given, ("ta", "tb"), strict=True))
    return partial(torch.matmul, a, b, out=out)


def _window(op: Op) -> tuple[object, ...]:
    """Stride, padding and dilation as torch takes them, and groups.

    Raises:
        UnfitError: padding differs from side to side.
    """
    top, bottom, left, right = whole(op, "padding")
    if (top, left) != (bottom, right):
        raise UnfitError("no bare kernel is known for a convolution that is padded unlike on two sides")
    return op["stride"], (top, left), op["dilation"], op["groups"]


def _conv2d(op: Op, given: list[Tensor], _: Tensor) -> Kernel:
    x, w = given
    return partial(torch.conv2d, x, w, None, *_window(op))


def _derivative(op: Op, y: Tensor, x: Tensor, w: Tensor, mask: list[bool]) -> Kernel:
    stride, padding, dilation, groups = _window(op)
    rest = stride, padding, dilation, False, (0, 0), groups, mask
    return partial(aten.convolution_backward, y, x, w, None, *rest)


def _conv2d_input(op: Op, given: list[Tensor], out: Tensor) -> Kernel:
    y, w = given
    return _derivative(op, y, out, w, [True, False, False])


def _conv2d_weight(op: Op, given: list[Tensor], out: Tensor) -> Kernel:
    y, x = given
    stride, _, _, groups = _window(op)
    if out.shape[2:] == (1, 1) and stride != (1, 1):
        # Torch 2.13 writes beyond the gradient of such a kernel of few channels: what counts is picked first.
        assert isinstance(stride, tuple)
        height, width = ((size - 1) * step + 1 for size, step in zip(y.shape[2:], stride, strict=True))
        seen = x[:, :, : height : stride[0], : width : stride[1]]
        rest = (1, 1), (0, 0), (1, 1), False, (0, 0), groups, [False, True, False]
        return partial(aten.convolution_backward, y, seen, out, None, *rest)
    return _derivative(op, y, x, out, [False, True, False])


def _heads(op: Op, given: list[Tensor]) -> list[Tensor]:
    """[N, T, heads d] as [N, heads, T, d]."""
    heads = op["heads"]
    if op["heads"] != op["kv_heads"] or op["causal"] or len(given) not in (3, 4):
        raise UnfitError("no bare kernel is known for attention that is masked or shares heads")
    assert isinstance(heads, int)
    return [x.view(*x.shape[:2], heads, -1).transpose(1, 2) for x in given]


def _highest(call: Kernel) -> Kernel:
    """At the setting at which the fused kernel is fast: `medium` makes it four times as slow."""

    def run() -> None:
        with float32_products("highest"):
            call()

    return run


def _attend(op: Op, given: list[Tensor], _: Tensor) -> Kernel:
    return _highest(partial(aten._scaled_dot_product_flash_attention_for_cpu, *_heads(op, given)))


def _attend_back(op: Op, given: list[Tensor], _: Tensor) -> Kernel:
    g, q, k, v = _heads(op, given)
    made, logsum = aten._scaled_dot_product_flash_attention_for_cpu(q, k, v)
    back = aten._scaled_dot_product_flash_attention_for_cpu_backward
    return _highest(partial(back, g, q, k, v, made, logsum, 0.0, False))


KERNELS: dict[str, Callable[[Op, list[Tensor], Tensor], Kernel]] = {
    "matmul": _matmul,
    "bmm": _matmul,
    "conv2d": _conv2d,
    "conv2d_input": _conv2d_input,
    "conv2d_weight": _conv2d_weight,
    "attend": _attend,
    "attend_query": _attend_back,
    "attend_key": _attend_back,
    "attend_value": _attend_back,
}
