"""Kernels of maps [N, C, H, W]: how they lie in memory, convolutions, pools, and what changes their sizes.

This file travels with every written artifact, as `kernels.py` does, which gives all of this out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

Tensor = torch.Tensor
Sizes = tuple[int, ...]
Pair = tuple[int, int]
Sides = tuple[int, int, int, int]
"""Top, bottom, left, right."""
LAID_OUT = "cpu"
"""Where maps lie with their channels last. What that is worth on a GPU depends on types and on the GPU's library."""


def room(like: Tensor, out: Tensor | None) -> Tensor:
    """Where a result goes: where it is told, or into new memory."""
    return torch.empty_like(like) if out is None else out


# -- order in memory ---------------------------------------------------------------------------------------------


def shaped(flat: Tensor, shape: tuple[int, ...], last: bool) -> Tensor:
    """Memory as a tensor of this shape, with its channels last if so told."""
    if not last or flat.device.type != LAID_OUT:
        return flat.view(shape)
    n, c, *places = shape
    return flat.view(n, *places, c).movedim(-1, 1)


def lay_out(tensors: dict[str, Tensor], names: Sequence[str]) -> None:
    """Those of the tensors with their channels last in memory. What is so already stays the tensor that it is."""
    for name in names:
        if name in tensors:
            tensors[name] = channels_last(tensors[name])


def channels_last(x: Tensor) -> Tensor:
    """A map [N, C, ...], or a kernel, with the channels of a place together; on another device than a CPU as it is."""
    return x.movedim(1, -1).contiguous().movedim(-1, 1) if x.device.type == LAID_OUT else x


def as_map(rows: Tensor, shape: tuple[int, ...], out: Tensor | None = None) -> Tensor:
    """[N, C H W] as a map with its channels last."""
    x = rows.reshape(shape)
    return channels_last(x) if out is None else out.copy_(x)


def matmul_map(a: Tensor, b: Tensor, shape: tuple[int, ...], out: Tensor | None = None) -> Tensor:
    """A [N, k] times b [C H W, k] as a map with its channels last: what moves in memory is b, not the result."""
    n, c, *places = shape
    b = b.view(c, math.prod(places), -1).transpose(0, 1).reshape(math.prod(shape[1:]), -1)
    out = a.new_empty((n, *places, c)).movedim(-1, 1) if out is None else out
    rows = out.movedim(1, -1)
    if rows.is_contiguous():
        torch.mm(a, b.T, out=rows.view(n, -1))
    else:
        rows.copy_(torch.mm(a, b.T).view(rows.shape))
    return out


# -- convolutions ------------------------------------------------------------------------------------------------


def conv2d(
    x: Tensor, w: Tensor, bias: Tensor | None, stride: Pair, padding: Sides, dilation: Pair, groups: int
) -> Tensor:
    """The convolution of x [N, c, H, W] with w [m, c / groups, u, v]."""
    x, pads = _padded(x, padding)
    return torch.conv2d(x, w, bias, stride, pads, dilation, groups)


def conv2d_input(
    y: Tensor, w: Tensor, size: Pair, stride: Pair, padding: Sides, dilation: Pair, groups: int
) -> Tensor:
    """The error that a convolution passes to a map of that size."""
    x = y.new_empty(1).expand(len(y), w.shape[1] * groups, *size)  # nobody reads its numbers
    x, pads = _padded(x, padding)
    found = _conv_backward(y, x, w, stride, pads, dilation, groups, [True, False, False])[0]
    if found.shape[2:] == size:
        return found
    top, _, left, _ = padding
    return channels_last(found[:, :, top : top + size[0], left : left + size[1]])


