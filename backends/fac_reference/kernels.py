"""What each op of the step IR means, one line of NumPy per op. This is the oracle: clear before fast."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fac.step.hosted import carried_out
from fac.step.ir import Op
from fac.step.ops.units import CUBIC
from fac.step.types import Batch, Shape
from fac_reference import attention, convolution
from fac_reference.parts import crop, pad
from fac_reference.pools import max_pool2d, max_pool2d_index, pick, resampled, spread, unpick
from fac_reference.rounding import ROUNDED

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Run:
    """What a kernel may ask beside its operands: the op, the batch size and the float type."""

    op: Op
    n: int
    dtype: np.dtype[Any]

    def __getitem__(self, attribute: str) -> Any:
        return self.op[attribute]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the result, with the batch size filled in."""
        return concrete(self.op.result.type.shape, self.n)


def is_number(x: Any) -> bool:
    """Whether a scalar is a plain number. One of NumPy comes from tensors, and divides by zero without an error."""
    return isinstance(x, int | float) and not isinstance(x, np.generic)


def concrete(shape: Shape, n: int) -> tuple[int, ...]:
    """A shape with the batch size filled in."""
    return tuple(dim.times * n if isinstance(dim, Batch) else dim for dim in shape)


def turned(x: Array, transposed: bool) -> Array:
    """A matrix, or its transpose; of [..., rows, columns] each."""
    return x.swapaxes(-1, -2) if transposed else x


def erf(x: Any) -> Any:
    """The error function, of an array or a Python number."""
    return np.vectorize(math.erf, otypes=[float])(x).astype(np.asarray(x).dtype)[()]


def normal_cdf(x: Array) -> Any:
    """The distribution function of N(0, 1)."""
    return 0.5 * (1 + erf(x / math.sqrt(2)))


def normal_pdf(x: Array) -> Any:
    """The density of N(0, 1)."""
    return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), to the last digit far below zero too."""
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, np.ones_like(e)) / (1 + e)


def silu_input(g: Array, x: Array) -> Any:
    """g * (s + x s (1 - s)), s = sigmoid(x)."""
    s = sigmoid(x)
    return g * s * (1 + x * (1 - s))


def gelu_tanh(x: Array) -> Any:
    """x (1 + tanh(u)) / 2, u = sqrt(2 / pi) (x + CUBIC x^3)."""
    return x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + CUBIC * x**3))) / 2


def gelu_tanh_input(g: Array, x: Array) -> Any:
    """g ((1 + t) / 2 + x (1 - t^2) u' / 2), t = tanh(u)."""
    t = np.tanh(math.sqrt(2 / math.pi) * (x + CUBIC * x**3))
    rise = math.sqrt(2 / math.pi) * (1 + 3 * CUBIC * x**2)
    return g * (1 + t + x * (1 - t * t) * rise) / 2


def elu_input(g: Array, x: Array, alpha: float) -> Any:
    """g * (1 where x > 0, else alpha exp(x))."""
    return g * np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0)))


