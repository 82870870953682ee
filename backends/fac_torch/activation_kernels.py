"""Activations and their derivatives, each one call of torch that writes where it is told.

Imports torch and nothing else of this distribution but `map_kernels`, and travels with every written artifact.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from fac_torch.map_kernels import Tensor, room


def relu_input(g: Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
    """g * (y > 0), y the output of relu."""
    result: Tensor = torch.ops.aten.threshold_backward.grad_input(g, y, 0, grad_input=room(g, out))
    return result


def leaky_relu_input(g: Tensor, y: Tensor, slope: float, out: Tensor | None = None) -> Tensor:
    """G where y > 0, else slope * g; y the output of leaky_relu."""
    result: Tensor = torch.ops.aten.leaky_relu_backward.grad_input(g, y, slope, True, grad_input=room(g, out))
    return result


def tanh_input(g: Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
    """g * (1 - y^2), y the output of tanh."""
    result: Tensor = torch.ops.aten.tanh_backward.grad_input(g, y, grad_input=room(g, out))
    return result


def sigmoid_input(g: Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
    """g * y * (1 - y), y the output of sigmoid."""
    result: Tensor = torch.ops.aten.sigmoid_backward.grad_input(g, y, grad_input=room(g, out))
    return result


def gelu_input(g: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """g * (Phi(x) + x * phi(x)), x the input of gelu."""
    result: Tensor = torch.ops.aten.gelu_backward.grad_input(g, x, grad_input=room(g, out))
    return result


def leaky_relu(x: Tensor, slope: float, out: Tensor | None = None) -> Tensor:
    """X where x > 0, else slope * x."""
    result: Tensor = torch.ops.aten.leaky_relu.out(x, slope, out=room(x, out))
    return result


def gelu(x: Tensor, out: Tensor | None = None) -> Tensor:
    """x * Phi(x)."""
    if out is not None and out.stride() != x.stride():  # in float32 the kernel would leave it as it was
        return out.copy_(F.gelu(x))
    result: Tensor = torch.ops.aten.gelu.out(x, out=room(x, out))
    return result


def gelu_tanh(x: Tensor, out: Tensor | None = None) -> Tensor:
    """x * Phi(x), Phi by its approximation with tanh."""
    if out is not None and out.stride() != x.stride():
        return out.copy_(F.gelu(x, approximate="tanh"))
    result: Tensor = torch.ops.aten.gelu.out(x, approximate="tanh", out=room(x, out))
    return result


def gelu_tanh_input(g: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """g times the derivative of gelu_tanh, x its input."""
    result: Tensor = torch.ops.aten.gelu_backward.grad_input(
        g, x, approximate="tanh", grad_input=room(g, out)
    )
    return result


def silu(x: Tensor, out: Tensor | None = None) -> Tensor:
    """x * sigmoid(x)."""
    result: Tensor = torch.ops.aten.silu.out(x, out=room(x, out))
    return result


def silu_input(g: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """g * (s + x s (1 - s)), s = sigmoid(x)."""
    result: Tensor = torch.ops.aten.silu_backward.grad_input(g, x, grad_input=room(g, out))
    return result


def elu(x: Tensor, alpha: float, out: Tensor | None = None) -> Tensor:
    """X where x > 0, else alpha * (exp(x) - 1)."""
    result: Tensor = torch.ops.aten.elu.out(x, alpha, out=room(x, out))
    return result


def elu_input(g: Tensor, x: Tensor, alpha: float, out: Tensor | None = None) -> Tensor:
    """G where x > 0, else g * alpha * exp(x)."""
    result: Tensor = torch.ops.aten.elu_backward.grad_input(g, alpha, 1, 1, False, x, grad_input=room(g, out))
    return result


def softplus(x: Tensor, out: Tensor | None = None) -> Tensor:
    """log(1 + exp(x)); beyond 40 no digit of it differs from x, and torch need not take the exponential."""
    result: Tensor = torch.ops.aten.softplus.out(x, 1, 40, out=room(x, out))
    return result


def hardsigmoid(x: Tensor, out: Tensor | None = None) -> Tensor:
    """(x + 3) / 6, limited to [0, 1]."""
    result: Tensor = torch.ops.aten.hardsigmoid.out(x, out=room(x, out))
    return result


def hardsigmoid_input(g: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """g / 6 where -3 < x < 3, else 0. Torch's own kernel rounds 1/6 to float32, in float64 too."""
    out = torch.ops.aten.hardtanh_backward.grad_input(g, x, -3, 3, grad_input=room(g, out))
    return out.div_(6)


def hardswish(x: Tensor, out: Tensor | None = None) -> Tensor:
    """x * hardsigmoid(x)."""
    result: Tensor = torch.ops.aten.hardswish.out(x, out=room(x, out))
    return result


def hardswish_input(g: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """g * (x / 3 + 1/2) where -3 < x < 3; 0 below, g above."""
    result: Tensor = torch.ops.aten.hardswish_backward.out(g, x, out=room(g, out))
    return result
