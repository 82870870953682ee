"""Updates, in place: fused optimisers, and those that take the factors of a gradient and make it tile by tile.

This file travels with every written artifact, as `kernels.py` does, which gives all of this out.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

Tensor = torch.Tensor
THIN = 32
"""Columns of a product up to which its transpose is computed, see `_outer`."""

# Learning rate and number of the step are Python's, or tensors of float64 and int64, [], which a CUDA graph reads anew.
Rate = float | Tensor
Count = int | Tensor


def _for_fused(w: Tensor, lr: Rate) -> Rate | None:
    """A learning rate as fused kernels take it: of tensors those of float32, which would lose digits beside float64."""
    if isinstance(lr, Tensor):
        return None if w.dtype == torch.float64 else lr.float()
    return lr


def _down(w: Tensor, g: Tensor, lr: Rate, over: Tensor | None = None) -> None:
    """w -= lr g, or lr g / over."""
    if isinstance(lr, Tensor):
        w.addcmul_(g if over is None else g / over, lr.to(w.dtype), value=-1)
    elif over is None:
        w.add_(g, alpha=-lr)
    else:
        w.addcdiv_(g, over, value=-lr)


def sgd(
    w: Tensor, m: Tensor | None, g: Tensor, lr: Rate, momentum: float, nesterov: bool, weight_decay: float
) -> None:
    """g += decay w; m = momentum m + g; w -= lr m, or lr (g + momentum m) with Nesterov."""
    momenta = [] if m is None else [m]
    rate = (
        lr if isinstance(lr, float) else _for_fused(w, lr)
    )  # most calls are by a number, and small ones many
    if FUSED_SGD is not None and rate is not None and _alike(w, *momenta):
        FUSED_SGD(
            [w], [_as(w, g)], momenta, weight_decay=weight_decay, momentum=momentum, lr=rate, dampening=0.0,
            nesterov=nesterov, maximize=False, is_first_step=False,
        )  # fmt: skip
        return
    if weight_decay:
        g = g.add(w, alpha=weight_decay)
    if m is not None:
        m.mul_(momentum).add_(g)
        g = g.add(m, alpha=momentum) if nesterov else m
    _down(w, g, lr)


def sgd_outer(
    w: Tensor, m: Tensor | None, d: Tensor, h: Tensor, room: Tensor,
    lr: Rate, momentum: float, nesterov: bool, weight_decay: float,
    to: str | None = None,
) -> None:  # fmt: skip
    """`sgd` with g = d^T h, rounded if `to` says to which type, tile by tile: the whole gradient never exists."""
    for rows, g in _tiles(w, d, h, room, to):
        sgd(w[rows], None if m is None else m[rows], g, lr, momentum, nesterov, weight_decay)


def adam(
    w: Tensor, mean: Tensor, square: Tensor, largest: Tensor | None, g: Tensor, lr: Rate, step: Count,
    beta1: float, beta2: float, eps: float, weight_decay: float, decoupled: bool,
) -> None:  # fmt: skip
    """Adam, or AdamW if `decoupled`; `step` counts from 0. With `largest`, amsgrad."""
    fused = FUSED_ADAMW if decoupled else FUSED_ADAM
    most = [] if largest is None else [largest]
    rate = (
        lr if isinstance(lr, float) else _for_fused(w, lr)
    )  # most calls are by a number, and small ones many
    if fused is not None and rate is not None and _alike(w, mean, square, *most):
        # `tensor` would copy it from the host, and wait
        t = torch.full((), step + 1.0, device=w.device) if isinstance(step, int) else (step + 1).float()
        fused(
            [w], [_as(w, g)], [mean], [square], most, [t], lr=rate, beta1=beta1, beta2=beta2,
            weight_decay=weight_decay, eps=eps, amsgrad=largest is not None, maximize=False,
        )  # fmt: skip
        return
    if decoupled:
        w.mul_(1 - lr * weight_decay)
    elif weight_decay:
        g = g.add(w, alpha=weight_decay)
    mean.lerp_(g, 1 - beta1)
    square.mul_(beta2).addcmul_(g, g, value=1 - beta2)
    if largest is not None:
        square = torch.maximum(largest, square, out=largest)
    count = step + 1 if isinstance(step, int) else step.double() + 1
    correction1, correction2 = 1 - beta1**count, 1 - beta2**count
    _down(w, mean, lr / correction1, (square.sqrt() / correction2**0.5).add_(eps))


def adam_outer(
    w: Tensor, mean: Tensor, square: Tensor, largest: Tensor | None, d: Tensor, h: Tensor, room: Tensor, lr: Rate,
    step: Count, beta1: float, beta2: float, eps: float, weight_decay: float, decoupled: bool,
    to: str | None = None,
) -> None:  # fmt: skip
    """`adam` with g = d^T h, as `sgd_outer`, tile by tile."""
    for rows, g in _tiles(w, d, h, room, to):
        most = None if largest is None else largest[rows]
        adam(w[rows], mean[rows], square[rows], most, g, lr, step, beta1, beta2, eps, weight_decay, decoupled)


def rmsprop(
    w: Tensor, square: Tensor, mean: Tensor | None, m: Tensor | None, g: Tensor, lr: Rate,
    alpha: float, eps: float, momentum: float, weight_decay: float,
) -> None:  # fmt: skip
    """RMSprop, with `mean` centered, with `m` with momentum. torch has no fused one."""
    if weight_decay:
        g = g.add(w, alpha=weight_decay)
    square.mul_(alpha).addcmul_(g, g, value=1 - alpha)
    if mean is None:
        spread = square.sqrt()
    else:
        mean.lerp_(g, 1 - alpha)
        spread = torch.addcmul(square, mean, mean, value=-1).clamp_(min=0).sqrt_()
    spread.add_(eps)
    if m is None:
        _down(w, g, lr, spread)
    else:
        m.mul_(momentum).addcdiv_(g, spread)
        _down(w, m, lr)


def rmsprop_outer(
    w: Tensor, square: Tensor, mean: Tensor | None, m: Tensor | None, d: Tensor, h: Tensor, room: Tensor, lr: Rate,
    alpha: float, eps: float, momentum: float, weight_decay: float,
    to: str | None = None,
) -> None:  # fmt: skip
    """`rmsprop` with g = d^T h, as `sgd_outer`, tile by tile."""
    for rows, g in _tiles(w, d, h, room, to):
        means, momenta = (None if state is None else state[rows] for state in (mean, m))
        rmsprop(w[rows], square[rows], means, momenta, g, lr, alpha, eps, momentum, weight_decay)


def _alike(w: Tensor, *others: Tensor) -> bool:
    """Whether all lie in memory without gaps, in one order. Fused kernels pair what they find there, unlike strides."""
    last = w.dim() > 2 and w.movedim(1, -1).is_contiguous()
    return (last or w.is_contiguous()) and all(other.stride() == w.stride() for other in others)


def _as(w: Tensor, g: Tensor) -> Tensor:
    """A gradient that lies as the parameter does."""
    return g if g.stride() == w.stride() else torch.empty_like(w).copy_(g)


def _tiles(w: Tensor, d: Tensor, h: Tensor, room: Tensor, to: str | None) -> Iterator[tuple[slice, Tensor]]:
    height = max(1, room.numel() // w.shape[1])
    for start in range(0, w.shape[0], height):
        rows = slice(start, min(start + height, w.shape[0]))
        g = room[: (rows.stop - start) * w.shape[1]].view(-1, w.shape[1])
        yield rows, _outer(d[:, rows], h, g, to)


def _outer(d: Tensor, h: Tensor, out: Tensor, to: str | None = None) -> Tensor:
    """d^T h. CPU libraries are several times slower at a product with few columns than at its transpose."""
    if out.device.type == "cpu" and h.shape[1] <= THIN < d.shape[1]:
        out.copy_(torch.mm(h.T, d).T)
    elif d.dtype == out.dtype:
        torch.mm(d.T, h, out=out)
    else:
        out.copy_(torch.mm(d.T, h))
    return out if to is None or d.dtype != out.dtype else out.copy_(out.to(getattr(torch, to)))


# The fused kernels behind torch.optim(fused=True) are private: this is the one place that names them, and a torch
# without them runs the eager lines above.
FUSED_SGD = getattr(torch, "_fused_sgd_", None)
FUSED_ADAM = getattr(torch, "_fused_adam_", None)
FUSED_ADAMW = getattr(torch, "_fused_adamw_", None)
