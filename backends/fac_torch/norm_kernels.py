"""Kernels of normalisations.

This file travels with every written artifact, as `kernels.py` does, which gives all of this out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

Tensor = torch.Tensor
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
    if is_layer_norm(x.shape, scale.shape, axes):
        return layer_norm_moments(x, scale, shift, eps)
    kept = [size for axis, size in enumerate(x.shape) if axis not in axes]
    variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    y = torch.addcmul(shift, (x - mean).mul_((variance + eps).rsqrt_()), scale)
    return y, mean.view(kept), variance.view(kept)


def batch_norm_moments(
    x: Tensor, scale: Tensor, shift: Tensor, eps: float, out: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """`normalize_moments` over all axes but that of channels, which have a number of scale and of shift each."""
    x = _ordered(x)
    y = torch.empty_like(x) if out is None or out.stride() != x.stride() else out
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


def layer_norm_moments(
    x: Tensor, scale: Tensor, shift: Tensor, eps: float, out: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """`normalize_moments` over the last axes, all of whose numbers have their own scale and shift.

    The kernel of torch has no room of its own to write to. What it allocates is given back at once, and so memory that
    it has had before: kept until the backward pass, it is new in each step, and its pages are ten times as dear.
    """
    kept = x.shape[: x.dim() - scale.dim()]
    y, mean, rate = torch.native_layer_norm(x, scale.shape, scale, shift, eps)
    return y if out is None else out.copy_(y), mean.view(kept), _variance(rate, eps).view(kept)


def _ordered(x: Tensor) -> Tensor:
    """X row by row, or a map with its channels last. The kernels of batch norms take all else for one of these."""
    if x.is_contiguous() or (x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)):
        return x
    return x.contiguous()


def _variance(rate: Tensor, eps: float) -> Tensor:
    """Of which this is 1 / sqrt(variance + eps)."""
    return rate.pow(-2).sub_(eps).clamp_min_(0)


def normalize_input(
    g: Tensor, x: Tensor, mean: Tensor, variance: Tensor, scale: Tensor, axes: Axes, eps: float
) -> Tensor:
    """The error of x, whose moments these are: (h - mean(h) - z mean(h z)) / sqrt(variance + eps), h = g scale."""
    if is_batch_norm(x.shape, scale.shape, axes):
        return _batch_norm_backward(g, x, mean, variance, scale, eps, [True, False, False])[0]
    if is_layer_norm(x.shape, scale.shape, axes):
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
    if is_layer_norm(x.shape, scale.shape, axes):
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
    elif is_layer_norm(x.shape, scale.shape, axes):
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


def is_layer_norm(x: Sequence[object], scale: Sequence[object], axes: object) -> bool:
    """Whether the moments are over the last axes, and the scale has their sizes. Of the shapes of both."""
    return axes == tuple(range(len(x) - len(scale), len(x))) and tuple(scale) == tuple(
        x[len(x) - len(scale) :]
    )


def _standard(x: Tensor, mean: Tensor, variance: Tensor, axes: Axes, eps: float) -> tuple[Tensor, Tensor]:
    """Z, and by what it was multiplied; the latter keeps the axes, as 1."""
    kept = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
    rate = (variance + eps).rsqrt_().view(kept)
    return (x - mean.view(kept)).mul_(rate), rate


def _batch_norm_backward(
    g: Tensor, x: Tensor, mean: Tensor, variance: Tensor, scale: Tensor, eps: float, mask: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    rate, x = (variance + eps).rsqrt_(), _ordered(x)
    if g.stride() != x.stride():  # which the kernel takes for granted
        g = torch.empty_like(x).copy_(g)
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
