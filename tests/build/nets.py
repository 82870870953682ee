"""Small specs and batches, for tests of everything behind the spec."""

from __future__ import annotations

from typing import Any

import numpy as np

Data = dict[str, Any]
RELU: Data = {"kind": "relu"}


def linear(name: str, out: int, **fields: Any) -> Data:
    """A fully connected layer."""
    return {"kind": "linear", "name": name, "out": out, **fields}


def mlp(*widths: int, activation: Data = RELU, **fields: Any) -> tuple[Data, ...]:
    """Linear layers `fc1`, `fc2`, ... with an activation between them; the last is `out`."""
    *hidden, last = widths
    layers: list[Data] = []
    for index, width in enumerate(hidden, 1):
        layers += [linear(f"fc{index}", width, **fields), activation]
    return (*layers, linear("out", last, **fields))


SGD: Data = {"rule": "sgd", "lr": 0.1}


def spec(
    layers: tuple[Data, ...],
    feedback: Any = None,
    update: Data = SGD,
    shape: tuple[int, ...] = (5,),
    loss: str = "cross_entropy",
    **fields: Any,
) -> Data:
    """A whole spec as plain data."""
    return {
        "fac": 1,
        "name": "demo",
        "input": {"shape": shape},
        "layers": layers,
        "loss": {"kind": loss},
        "feedback": {"rule": "bp"} if feedback is None else feedback,
        "update": update,
    } | fields


def batch(
    n: int = 7, shape: tuple[int, ...] = (5,), classes: int | None = 3, out: int = 3, seed: int = 0
) -> tuple[Any, Any]:
    """Standard normal samples, and labels, or targets of width `out` if `classes` is None."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, *shape))
    return x, rng.standard_normal((n, out)) if classes is None else rng.integers(0, classes, n)
