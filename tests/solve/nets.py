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


def zorb(state: dict[str, Array], x: Array, y: NDArray[np.int64], act: str, layers: int) -> dict[str, Array]:
    """The parameters of fc1, fc2, ... in the end: `numpy.linalg.pinv` of all samples at once."""
    w = [state[f"fc{k}.weight"].copy() for k in range(1, layers + 1)]
    b = [state[f"fc{k}.bias"].copy() for k in range(1, layers + 1)]
    curves: dict[str, Callable[[Array], Array]] = {
        "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
        "tanh": np.tanh,
        "relu": lambda a: np.maximum(a, 0),
    }
    forward = curves[act]
    h = x
    for solving in range(layers):
        z = h
        for k in range(solving, layers):
            z = z @ w[k].T + b[k]
            z = forward(z) if k < layers - 1 else z
        logsum = np.log(np.exp(z).sum(1, keepdims=True))
        t = np.log(np.maximum(np.eye(z.shape[1])[y], EPS)) + logsum
        for k in range(layers - 1, solving, -1):
            t = (t - b[k]) @ np.linalg.pinv(w[k]).T
            share = (t - t.min()) / (t.max() - t.min())
            if act == "sigmoid":
                u = share * (1 - 2 * EPS) + EPS
                t = np.log(u / (1 - u))
            elif act == "tanh":
                t = np.arctanh(share * (2 - 2 * EPS) + EPS - 1)
            else:
                t = np.maximum(t, 0)
        theta = np.linalg.pinv(np.c_[h, np.ones(len(h))], rcond=1e-9) @ t
        w[solving], b[solving] = theta[:-1].T, theta[-1]
        h = forward(h @ w[solving].T + b[solving])
    return {
        f"fc{k + 1}.{part}": array[k] for k in range(layers) for part, array in (("weight", w), ("bias", b))
    }
