"""What emitted torch code calls beside torch itself: fused optimisers, tiles, a few backward kernels, buffers.

This file imports torch and nothing else, and travels with every written artifact.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import TypeVar

import torch
import torch.nn.functional as F

Tensor = torch.Tensor
Sizes = tuple[int, ...]
THIN = 32
TILE_BYTES = {"cpu": 2 << 20, "cuda": 256 << 20}
"""How much of a weight gradient exists at a time. On a CPU the piece stays in cache until the update reads it."""
LAID_OUT = "cpu"
"""Where maps lie with their channels last. What that is worth on a GPU depends on types and on the GPU's library."""


# -- memory ------------------------------------------------------------------------------------------------------


def load_state(path: str, device: str = "cpu") -> dict[str, Tensor]:
    """The tensors of a safetensors file: an 8-byte length, that many bytes of JSON, then the data.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is another file, or a part of one, or holds other types of numbers.
    """
    types = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64}
    state: dict[str, Tensor] = {}
    with open(path, "rb") as file:
        head, data = file.read(8), bytearray(file.read())
    length = int.from_bytes(head, "little")
    try:
        header = json.loads(data[:length])
        del data[:length]
        for name, entry in header.items():
            if name != "__metadata__":
                start, end = entry["data_offsets"]
                count = (end - start) // types[entry["dtype"]].itemsize
                flat = torch.frombuffer(data, dtype=types[entry["dtype"]], count=count, offset=start)
                state[name] = flat.reshape(entry["shape"]).to(device, copy=True)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ValueError(
            f"`{path}` is no safetensors file of {', '.join(types)}, or a part of one"
        ) from error
    return state


Row = tuple[int, tuple[int | str, ...]] | tuple[int, tuple[int | str, ...], str]


def buffers(table: Mapping[str, Row], n: int, like: Tensor) -> SimpleNamespace:
    """The workspace of a step for batches of `n` samples.

    Args:
        table: name -> (slot, shape), or (slot, shape, "last") for a map with its channels last; "N" in a shape stands
            for `n`, "3N" for three times that. Names that share a slot are never alive together, and share its memory.
        n: samples per batch.
        like: gives the element type and the device.
    """
    shapes = {name: tuple(_dim(d, n) for d in shape) for name, (_, shape, *_) in table.items()}
    sizes: dict[int, int] = {}
    for name, (slot, *_) in table.items():
        sizes[slot] = max(sizes.get(slot, 0), _numel(shapes[name]))
    slots = {slot: torch.empty(size, dtype=like.dtype, device=like.device) for slot, size in sizes.items()}
    places = {
        name: _shaped(slots[slot][: _numel(shapes[name])], shapes[name], bool(last))
        for name, (slot, _, *last) in table.items()
    }
    return SimpleNamespace(**places, samples=n)


def _shaped(flat: Tensor, shape: tuple[int, ...], last: bool) -> Tensor:
    if not last or flat.device.type != LAID_OUT:
        return flat.view(shape)
    n, c, h, w = shape
    return flat.view(n, h, w, c).permute(0, 3, 1, 2)


def lay_out(tensors: dict[str, Tensor], names: Sequence[str]) -> None:
    """Those of the tensors with their channels last in memory. What is so already stays the tensor that it is."""
    for name in names:
        if name in tensors:
            tensors[name] = channels_last(tensors[name])


def channels_last(x: Tensor) -> Tensor:
    """A map, or a kernel, with all channels of a pixel together in memory; on another device than a CPU as it is."""
    return x.contiguous(memory_format=torch.channels_last) if x.device.type == LAID_OUT else x


def as_map(rows: Tensor, shape: tuple[int, ...], out: Tensor | None = None) -> Tensor:
    """[N, C H W] as a map with its channels last."""
    x = rows.reshape(shape)
    return channels_last(x) if out is None else out.copy_(x)


def matmul_map(a: Tensor, b: Tensor, shape: tuple[int, ...], out: Tensor | None = None) -> Tensor:
    """A [N, k] times b [C H W, k] as a map with its channels last: what moves in memory is b, not the result."""
    n, c, h, w = shape
    b = b.view(c, h * w, -1).transpose(0, 1).reshape(h * w * c, -1)
    out = a.new_empty((n, h, w, c)).permute(0, 3, 1, 2) if out is None else out
    pixels = out.permute(0, 2, 3, 1)
    if pixels.is_contiguous():
        torch.mm(a, b.T, out=pixels.view(n, -1))
    else:
        pixels.copy_(torch.mm(a, b.T).view(pixels.shape))
    return out