def softmax(z: Array, axis: int) -> Any:
    """Softmax along an axis, shifted by the maximum so that nothing overflows."""
    e = np.exp(z - z.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def log_softmax(z: Array) -> Any:
    """Log of the softmax along the last axis, shifted by the maximum so that nothing overflows."""
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def cross_entropy_input(g: Any, z: Array, y: Array) -> Any:
    """g * (softmax(z) - onehot(y)) / N."""
    return g * (np.exp(log_softmax(z)) - np.eye(z.shape[1], dtype=z.dtype)[y]) / len(z)


def tensor(r: Run, x: Any) -> Array:
    """An array; of a Python number, which has double precision, one of the type of the run."""
    return np.asarray(x, r.dtype if isinstance(x, float) else None)


def norm(*xs: Any, nonzero: bool) -> Any:
    """The Euclidean norm of all entries of all arrays, squared only once they are at most 1."""
    largest = max((np.abs(x).max() for x in xs), key=lambda m: np.inf if np.isnan(m) else m)
    unit = largest if largest else 1.0
    found = unit * np.sqrt(sum(np.vdot(x / unit, x / unit) for x in xs))
    return np.ones_like(found)[()] if nonzero and found == 0 else found


def newton_schulz_rows(r: Run, left: Array, right: Array) -> Any:
    """S of left^T S, see `fac.step.ops.orthogonal`; in float64."""
    (a, b, c), sizes = r["coefficients"], [float(norm(x, nonzero=True)) for x in (left, right)]
    rows, others = (np.asarray(x, np.float64) / size for x, size in zip((left, right), sizes, strict=True))
    k, h = rows @ rows.T, others @ others.T
    square = np.vdot(k, h)
    if square <= r["least"] * np.sqrt(k.diagonal() * h.diagonal()).sum() ** 2:
        return np.zeros_like(right)
    d, z = h @ k / square, np.eye(len(rows)) / np.sqrt(square)
    for _ in range(r["steps"]):
        f = a * np.eye(len(rows)) + b * d + c * d @ d
        z, d = f @ z, f @ (f @ d)
    return (z @ others / sizes[0]).astype(right.dtype)


def cast(r: Run, x: Any) -> Any:
    """Another element type; Python scalars stay Python scalars."""
    if is_number(x):
        return {"f": float, "i": int, "b": bool}[r["dtype"]](x)
    return x.astype({"f": r.dtype, "i": np.int64, "b": np.bool_}[r["dtype"]])


def standard(r: Run, x: Array, mean: Array, variance: Array) -> tuple[Array, Array]:
    """(x - mean) / sqrt(variance + eps), and that divisor's inverse."""
    rate = 1 / np.sqrt(np.expand_dims(variance, r["axes"]) + r["eps"])
    return (x - np.expand_dims(mean, r["axes"])) * rate, rate


def normalize(r: Run, x: Array, scale: Array, shift: Array) -> Array:
    """To mean 0 and variance 1, then scaled and shifted."""
    result: Array = standard(r, x, x.mean(r["axes"]), x.var(r["axes"]))[0] * scale + shift
    return result


def normalize_input(r: Run, g: Array, x: Array, mean: Array, variance: Array, scale: Array) -> Array:
    """(h - mean(h) - z mean(h z)) / sqrt(variance + eps), h = g scale."""
    (z, rate), h, axes = standard(r, x, mean, variance), g * scale, r["axes"]
    result: Array = rate * (h - h.mean(axes, keepdims=True) - z * (h * z).mean(axes, keepdims=True))
    return result


def normalize_scale(r: Run, g: Array, x: Array, mean: Array, variance: Array) -> Array:
    """The sum of g z over the axes along which the scale was stretched."""
    product: Array = g * standard(r, x, mean, variance)[0]
    shape = (1,) * (product.ndim - len(r.shape)) + r.shape
    axes = tuple(i for i, dim in enumerate(shape) if dim == 1)
    result: Array = np.sum(product, axes).reshape(r.shape)
    return result


def scatter(g: Array, index: Array, rows: int) -> Array:
    """[rows, d]: in each row the sum of those of g that have its number, one behind the other."""
    found = np.zeros((rows, g.shape[-1]), g.dtype)
    np.add.at(found, index, g)
    return found


KERNELS: dict[str, Callable[..., Any]] = {
    "constant": lambda r: r["value"],
    "table": lambda r: np.array(r["values"], r.dtype),
    "cast": cast,
    "add": lambda r, a, b: a + b,
    "sub": lambda r, a, b: a - b,
    "mul": lambda r, a, b: a * b,
    "div": lambda r, a, b: a / b,
    "pow": lambda r, a, b: a**b,
    "maximum": lambda r, a, b: np.maximum(a, b),
    "minimum": lambda r, a, b: np.minimum(a, b),
    "equal": lambda r, a, b: a == b,
    "less": lambda r, a, b: a < b,
    "neg": lambda r, x: -x,
    "where": lambda r, condition, a, b: np.where(condition, a, b),
    "sign": lambda r, x: np.sign(x),
    "abs": lambda r, x: np.abs(x),
    "round": lambda r, x: np.round(x),
    "round_to": lambda r, x: ROUNDED[r["to"]](x),
    "sqrt": lambda r, x: np.sqrt(x),
    "clamp": lambda r, x: np.clip(x, r["low"], r["high"]),
    "exp": lambda r, x: np.exp(x),
    "log": lambda r, x: np.log(x),
    "erf": lambda r, x: erf(x),
    "sin": lambda r, x: np.sin(x),
    "cos": lambda r, x: np.cos(x),
    "stop_gradient": lambda r, x: x,
    "relu": lambda r, x: np.maximum(x, 0),
    "relu_input": lambda r, g, y: g * (y > 0),
    "leaky_relu": lambda r, x: np.where(x > 0, x, r["slope"] * x),
    "leaky_relu_input": lambda r, g, y: np.where(y > 0, g, r["slope"] * g),
    "tanh": lambda r, x: np.tanh(x),
    "tanh_input": lambda r, g, y: g * (1 - y * y),
    "sigmoid": lambda r, x: sigmoid(x),
    "sigmoid_input": lambda r, g, y: g * y * (1 - y),
    "gelu": lambda r, x: x * normal_cdf(x),
    "gelu_input": lambda r, g, x: g * (normal_cdf(x) + x * normal_pdf(x)),
    "gelu_tanh": lambda r, x: gelu_tanh(x),
    "gelu_tanh_input": lambda r, g, x: gelu_tanh_input(g, x),
    "silu": lambda r, x: x * sigmoid(x),
    "silu_input": lambda r, g, x: silu_input(g, x),
    "elu": lambda r, x: np.where(x > 0, x, r["alpha"] * np.expm1(np.minimum(x, 0))),
    "elu_input": lambda r, g, x: elu_input(g, x, r["alpha"]),
    "softplus": lambda r, x: np.logaddexp(x, np.zeros_like(x)),
    "hardsigmoid": lambda r, x: np.clip(x + 3, 0, 6) / 6,
    "hardsigmoid_input": lambda r, g, x: g * (np.abs(x) < 3) / 6,
    "hardswish": lambda r, x: x * (np.clip(x + 3, 0, 6) / 6),
    "hardswish_input": lambda r, g, x: g * np.where(np.abs(x) < 3, x / 3 + 0.5, x > 0),
    "softmax": lambda r, z: softmax(z, r["axis"]),
    "matmul": lambda r, a, b: turned(a, r["ta"]) @ turned(b, r["tb"]),
    "bmm": lambda r, a, b: turned(a, r["ta"]) @ turned(b, r["tb"]),
    "conv2d": convolution.conv2d,
    "conv2d_input": convolution.conv2d_input,
    "conv2d_weight": convolution.conv2d_weight,
    "unfold": lambda r, x: convolution.unfold(r, x, r["kernel"]),
    "fold": lambda r, x: convolution.fold(r, x, r["kernel"]),
    "host": lambda r, x: carried_out(r["call"], x, r["width"]),
    "project": lambda r, d, p: d @ np.linalg.pinv(p, max(p.shape) * np.finfo(p.dtype).eps) @ p,
    "newton_schulz_rows": newton_schulz_rows,
    "dot": lambda r, a, b: np.vdot(a, b),
    "sum": lambda r, x: np.sum(x, r["axes"], keepdims=r["keep"]),
    "mean": lambda r, x: np.mean(x, r["axes"]),
    "max": lambda r, x: np.max(x, r["axes"], keepdims=r["keep"]),
    "max_abs": lambda r, x: np.abs(x).max(r["axes"], keepdims=r["keep"]),
    "norm": lambda r, *xs: norm(*xs, nonzero=r["nonzero"]),
    "variance": lambda r, x: np.var(x, r["axes"]),
    "normalize": normalize,
    "normalize_input": normalize_input,
    "normalize_scale": normalize_scale,
    "batch_size": lambda r: float(r.n),
    "reshape": lambda r, x: tensor(r, x).reshape(r.shape),
    "transpose": lambda r, x: tensor(r, x).transpose(r["axes"]),
    "broadcast_to": lambda r, x: np.broadcast_to(tensor(r, x), r.shape),
    "argmax": lambda r, x: x.argmax(-1),
    "log_softmax": lambda r, z: log_softmax(z),
    "cross_entropy": lambda r, z, y: -log_softmax(z)[np.arange(len(z)), y].mean(),
    "cross_entropy_input": lambda r, g, z, y: cross_entropy_input(g, z, y),
    "iota": lambda r: np.arange(math.prod(r.shape)).reshape(r.shape),
    "bit_xor": lambda r, a, b: a ^ b,
    "bit_and": lambda r, a, b: a & b,
    "shift_right": lambda r, a, b: a >> b,
    "concat": lambda r, *xs: np.concatenate(xs, r["axis"]),
    "pad": pad,
    "crop": crop,
    "max_pool2d": max_pool2d,
    "max_pool2d_index": max_pool2d_index,
    "pick": pick,
    "unpick": unpick,
    "gather": lambda r, table, index: table[index],
    "scatter": lambda r, g, index: scatter(g, index, r["rows"]),
    "sparse_matmul": lambda r, x, values, index: np.einsum("rns,ns->rn", x[:, index], values),
    "sparse_matmul_input": lambda r, g, values, index: (
        scatter(g.T[:, None] * values[..., None], index, r["columns"]).T
    ),
    "sparse_matmul_values": lambda r, g, x, index: np.einsum("rn,rns->ns", g, x[:, index]),
    **attention.KERNELS,
    **dict.fromkeys(("avg_pool2d", "adaptive_avg_pool2d", "upsample2d"), resampled),
    **dict.fromkeys(("avg_pool2d_input", "adaptive_avg_pool2d_input", "upsample2d_input"), spread),
}
