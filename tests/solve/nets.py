"""Small specs that are solved, the data for them, and the same in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fac
from fac.backend import Session
from fac.spec.model import ModelSpec
from fac.training.dataset import Dataset, Split
from fac.training.loop import Report, train

Array = NDArray[np.float64]
Layers = tuple[dict[str, Any], ...]
EPS = 1e-5


def spec(
    layers: Layers, shape: tuple[int, ...] = (6,), loss: str = "cross_entropy", **solve: Any
) -> ModelSpec:
    return fac.load(
        {
            "fac": 1,
            "name": "solved",
            "input": {"shape": shape},
            "layers": layers,
            "loss": {"kind": loss},
            "solve": {"rule": "zorb", **solve},
        }
    )


def mlp(*widths: int, act: str = "sigmoid") -> Layers:
    """fc1, act1, fc2, act2, ..., fcL."""
    found: list[dict[str, Any]] = []
    for number, width in enumerate(widths, 1):
        found.append({"kind": "linear", "name": f"fc{number}", "out": width, "init": "xavier_uniform"})
        found.append({"kind": act, "name": f"act{number}"})
    return tuple(found[:-1])


def data(outputs: int = 4, n: int = 80, shape: tuple[int, ...] = (6,), labels: bool = True) -> Dataset:
    """The first n - 20 samples to train on."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, *shape))
    z = x.reshape(n, -1) @ rng.standard_normal((x[0].size, outputs)) + 0.5 * rng.standard_normal((n, outputs))
    y: Any = z.argmax(1) if labels else z
    return Dataset("made up", Split(x[:-20], y[:-20]), Split(x[-20:], y[-20:]))


def session_of(of: ModelSpec, backend: str = "reference") -> Session:
    return fac.compile(of, backend).open(device="cpu")


def solved(of: ModelSpec, dataset: Dataset, backend: str = "reference") -> tuple[Session, Report]:
    session = session_of(of, backend)
    return session, train(session, dataset, of)


# -- the rule once more, in NumPy, from its equations -------------------------------------------------------------


def zorb(
    state: dict[str, Array], x: Array, y: NDArray[np.int64], layers: Layers, rcond: float = 1e-9
) -> dict[str, Array]:
    """The parameters in the end: `numpy.linalg.pinv` of all samples at once, for layers that are named."""
    state = dict(state)
    h = x
    for number, layer in enumerate(layers):
        if "out" in layer:
            z = _forward(state, h, layers[number:])
            t = np.log(np.maximum(np.eye(z.shape[1])[y], EPS)) + np.log(np.exp(z).sum(1, keepdims=True))
            for above in range(len(layers) - 1, number, -1):
                t = _back(state, t, layers[above], _forward(state, h, layers[number:above]).shape)
            rows = _windows(h, layer)
            theta = np.linalg.pinv(np.c_[rows, np.ones(len(rows))], rcond=rcond) @ _places(t)
            weight, bias = f"{layer['name']}.weight", f"{layer['name']}.bias"
            state[weight], state[bias] = theta[:-1].T.reshape(state[weight].shape), theta[-1]
        h = _forward(state, h, (layer,))
    return state


def _forward(state: dict[str, Array], h: Array, layers: Layers) -> Array:
    for layer in layers:
        if "out" in layer:
            w, bias = state[f"{layer['name']}.weight"], state[f"{layer['name']}.bias"]
            product = _windows(h, layer) @ w.reshape(len(w), -1).T + bias
            if h.ndim > 2:
                kh, kw = w.shape[2:]
                size = (len(h), h.shape[2] - kh + 1, h.shape[3] - kw + 1, len(w))
                product = np.moveaxis(product.reshape(size), -1, 1)
            h = product
        else:
            h = CURVES[layer["kind"]](h)
    return h


CURVES: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0),
    "flatten": lambda a: a.reshape(len(a), -1),
}


def _back(state: dict[str, Array], t: Array, layer: dict[str, Any], read: tuple[int, ...]) -> Array:
    """What the layer should read, of that shape, in order to make t."""
    share = (t - t.min()) / (t.max() - t.min())
    match layer["kind"]:
        case "sigmoid":
            u = share * (1 - 2 * EPS) + EPS
            logit: Array = np.log(u / (1 - u))
            return logit
        case "tanh":
            atanh: Array = np.arctanh(share * (2 - 2 * EPS) + EPS - 1)
            return atanh
        case "relu":
            return np.maximum(t, 0)
        case "flatten":
            return t.reshape(read)
    w, bias = state[f"{layer['name']}.weight"], state[f"{layer['name']}.bias"]
    asked = (_places(t) - bias) @ np.linalg.pinv(w.reshape(len(w), -1)).T
    if len(read) == 2:
        return asked
    kh, kw = w.shape[2:]
    patches = asked.reshape(len(t), *t.shape[2:], *w.shape[1:])
    found, over = np.zeros(read), np.zeros(read[2:])
    for i, j in np.ndindex(*t.shape[2:]):
        found[:, :, i : i + kh, j : j + kw] += patches[:, i, j]
        over[i : i + kh, j : j + kw] += 1
    return found / over


def _windows(h: Array, layer: dict[str, Any]) -> Array:
    """[places, features]."""
    if h.ndim == 2:
        return h
    kernel = np.broadcast_to(layer["kernel"], 2)
    seen = np.lib.stride_tricks.sliding_window_view(h, tuple(kernel), axis=(2, 3))
    return seen.transpose(0, 2, 3, 1, 4, 5).reshape(-1, h.shape[1] * kernel.prod())


def _places(t: Array) -> Array:
    """[places, channels]."""
    return np.moveaxis(t, 1, -1).reshape(-1, t.shape[1])