def check_batch(B: SimpleNamespace, x: Tensor) -> None:
    """Refuse a batch that the workspace is not for, before anything moves.

    Raises:
        ValueError: x holds another number of samples.
    """
    if len(x) != B.samples:
        raise ValueError(
            f"the workspace is for {B.samples} samples, not {len(x)}: call workspace(S, {len(x)})"
        )


def tile(state: Mapping[str, Tensor], names: tuple[str, ...]) -> Tensor:
    """Room for one tile of the largest of the named weights' gradients: at least a row of each."""
    like = state[names[0]]
    most = TILE_BYTES.get(like.device.type, 2 << 20) // like.element_size()
    wanted = max(max(state[name].shape[1], min(state[name].numel(), most)) for name in names)
    return torch.empty(wanted, dtype=like.dtype, device=like.device)


def _dim(dim: int | str, n: int) -> int:
    return dim if isinstance(dim, int) else n * int(dim[:-1] or 1)


def _numel(shape: tuple[int, ...]) -> int:
    product = 1
    for dim in shape:
        product *= dim
    return product


# -- backward kernels --------------------------------------------------------------------------------------------


def relu_input(g: Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
    """g * (y > 0), y the output of relu."""
    result: Tensor = torch.ops.aten.threshold_backward.grad_input(g, y, 0, grad_input=_room(g, out))
    return result


def leaky_relu_input(g: Tensor, y: Tensor, slope: float, out: Tensor | None = None) -> Tensor:
    """G where y > 0, else slope * g; y the output of leaky_relu."""
    result: Tensor = torch.ops.aten.leaky_relu_backward.grad_input(
        g, y, slope, True, grad_input=_room(g, out)
    )
    return result


def tanh_input(g: Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
    """g * (1 - y^2), y the output of tanh."""
    result: Tensor = torch.ops.aten.tanh_backward.grad_input(g, y, grad_input=_room(g, out))
    return result


def sigmoid_input(g: Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
    """g * y * (1 - y), y the output of sigmoid."""
    result: Tensor = torch.ops.aten.sigmoid_backward.grad_input(g, y, grad_input=_room(g, out))
    return result


def gelu_input(g: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """g * (Phi(x) + x * phi(x)), x the input of gelu."""
    result: Tensor = torch.ops.aten.gelu_backward.grad_input(g, x, grad_input=_room(g, out))
    return result


def leaky_relu(x: Tensor, slope: float, out: Tensor | None = None) -> Tensor:
    """X where x > 0, else slope * x."""
    result: Tensor = torch.ops.aten.leaky_relu.out(x, slope, out=_room(x, out))
    return result


def gelu(x: Tensor, out: Tensor | None = None) -> Tensor:
    """x * Phi(x)."""
    result: Tensor = torch.ops.aten.gelu.out(x, out=_room(x, out))
    return result


def silu(x: Tensor, out: Tensor | None = None) -> Tensor:
    """x * sigmoid(x)."""
    result: Tensor = torch.ops.aten.silu.out(x, out=_room(x, out))
    return result


def silu_input(g: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """g * (s + x s (1 - s)), s = sigmoid(x)."""
    result: Tensor = torch.ops.aten.silu_backward.grad_input(g, x, grad_input=_room(g, out))
    return result


def elu(x: Tensor, alpha: float, out: Tensor | None = None) -> Tensor:
    """X where x > 0, else alpha * (exp(x) - 1)."""
    result: Tensor = torch.ops.aten.elu.out(x, alpha, out=_room(x, out))
    return result


def elu_input(g: Tensor, x: Tensor, alpha: float, out: Tensor | None = None) -> Tensor:
    """G where x > 0, else g * alpha * exp(x)."""
    result: Tensor = torch.ops.aten.elu_backward.grad_input(
        g, alpha, 1, 1, False, x, grad_input=_room(g, out)
    )
    return result


def softplus(x: Tensor, out: Tensor | None = None) -> Tensor:
    """log(1 + exp(x)); beyond 40 no digit of it differs from x, and torch need not take the exponential."""
    result: Tensor = torch.ops.aten.softplus.out(x, 1, 40, out=_room(x, out))
    return result


def hardsigmoid(x: Tensor, out: Tensor | None = None) -> Tensor:
    """(x + 3) / 6, limited to [0, 1]."""
    result: Tensor = torch.ops.aten.hardsigmoid.out(x, out=_room(x, out))
    return result


def hardsigmoid_input(g: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """g / 6 where -3 < x < 3, else 0. Torch's own kernel rounds 1/6 to float32, in float64 too."""
    out = torch.ops.aten.hardtanh_backward.grad_input(g, x, -3, 3, grad_input=_room(g, out))
    return out.div_(6)


def hardswish(x: Tensor, out: Tensor | None = None) -> Tensor:
    """x * hardsigmoid(x)."""
    result: Tensor = torch.ops.aten.hardswish.out(x, out=_room(x, out))
    return result


def hardswish_input(g: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """g * (x / 3 + 1/2) where -3 < x < 3; 0 below, g above."""
    result: Tensor = torch.ops.aten.hardswish_backward.out(g, x, out=_room(g, out))
    return result


def log_softmax(z: Tensor, out: Tensor | None = None) -> Tensor:
    """Along the last axis."""
    result: Tensor = torch.ops.aten._log_softmax.out(z, -1, False, out=_room(z, out))
    return result


def table(values: tuple[float, ...], like: Tensor) -> Tensor:
    """The numbers as a tensor where `like` is: to a GPU from pinned memory, so that the host need not wait for it."""
    made = torch.tensor(values, dtype=like.dtype)
    return made if like.device.type == "cpu" else made.pin_memory().to(like.device, non_blocking=True)


def cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    """The mean of -log softmax(z)[y]. No label is ignored, as torch does with -100."""
    return F.cross_entropy(z, y, ignore_index=-(2**62))


def cross_entropy_input(scale: float | Tensor, z: Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
    """scale * (softmax(z) - onehot(y)) / N."""
    out = torch.softmax(z, 1, out=_room(z, out))
    out.scatter_add_(1, y[:, None], out.new_full((len(y), 1), -1.0)).div_(len(y))
    return out if isinstance(scale, float) and scale == 1.0 else out.mul_(scale)


Pair = tuple[int, int]
Sides = tuple[int, int, int, int]
"""Top, bottom, left, right."""


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


def dot(a: Tensor, b: Tensor) -> Tensor:
    """The sum of all a * b."""
    return torch.dot(a.reshape(-1), b.reshape(-1))


def max_abs(x: Tensor, dim: tuple[int, ...], keepdim: bool = False, out: Tensor | None = None) -> Tensor:
    """The largest magnitude: as the norm of order infinity, which takes a CPU twelve times longer."""
    return torch.amax(x.abs(), dim, keepdim, out=out)


def norm(*xs: Tensor, nonzero: bool = False) -> Tensor:
    """The Euclidean norm of all numbers of all tensors, whatever their squares do; 1 instead of 0 if `nonzero`."""
    plain = _norm(xs)
    # Where asking costs nothing: squares that neither overflowed nor, if they count, were lost need no second look.
    if plain.device.type == "cpu" and LEAST_NORM[plain.dtype] <= plain.item() < math.inf:
        return plain
    largest = torch.stack([x.abs().amax() for x in xs]).amax()
    # a power of two, so that this way and the one above lead to the same digits
    unit = torch.where(largest == 0, 1.0, largest / (2 * torch.frexp(largest).mantissa))
    found = _norm([x / unit for x in xs]) * unit
    return torch.where(found == 0, 1.0, found) if nonzero else found


def _norm(xs: Sequence[Tensor]) -> Tensor:
    norms: list[Tensor] = [torch.linalg.vector_norm(x) for x in xs]
    return norms[0] if len(norms) == 1 else _norm([torch.stack(norms)])


LEAST_NORM = {t: torch.finfo(t).tiny ** 0.5 / torch.finfo(t).eps for t in (torch.float32, torch.float64)}
"""From here on what vanishes when it is squared is nothing beside the rest."""


Integer = TypeVar("Integer", int, Tensor)
MASK = 0xFFFFFFFF


def uniform_bits(shape: tuple[int, ...], step: int, first: int, second: int, device: torch.device) -> Tensor:
    """Integers in [0, 2^24), a hash of (key, step, index): the same on every backend.

    The key is `first` and `second`, of 32 bits each, made of the seed and the stream; indices count modulo 2^32.
    """
    u = _mix((step & MASK) ^ first)
    v = _mix(((u + (step >> 32)) & MASK) ^ second)
    x = torch.arange(u, u + math.prod(shape), device=device).view(shape)
    x &= MASK
    x = _mix(x)
    x += v
    x &= MASK
    x = _mix(x)
    x >>= 8
    return x


def _mix(x: Integer) -> Integer:
    """A bijection of 32-bit numbers, for a Python int or, in place, a tensor; no product leaves 63 bits."""
    x ^= x >> 16
    x *= 0x21F0AAAD
    x &= MASK
    x ^= x >> 15
    x *= 0x735A2D97
    x &= MASK
    x ^= x >> 15
    return x


def _room(like: Tensor, out: Tensor | None) -> Tensor:
    return torch.empty_like(like) if out is None else out


def svd_pair(w: Tensor, p: Tensor, q: Tensor) -> None:
    """Set P [r, m] and Q [k, r] so that Q P is the best rank-r approximation of W^T, W as [m, k]; balanced."""
    u, s, vt = torch.linalg.svd(w.double().reshape(p.shape[1], -1).T, full_matrices=False)
    signs = torch.take_along_dim(u, u.abs().argmax(0, keepdim=True), 0).sign()[0]
    root = s[: len(p)].sqrt() * signs[: len(p)]
    p.copy_(root[:, None] * vt[: len(p)])
    q.copy_(u[:, : len(p)] * root)


# -- maps --------------------------------------------------------------------------------------------------------


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
        g, x, kernel, stride, padding, (1, 1), False, at, grad_input=_room(x, out)
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


# -- normalisation -----------------------------------------------------------------------------------------------

Axes = tuple[int, ...]


def moments(x: Tensor, axes: Axes) -> tuple[Tensor, Tensor]:
    """Mean and variance."""
    variance, mean = torch.var_mean(x, axes, correction=0)
    return mean, variance


def normalize(x: Tensor, scale: Tensor, shift: Tensor, axes: Axes, eps: float) -> Tensor:
    """X brought to mean 0 and variance 1 over the axes, times scale, plus shift."""
    return normalize_moments(x, scale, shift, axes, eps)[0]


def normalize_moments(
    x: Tensor, scale: Tensor, shift: Tensor, axes: Axes, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """See `normalize`; and the mean and the variance, which kernels find on the way."""
    if is_batch_norm(x.shape, scale.shape, axes):
        return batch_norm_moments(x, scale, shift, eps)
    kept = [size for axis, size in enumerate(x.shape) if axis not in axes]
    if _is_layer_norm(x, scale.shape, axes):
        y, mean, rate = torch.native_layer_norm(x, scale.shape, scale, shift, eps)
        return y, mean.view(kept), _variance(rate, eps).view(kept)
    variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    y = torch.addcmul(shift, (x - mean).mul_((variance + eps).rsqrt_()), scale)
    return y, mean.view(kept), variance.view(kept)


def batch_norm_moments(
    x: Tensor, scale: Tensor, shift: Tensor, eps: float, out: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """`normalize_moments` over all axes but that of channels, which have a number of scale and of shift each."""
    y = (
        torch.empty_like(x) if out is None or out.stride() != x.stride() else out
    )  # the kernel reads no strides
    mean, rate = (x.new_empty(len(scale)) for _ in range(2))
    torch.ops.aten.native_batch_norm.out(
        x,
        scale.reshape(-1),
        shift.reshape(-1),
        None,
        None,
        True,
        0.0,
        eps,
        out=y,
        save_mean=mean,
        save_invstd=rate,
    )
    return y if out is None or y is out else out.copy_(y), mean, _variance(rate, eps)


def _variance(rate: Tensor, eps: float) -> Tensor:
    """Of which this is 1 / sqrt(variance + eps)."""
    return rate.pow(-2).sub_(eps).clamp_min_(0)


def normalize_input(
    g: Tensor, x: Tensor, mean: Tensor, variance: Tensor, scale: Tensor, axes: Axes, eps: float
) -> Tensor:
    """The error of x, whose moments these are: (h - mean(h) - z mean(h z)) / sqrt(variance + eps), h = g scale."""
    if is_batch_norm(x.shape, scale.shape, axes):
        return _batch_norm_backward(g, x, mean, variance, scale, eps, [True, False, False])[0]
    if _is_layer_norm(x, scale.shape, axes):
        return _layer_norm_backward(g, x, mean, variance, scale, eps, [True, False, False])[0]
    z, rate = _standard(x, mean, variance, axes, eps)
    h = g * scale
    along = (h * z).mean(axes, keepdim=True)
    return h.sub_(h.mean(axes, keepdim=True)).sub_(z.mul_(along)).mul_(rate)


def normalize_scale(
    g: Tensor, x: Tensor, mean: Tensor, variance: Tensor, axes: Axes, eps: float, shape: tuple[int, ...]
) -> Tensor:
    """The gradient of a scale of that shape: the sum of g z."""
    scale = g.new_empty(1).expand(shape)  # nobody reads its numbers
    if is_batch_norm(x.shape, scale.shape, axes):
        mask = [False, True, False]
        return _batch_norm_backward(g, x, mean, variance, scale, eps, mask)[1].view(shape)
    if _is_layer_norm(x, scale.shape, axes):
        return _layer_norm_backward(g, x, mean, variance, scale, eps, [False, True, False])[1]
    return _standard(x, mean, variance, axes, eps)[0].mul_(g).sum_to_size(shape)


def normalize_back(
    g: Tensor,
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    scale: Tensor,
    axes: Axes,
    eps: float,
    shape: tuple[int, ...],
) -> tuple[Tensor, Tensor]:
    """The error of x, and the gradient of the scale: `normalize_input` and `normalize_scale`."""
    if is_batch_norm(x.shape, scale.shape, axes):
        made = _batch_norm_backward(g, x, mean, variance, scale, eps, [True, True, False])
    elif _is_layer_norm(x, scale.shape, axes):
        made = _layer_norm_backward(g, x, mean, variance, scale, eps, [True, True, False])
    else:
        error = normalize_input(g, x, mean, variance, scale, axes, eps)
        return error, normalize_scale(g, x, mean, variance, axes, eps, shape)
    return made[0], made[1].view(shape)


def is_batch_norm(x: Sequence[object], scale: Sequence[object], axes: object) -> bool:
    """Whether the moments are over all axes but that of the channels, and the scale is one number for each of these.

    Of the shapes of both.
    """
    return axes == (0, *range(2, len(x))) and tuple(scale) == (x[1], *(1,) * (len(x) - 2))


def _is_layer_norm(x: Tensor, scale: torch.Size, axes: Axes) -> bool:
    """Whether the moments are over the last axes, and the scale has their sizes."""
    return axes == tuple(range(axes[0], x.dim())) and scale == x.shape[axes[0] :]


def _standard(x: Tensor, mean: Tensor, variance: Tensor, axes: Axes, eps: float) -> tuple[Tensor, Tensor]:
    """Z, and by what it was multiplied; the latter keeps the axes, as 1."""
    kept = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
    rate = (variance + eps).rsqrt_().view(kept)
    return (x - mean.view(kept)).mul_(rate), rate


def _batch_norm_backward(
    g: Tensor, x: Tensor, mean: Tensor, variance: Tensor, scale: Tensor, eps: float, mask: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    rate = (variance + eps).rsqrt_()
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.native_batch_norm_backward(
        g, x, scale.reshape(-1), None, None, mean, rate, True, eps, mask
    )
    return found


def _layer_norm_backward(
    g: Tensor, x: Tensor, mean: Tensor, variance: Tensor, scale: Tensor, eps: float, mask: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    kept = (*mean.shape, *(1,) * scale.dim())
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.native_layer_norm_backward(
        g.contiguous(),
        x,
        scale.shape,
        mean.view(kept),
        (variance + eps).rsqrt_().view(kept),
        scale,
        None,
        mask,
    )
    return found


# -- updates, in place -------------------------------------------------------------------------------------------


def sgd(
    w: Tensor, m: Tensor | None, g: Tensor, lr: float, momentum: float, nesterov: bool, weight_decay: float
) -> None:
    """g += decay w; m = momentum m + g; w -= lr m, or lr (g + momentum m) with Nesterov."""
    momenta = [] if m is None else [m]
    if FUSED_SGD is not None and _alike(w, *momenta):
        FUSED_SGD(
            [w], [_as(w, g)], momenta, weight_decay=weight_decay, momentum=momentum, lr=lr, dampening=0.0,
            nesterov=nesterov, maximize=False, is_first_step=False,
        )  # fmt: skip
        return
    if weight_decay:
        g = g.add(w, alpha=weight_decay)
    if m is not None:
        m.mul_(momentum).add_(g)
        g = g.add(m, alpha=momentum) if nesterov else m
    w.add_(g, alpha=-lr)


def sgd_outer(
    w: Tensor, m: Tensor | None, d: Tensor, h: Tensor, room: Tensor,
    lr: float, momentum: float, nesterov: bool, weight_decay: float,
) -> None:  # fmt: skip
    """`sgd` with g = d^T h, tile by tile: the whole gradient never exists."""
    for rows, g in _tiles(w, d, h, room):
        sgd(w[rows], None if m is None else m[rows], g, lr, momentum, nesterov, weight_decay)


def adam(
    w: Tensor, mean: Tensor, square: Tensor, g: Tensor, lr: float, step: int,
    beta1: float, beta2: float, eps: float, weight_decay: float, decoupled: bool,
) -> None:  # fmt: skip
    """Adam, or AdamW if `decoupled`; `step` counts from 0."""
    fused = FUSED_ADAMW if decoupled else FUSED_ADAM
    if fused is not None and _alike(w, mean, square):
        t = torch.full((), float(step + 1), device=w.device)  # `tensor` would copy it from the host, and wait
        fused(
            [w], [_as(w, g)], [mean], [square], [], [t], lr=lr, beta1=beta1, beta2=beta2,
            weight_decay=weight_decay, eps=eps, amsgrad=False, maximize=False,
        )  # fmt: skip
        return
    if decoupled:
        w.mul_(1 - lr * weight_decay)
    elif weight_decay:
        g = g.add(w, alpha=weight_decay)
    mean.lerp_(g, 1 - beta1)
    square.mul_(beta2).addcmul_(g, g, value=1 - beta2)
    correction1, correction2 = 1 - beta1 ** (step + 1), 1 - beta2 ** (step + 1)
    w.addcdiv_(mean, (square.sqrt() / correction2**0.5).add_(eps), value=-lr / correction1)


def adam_outer(
    w: Tensor, mean: Tensor, square: Tensor, d: Tensor, h: Tensor, room: Tensor, lr: float, step: int,
    beta1: float, beta2: float, eps: float, weight_decay: float, decoupled: bool,
) -> None:  # fmt: skip
    """`adam` with g = d^T h, tile by tile."""
    for rows, g in _tiles(w, d, h, room):
        adam(w[rows], mean[rows], square[rows], g, lr, step, beta1, beta2, eps, weight_decay, decoupled)


def _alike(w: Tensor, *others: Tensor) -> bool:
    """Whether all lie in memory without gaps, in one order. Fused kernels pair what they find there, unlike strides."""
    last = w.dim() == 4 and w.is_contiguous(memory_format=torch.channels_last)
    return (last or w.is_contiguous()) and all(other.stride() == w.stride() for other in others)


def _as(w: Tensor, g: Tensor) -> Tensor:
    """A gradient that lies as the parameter does."""
    return g if g.stride() == w.stride() else torch.empty_like(w).copy_(g)


def _tiles(w: Tensor, d: Tensor, h: Tensor, room: Tensor) -> Iterator[tuple[slice, Tensor]]:
    height = max(1, room.numel() // w.shape[1])
    for start in range(0, w.shape[0], height):
        rows = slice(start, min(start + height, w.shape[0]))
        g = room[: (rows.stop - start) * w.shape[1]].view(-1, w.shape[1])
        yield rows, _outer(d[:, rows], h, g)


def _outer(d: Tensor, h: Tensor, out: Tensor) -> Tensor:
    """d^T h. CPU libraries are several times slower at a product with few columns than at its transpose."""
    if out.device.type == "cpu" and h.shape[1] <= THIN < d.shape[1]:
        return out.copy_(torch.mm(h.T, d).T)
    return torch.mm(d.T, h, out=out)


# The fused kernels behind torch.optim(fused=True) are private: this is the one place that names them, and a torch
# without them runs the eager lines above.
FUSED_SGD = getattr(torch, "_fused_sgd_", None)
FUSED_ADAM = getattr(torch, "_fused_adam_", None)
FUSED_ADAMW = getattr(torch, "_fused_adamw_", None)