def conv2d_weight(
    y: Tensor, x: Tensor, kernel: Pair, stride: Pair, padding: Sides, dilation: Pair, groups: int
) -> Tensor:
    """The gradient of a kernel of that size. The error of the map is not computed."""
    if kernel == (1, 1) and stride != (1, 1):
        # The places that count are picked first: where others lie between them, torch 2.13 writes beyond the gradient
        # of a kernel of less than eight channels (oneDNN, AVX2, channels last), and the process ends somewhere later.
        top, bottom, left, right = padding
        x = F.pad(x, (left, right, top, bottom)) if any(padding) else x
        height, width = ((size - 1) * step + 1 for size, step in zip(y.shape[2:], stride, strict=True))
        x = x[:, :, : height : stride[0], : width : stride[1]]
        stride, padding = (1, 1), (0, 0, 0, 0)
    w = y.new_empty(1).expand(y.shape[1], x.shape[1] // groups, *kernel)  # nobody reads its numbers
    x, pads = _padded(x, padding)
    return _conv_backward(y, x, w, stride, pads, dilation, groups, [False, True, False])[1]


def unfold(x: Tensor, kernel: Pair, stride: Pair, padding: Sides, dilation: Pair, groups: int) -> Tensor:
    """For each place the numbers under the window, [groups, c / groups u v, N h w]."""
    x, pads = _padded(x, padding)
    shown = F.unfold(x, kernel, dilation, pads, stride)
    return shown.transpose(0, 1).reshape(groups, shown.shape[1] // groups, -1)


def fold(
    columns: Tensor,
    shape: tuple[int, ...],
    kernel: Pair,
    stride: Pair,
    padding: Sides,
    dilation: Pair,
    groups: int,
) -> Tensor:
    """The transposed of `unfold`, to a map of that shape."""
    n, c, height, width = shape
    top, bottom, left, right = padding
    shown = columns.reshape(c * kernel[0] * kernel[1], n, -1).transpose(0, 1)
    x = F.fold(shown, (top + height + bottom, left + width + right), kernel, dilation, 0, stride)
    return x[:, :, top : top + height, left : left + width].contiguous()


def _padded(x: Tensor, padding: Sides) -> tuple[Tensor, Pair]:
    """X, and how much padding kernels have to add: they know only the same on both sides."""
    top, bottom, left, right = padding
    if top == bottom and left == right:
        return x, (top, left)
    return F.pad(x, (left, right, top, bottom)), (0, 0)


def _conv_backward(
    y: Tensor,
    x: Tensor,
    w: Tensor,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    mask: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        y, x, w, None, stride, padding, dilation, False, (0, 0), groups, mask
    )
    return found


# -- pools and sizes ---------------------------------------------------------------------------------------------


def pad(x: Tensor, before: Sizes, after: Sizes, out: Tensor | None = None) -> Tensor:
    """X with zeros before and behind it, so many along each axis."""
    shape = [size + first + last for size, first, last in zip(x.shape, before, after, strict=True)]
    out = x.new_zeros(shape) if out is None else out.zero_()
    _without(out, before, after).copy_(x)
    return out


def crop(x: Tensor, before: Sizes, after: Sizes, out: Tensor | None = None) -> Tensor:
    """A copy of X without its first and last rows, so many along each axis."""
    kept = _without(x, before, after)
    return kept.clone(memory_format=torch.contiguous_format) if out is None else out.copy_(kept)


def _without(x: Tensor, before: Sizes, after: Sizes) -> Tensor:
    for axis, (first, last) in enumerate(zip(before, after, strict=True)):
        x = x.narrow(axis, first, x.shape[axis] - first - last)
    return x


def max_pool2d_index(x: Tensor, kernel: Sizes, stride: Sizes, padding: Sizes) -> Tensor:
    """row * W + column of the first of the largest numbers of each window."""
    return F.max_pool2d(x, kernel, stride, padding, return_indices=True)[1]


def max_pool2d_with_index(
    x: Tensor, kernel: Sizes, stride: Sizes, padding: Sizes, out: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The largest number of each window, and where it stands."""
    pool = torch.ops.aten.max_pool2d_with_indices
    found: tuple[Tensor, Tensor]
    if out is None:
        found = pool(x, kernel, stride, padding)
    else:
        found = pool.out(
            x, kernel, stride, padding, out=out, indices=torch.empty_like(out, dtype=torch.int64)
        )
    return found


def max_pool2d_back(
    g: Tensor, x: Tensor, at: Tensor, kernel: Sizes, stride: Sizes, padding: Sizes, out: Tensor | None = None
) -> Tensor:
    """The error of a map x: each number of g added where its window found its largest."""
    result: Tensor = torch.ops.aten.max_pool2d_with_indices_backward.grad_input(
        g, x, kernel, stride, padding, (1, 1), False, at, grad_input=room(x, out)
    )
    return result


def pick(x: Tensor, at: Tensor, out: Tensor | None = None) -> Tensor:
    """Of a map [N, C, H, W] the numbers to which an index [N, C, h, w] points."""
    found = x.flatten(2).gather(2, at.flatten(2)).view(at.shape)
    return found if out is None else out.copy_(found)


def unpick(g: Tensor, at: Tensor, shape: tuple[int, ...], out: Tensor | None = None) -> Tensor:
    """A map of zeros, to which each number of g is added where its index points."""
    rows = g.new_zeros((*shape[:2], math.prod(shape[2:]))).scatter_add_(2, at.flatten(2), g.flatten(2))
    return rows.view(shape) if out is None else out.copy_(rows.view(shape))


def avg_pool2d(x: Tensor, kernel: Sizes, stride: Sizes, padding: Sizes) -> Tensor:
    """The mean of each window; what is padded counts as zeros."""
    return F.avg_pool2d(x, kernel, stride, padding)


def avg_pool2d_input(g: Tensor, shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes) -> Tensor:
    """Each error in equal parts to the numbers of its window."""
    like = _map_of(g, shape)
    result: Tensor = torch.ops.aten.avg_pool2d_backward(g, like, kernel, stride, padding, False, True, None)
    return result


def _map_of(g: Tensor, shape: Sizes) -> Tensor:
    """Room for a map that lies as g does."""
    last = g.is_contiguous(memory_format=torch.channels_last) and not g.is_contiguous()
    return torch.empty(
        shape,
        dtype=g.dtype,
        device=g.device,
        memory_format=torch.channels_last if last else torch.contiguous_format,
    )


def adaptive_avg_pool2d(x: Tensor, size: Sizes) -> Tensor:
    """The means of stretches of nearly equal size."""
    result: Tensor = F.adaptive_avg_pool2d(x, (size[0], size[1]))
    return result


def adaptive_avg_pool2d_input(g: Tensor, shape: Sizes) -> Tensor:
    """Each error in equal parts to the numbers of its stretch."""
    result: Tensor = torch.ops.aten._adaptive_avg_pool2d_backward(g, _map_of(g, shape))
    return result


def upsample2d(x: Tensor, factor: Sizes, mode: str) -> Tensor:
    """A map so many times as large; `mode` is `nearest` or `bilinear`."""
    scale = tuple(map(float, factor))
    return F.interpolate(x, scale_factor=scale, mode=mode, align_corners=None if mode == "nearest" else False)


def upsample2d_input(g: Tensor, shape: Sizes, factor: Sizes, mode: str) -> Tensor:
    """Each error to the numbers that had a part in it, by their weights."""
    scale = tuple(map(float, factor))
    if mode == "nearest":
        result: Tensor = torch.ops.aten.upsample_nearest2d_backward(g, g.shape[2:], shape, *scale)
    else:
        result = torch.ops.aten.upsample_bilinear2d_backward(g, g.shape[2:], shape, False, *scale)
    return result
