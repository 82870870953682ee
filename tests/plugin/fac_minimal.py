"""The smallest backend for fac: fine ops in NumPy, always in double precision. Coarse ops arrive made of fine ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from fac.backend import Array, Arrays, Artifact, Compiled, HostSession, Precision, write_common
from fac.diagnostics import FacError
from fac.step.feed import fed
from fac.step.ir import Function
from fac.step.text import to_text
from fac.step.types import Batch

TYPES = {"f": np.float64, "i": np.int64, "b": np.bool_}


def matmul(of: Mapping[str, Any], a: Array, b: Array) -> Any:
    """A product of matrices, or of as many on both sides, each read transposed if asked."""
    return (a.swapaxes(-1, -2) if of["ta"] else a) @ (b.swapaxes(-1, -2) if of["tb"] else b)


def windows(of: Mapping[str, Any], x: Array) -> Array:
    """A padded map [N, c, H, W] as [N, c, h, w, u, v]: what the window shows at each place. A view."""
    (u, v), (s, t), (d, e) = of["kernel"], of["stride"], of["dilation"]
    spans = (d * (u - 1) + 1, e * (v - 1) + 1)
    shown = np.lib.stride_tricks.sliding_window_view(x, spans, (2, 3), writeable=True)
    return shown[:, :, ::s, ::t, ::d, ::e]


def unfold(of: Mapping[str, Any], x: Array) -> Array:
    """For each place what the window shows."""
    top, bottom, left, right = of["padding"]
    shown = windows(of, np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right))))
    return shown.transpose(1, 4, 5, 0, 2, 3).reshape(of["shape"])


def fold(of: Mapping[str, Any], columns: Array) -> Array:
    """The transposed: what is shown at several places is added up."""
    (n, c, height, width), (top, bottom, left, right) = of["shape"], of["padding"]
    x = np.zeros((n, c, top + height + bottom, left + width + right))
    into = windows(of, x)
    given = columns.reshape(c, *of["kernel"], n, *into.shape[2:4]).transpose(3, 0, 4, 5, 1, 2)
    for u, v in np.ndindex(*of["kernel"]):
        into[..., u, v] += given[..., u, v]
    return x[:, :, top : top + height, left : left + width]


def crop(of: Mapping[str, Any], x: Array) -> Array:
    """X without its ends."""
    return x[
        tuple(
            slice(low, size - high)
            for size, low, high in zip(x.shape, of["before"], of["after"], strict=True)
        )
    ]


def max_pool2d_index(of: Mapping[str, Any], x: Array) -> Any:
    """Where in the map the first of the largest numbers of each window stands."""
    p, q = of["padding"]
    sides = ((0, 0), (0, 0), (p, p), (q, q))
    shown = windows({**of, "dilation": (1, 1)}, np.pad(x, sides, constant_values=-np.inf))
    height, width = x.shape[2:]
    places = np.pad(
        np.arange(height * width, dtype=float).reshape(1, 1, height, width), sides, constant_values=-1
    )
    at = windows({**of, "dilation": (1, 1)}, places)
    # Of what is padded nothing wins, not even where all of the map is -inf.
    best = np.where((shown == shown.max((4, 5), keepdims=True)) & (at >= 0), at, np.inf)
    return best.min((4, 5)).astype(np.int64)


def pick(of: Mapping[str, Any], x: Array, at: Array) -> Any:
    """The numbers of a map to which an index points."""
    n, c, *_ = x.shape
    return np.take_along_axis(x.reshape(n, c, -1), at.reshape(n, c, -1), 2).reshape(of["shape"])


def unpick(of: Mapping[str, Any], g: Array, at: Array) -> Array:
    """Each number of g added where its index points."""
    n, c, height, width = of["shape"]
    rows = np.arange(n * c)[:, None] * height * width + at.reshape(n * c, -1)
    return np.bincount(rows.ravel(), g.ravel(), n * c * height * width).reshape(of["shape"])


def newton_schulz_rows(of: Mapping[str, Any], left: Array, right: Array) -> Any:
    """What makes of left the Newton-Schulz steps on left^T right, by products [rows, rows]."""
    a, b, c = of["coefficients"]
    sizes = [np.linalg.norm(x) or 1.0 for x in (left, right)]
    k, h = (x @ x.T / size**2 for x, size in zip((left, right), sizes, strict=True))
    square = np.vdot(k, h)
    if square <= of["least"] * np.sqrt(np.diag(k) * np.diag(h)).sum() ** 2:
        return 0 * right
    d, z = h @ k / square, np.eye(len(left))
    for _ in range(of["steps"]):
        f = a * np.eye(len(left)) + b * d + c * d @ d
        z, d = f @ z, f @ f @ d
    return z @ right / (sizes[0] * sizes[1] * np.sqrt(square))


KERNELS: dict[str, Callable[..., Any]] = {
    "constant": lambda of: of["value"],
    "cast": lambda of, x: np.asarray(x).astype(TYPES[of["dtype"]]),
    "add": lambda of, a, b: np.add(a, b),
    "sub": lambda of, a, b: np.subtract(a, b),
    "mul": lambda of, a, b: np.multiply(a, b),
    "div": lambda of, a, b: np.divide(a, b),
    "pow": lambda of, a, b: np.power(a, b),
    "maximum": lambda of, a, b: np.maximum(a, b),
    "minimum": lambda of, a, b: np.minimum(a, b),
    "equal": lambda of, a, b: np.equal(a, b),
    "less": lambda of, a, b: np.less(a, b),
    "neg": lambda of, x: np.negative(x),
    "where": lambda of, condition, a, b: np.where(condition, a, b),
    "sign": lambda of, x: np.sign(x),
    "round": lambda of, x: np.round(x),
    "sqrt": lambda of, x: np.sqrt(x),
    "clamp": lambda of, x: np.clip(x, of["low"], of["high"]),
    "exp": lambda of, x: np.exp(x),
    "log": lambda of, x: np.log(x),
    "sin": lambda of, x: np.sin(x),
    "cos": lambda of, x: np.cos(x),
    "relu": lambda of, x: np.maximum(x, 0.0),
    "tanh": lambda of, x: np.tanh(x),
    "sigmoid": lambda of, x: 1 / (1 + np.exp(-x)),
    "matmul": matmul,
    "bmm": matmul,
    "unfold": unfold,
    "fold": fold,
    "pad": lambda of, x: np.pad(x, tuple(zip(of["before"], of["after"], strict=True))),
    "crop": crop,
    "max_pool2d_index": max_pool2d_index,
    "pick": pick,
    "unpick": unpick,
    "project": lambda of, d, p: d @ np.linalg.pinv(p) @ p,
    "newton_schulz_rows": newton_schulz_rows,
    "sum": lambda of, x: np.sum(x, of["axes"], keepdims=of["keep"]),
    "mean": lambda of, x: np.mean(x, of["axes"]),
    "max": lambda of, x: np.max(x, of["axes"], keepdims=of["keep"]),
    "batch_size": lambda of: float(of["n"]),
    "reshape": lambda of, x: np.reshape(x, of["shape"]),
    "transpose": lambda of, x: np.transpose(x, of["axes"]),
    "broadcast_to": lambda of, x: np.broadcast_to(x, of["shape"]),
    "argmax": lambda of, x: np.argmax(x, -1),
    "iota": lambda of: np.arange(prod(of["shape"])).reshape(of["shape"]),
    "bit_xor": lambda of, a, b: np.bitwise_xor(a, b),
    "bit_and": lambda of, a, b: np.bitwise_and(a, b),
    "shift_right": lambda of, a, b: np.right_shift(a, b),
}


def run(function: Function, given: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs by name, from the inputs by name."""
    n = next(len(given[value.name]) for value in function.inputs if fed(value))
    values = {value: given[value.name] for value in function.inputs}
    with np.errstate(all="ignore"):
        for op in function.ops:
            shape = tuple(d.times * n if isinstance(d, Batch) else d for d in op.result.type.shape)
            of = dict(op.attributes) | {"n": n, "shape": shape}
            values[op.result] = KERNELS[op.kind](of, *(values[operand] for operand in op.operands))
    return {name: values[value] for name, value in function.outputs}


