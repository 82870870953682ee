"""Small networks for tests of learning rules, and what these tests ask of a session.

Layers are called fc1, fc2, ...; everything runs in float64. Names of tests carry numbers: t1, t2, ... are identities of
the rules, numbered.
"""

from __future__ import annotations

from itertools import count, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fac.backend import STEP, Session
from fac.pipeline import compile

Array = NDArray[Any]
State = dict[str, Array]
Spec = dict[str, Any]

BP: Spec = {"rule": "bp"}
SGD: Spec = {"rule": "sgd", "lr": 0.05}


def dense(*widths: int, act: str | None = "relu", bias: bool = True, init: Any = None) -> tuple[Spec, ...]:
    """Linear layers of these widths, an activation between any two."""
    layers: list[Spec] = []
    for number, width in zip(count(1), widths):
        layer: Spec = {"kind": "linear", "name": f"fc{number}", "out": width, "bias": bias}
        layers.append(layer | ({"init": init} if init else {}))
        if act is not None:
            layers.append({"kind": act, "name": f"act{number}"})
    return tuple(layers if act is None else layers[:-1])


SKIP: tuple[Spec, ...] = (
    {"kind": "linear", "name": "fc1", "out": 9},
    {"kind": "relu", "name": "act1"},
    {"kind": "linear", "name": "fc2", "out": 9},
    {"kind": "relu", "name": "act2"},
    {"kind": "add", "name": "join", "from": ("act1", "act2")},
    {"kind": "linear", "name": "fc3", "out": 4},
)
"""A network whose second layer can be bypassed."""


def spec(
    layers: tuple[Spec, ...],
    feedback: Any = BP,
    update: Spec = SGD,
    *,
    inputs: int = 7,
    loss: str = "cross_entropy",
    seed: int = 0,
) -> Spec:
    """The rest of a spec around some layers."""
    return {
        "fac": 1,
        "name": "rules",
        "input": {"shape": (inputs,)},
        "layers": layers,
        "loss": {"kind": loss},
        "feedback": feedback,
        "update": update,
        "train": {"seed": seed},
    }


def opened(of: Spec, backend: str = "reference") -> Session:
    """A session in float64, its biases away from zero: a term that is zero can hide a mistake."""
    session = compile(of, backend=backend, precision="float64").open(device="cpu")
    rng = np.random.default_rng(of["train"]["seed"])
    state = session.state()
    biases = sorted(name for name in state if name.endswith(".bias"))
    return put(session, {name: 0.2 * rng.standard_normal(state[name].shape) for name in biases})


def put(session: Session, arrays: State) -> Session:
    """The same session with other values for some arrays."""
    session.load_state(session.state() | arrays)
    return session


def batch(n: int = 12, inputs: int = 7, outputs: int = 4, seed: int = 1) -> tuple[Array, Array]:
    """Random samples and labels."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, inputs)), rng.integers(0, outputs, n)


def gradients(session: Session, x: Array, y: Array) -> State:
    """What one plain SGD step of learning rate 1 takes from every array; the session is left as it was."""
    before = session.state()
    session.step(x, y, lr=1.0)
    after = session.state()
    session.load_state(before)
    return {name: before[name] - after[name] for name in before if name != STEP}


def distance(a: State, b: State) -> float:
    """The largest difference over the arrays that both have, of those that belong to layers or feedback."""
    names = (a.keys() & b.keys()) - {STEP}
    assert names
    return max(float(np.abs(a[name] - b[name]).max()) for name in names)


def perturbed(session: Session, name: str) -> Session:
    """The same session with noise on one array: a constant would be lost on errors whose rows sum to zero."""
    old = session.state()[name]
    return put(session, {name: old + 0.1 * np.random.default_rng(5).standard_normal(old.shape)})


def moved(a: State, b: State) -> set[str]:
    """Names of the arrays that differ. Those that do differ by more than rounding, those that do not by nothing."""
    names = {name for name in a.keys() & b.keys() if not np.array_equal(a[name], b[name])} - {STEP}
    assert all(np.abs(a[name] - b[name]).max() > 1e-9 for name in names)
    return names


def square(*arrays: Array) -> float:
    """The squared norm of some arrays taken together."""
    return float(sum(np.vdot(a, a) for a in arrays))


def pairs(depth: int) -> list[tuple[str, str]]:
    """Every layer and the one above it: (fc1, fc2), (fc2, fc3), ..."""
    return list(pairwise(f"fc{i}" for i in range(1, depth + 1)))
