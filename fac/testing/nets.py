"""Small specs and batches, and what a session makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fac.backend import STEP, Array, Session

Data = dict[str, Any]
Layers = tuple[Data, ...]
Batch = tuple[Any, Any]
RELU: Data = {"kind": "relu"}
SGD: Data = {"rule": "sgd", "lr": 0.1}


def linear(name: str, out: int, **fields: Any) -> Data:
    """A fully connected layer."""
    return {"kind": "linear", "name": name, "out": out, **fields}


def conv2d(name: str, out: int, kernel: int | tuple[int, int], **fields: Any) -> Data:
    """A convolutional layer."""
    return {"kind": "conv2d", "name": name, "out": out, "kernel": kernel, **fields}


def mlp(*widths: int, activation: Data = RELU, **fields: Any) -> Layers:
    """Linear layers `fc1`, `fc2`, ... with an activation between them; the last is `out`."""
    *hidden, last = widths
    layers: list[Data] = []
    for index, width in enumerate(hidden, 1):
        layers += [linear(f"fc{index}", width, **fields), activation]
    return (*layers, linear("out", last, **fields))


NET = mlp(8, 6, 3)
SKIP: Layers = (
    linear("fc1", 6),
    {"kind": "relu", "name": "r1"},
    linear("fc2", 6),
    {"kind": "tanh"},
    {"kind": "add", "name": "joined", "from": ("tanh_1", "r1", "fc1")},
    linear("out", 3),
)
DROPOUT: Layers = (
    linear("fc1", 40),
    RELU,
    {"kind": "dropout", "rate": 0.5},
    linear("fc2", 6),
    RELU,
    linear("out", 3),
)


def spec(
    layers: Layers,
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
    n: int = 7,
    shape: tuple[int, ...] = (5,),
    classes: int | None = 3,
    out: int = 3,
    seed: int = 0,
    whole: int | None = None,
) -> Batch:
    """Standard normal samples, or whole numbers below `whole`; labels, or targets of width `out` if without classes."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, *shape)) if whole is None else rng.integers(0, whole, (n, *shape))
    return x, rng.standard_normal((n, out)) if classes is None else rng.integers(0, classes, n)


def batches(*sizes: int, **fields: Any) -> list[Batch]:
    """One batch of each size, each drawn anew."""
    return [batch(n, seed=seed, **fields) for seed, n in enumerate(sizes)]


def shaken(state: dict[str, Array]) -> dict[str, Array]:
    """The state with noise on P and Q.

    At the SVD of the weight the gradients of `normative` are rounding noise, which Adam scales up to whole steps.
    """
    rng = np.random.default_rng(0)
    names = [name for name in state if name.endswith((".feedback.P", ".feedback.Q"))]
    return state | {name: state[name] + 0.1 * rng.standard_normal(state[name].shape) for name in names}


def answers(
    session: Session,
    given: Sequence[Batch],
    lr: Callable[[int], float | None] = lambda _: None,
    *,
    network: bool = True,
) -> dict[str, Any]:
    """One step per batch, then all that can be asked of the session: losses, state, output, measurements.

    Args:
        session: a new one.
        given: the batches.
        lr: the learning rate of a step by its number; None is the spec's own.
        network: whether to ask for what neither rule nor update has a part in, too: evaluation, output, and a probe
            that measures the loss alone.
    """
    session.load_state(shaken(session.state()))
    found: dict[str, Any] = {}
    for step, (x, y) in enumerate(given):
        losses = session.step(x, y, lr(step))
        found |= {f"{name} of step {step}": float(loss) for name, loss in losses.items()}
    x, y = given[0]
    found |= state_of(session)
    if network:
        found |= {f"evaluate {name}": value for name, value in session.evaluate(x, y).items()}
        found |= {"forward": session.forward(x)}
    measures = network or session.compiled.probing.measures
    return found | (measured(session, x, y) if measures else {})


def measured(session: Session, x: Any, y: Any) -> dict[str, Any]:
    """What the probes say, as answers.

    A balance is a rounding error, relative to sums that may cancel: in float32 it says too little of a backend.
    """
    precise = session.precision == "float64"
    found = session.probe(x, y)
    return {f"probe {n}": value for n, value in found.items() if precise or not n.endswith(".balance")}


def state_of(session: Session) -> dict[str, Array]:
    """The state, as answers."""
    return {f"state {name}": array for name, array in session.state().items() if name != STEP}