class MinimalSession(HostSession):
    """State in a dictionary; arrays are replaced, never changed."""

    def __init__(self, compiled: Compiled, precision: Precision) -> None:
        super().__init__(compiled, precision, "cpu")
        self.arrays: dict[str, Array] = {}

    def run_step(self, batch: Arrays, lr: float, step: int) -> dict[str, float]:
        """What the step gives back is state, or a loss."""
        found = self._run(self.compiled.step, {**batch, "lr": lr, "step": step})
        self.write({name: array for name, array in found.items() if name in self.arrays})
        return {name: float(loss) for name, loss in found.items() if name not in self.arrays}

    def run_evaluate(self, batch: Arrays) -> dict[str, float]:
        """Numbers by name."""
        return {name: float(value) for name, value in self._run(self.compiled.evaluate, batch).items()}

    def run_forward(self, batch: Arrays) -> Array:
        """The output in the session's precision."""
        return np.array(self._run(self.compiled.forward, batch)["output"], self.precision)

    def run_probe(self, batch: Arrays, step: int) -> dict[str, Any]:
        """Numbers and arrays by name."""
        return self._run(self.compiled.probe, {**batch, "step": step})

    def read(self, names: tuple[str, ...]) -> dict[str, Array]:
        """Copies."""
        return {name: self.arrays[name].copy() for name in names}

    def write(self, arrays: Mapping[str, Array]) -> None:
        """Copies in the session's precision."""
        self.arrays |= {name: np.array(array, self.precision) for name, array in arrays.items()}

    def _run(self, function: Function, given: Mapping[str, Any]) -> dict[str, Any]:
        named = self.arrays | {k: np.asarray(v) if self.is_placed(v) else v for k, v in given.items()}
        doubles = {k: np.float64(v) if np.asarray(v).dtype.kind == "f" else v for k, v in named.items()}
        return run(function, doubles)


class MinimalArtifact(Artifact):
    """The functions as they are."""

    def write(self, directory: str | Path) -> None:
        """The step as text, the initial state, a manifest."""
        write_common(self, BACKEND.name, Path(directory), {"step.ir": to_text(self.compiled.step)})

    def new_session(self, device: str | None) -> MinimalSession:
        """A session on the CPU."""
        if device not in (None, "cpu"):
            raise FacError(f"the minimal backend runs on `cpu` only, not on `{device}`")
        return MinimalSession(self.compiled, self.precision)


class MinimalBackend:
    """Always usable."""

    name = "minimal"
    summary = "the smallest backend that there can be"
    default_precision: Precision = "float64"

    def devices(self) -> tuple[str, ...]:
        """The CPU."""
        return ("cpu",)

    def ops(self, precision: Precision) -> frozenset[str]:
        """NumPy has no error function, so that `gelu` is a gap."""
        return frozenset(KERNELS)

    def emit(self, compiled: Compiled, precision: Precision) -> Artifact:
        """There is nothing to make."""
        return MinimalArtifact(compiled, precision)


BACKEND = MinimalBackend()
