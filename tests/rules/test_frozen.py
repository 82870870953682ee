"""The baseline whose hidden layers keep their initial values."""

from __future__ import annotations

from math import prod

import pytest

from tests.rules.nets import BP, SKIP, Spec, batch, dense, distance, gradients, moved, opened, spec

FROZEN: Spec = {"rule": "frozen"}
BLOCK = (
    {"name": "stem", "kind": "conv2d", "out": 3, "kernel": 3, "padding": 1},
    {"name": "stem_norm", "kind": "batch_norm"},
    {"name": "a", "kind": "relu"},
    {"name": "body", "kind": "conv2d", "out": 3, "kernel": 3, "padding": 1},
    {"name": "body_norm", "kind": "batch_norm"},
    {"name": "join", "kind": "add", "from": ("a", "body_norm")},
    {"name": "flat", "kind": "flatten"},
    {"name": "head", "kind": "linear", "out": 4},
)


@pytest.mark.parametrize(
    ("layers", "shape", "frozen"),
    [
        (dense(9, 8, 7, 4), (7,), {"fc2", "fc3"}),
        (SKIP, (7,), {"fc2"}),
        (BLOCK, (1, 4, 5), {"body", "body_norm"}),
    ],
)
def test_hidden_layers_alone_keep_their_values(
    layers: tuple[Spec, ...], shape: tuple[int, ...], frozen: set[str]
) -> None:
    network = spec(layers, FROZEN, {"rule": "adam", "lr": 0.01, "weight_decay": 0.1})
    session = opened(network | {"input": {"shape": shape}})
    before = session.state()
    for step in range(3):
        x, y = batch(inputs=prod(shape), seed=step)
        session.step(x.reshape(-1, *shape), y)
    parameters = {slot.name for slot in session.compiled.state if slot.parameter}
    assert {name.rpartition(".")[0] for name in parameters - moved(before, session.state())} == frozen


def test_first_and_last_layers_learn_as_under_backpropagation() -> None:
    x, y = batch()
    exact, found = (gradients(opened(spec(dense(9, 8, 7, 4), f)), x, y) for f in (BP, FROZEN))
    ends = {f"fc{i}.{part}" for i in (1, 4) for part in ("weight", "bias")}
    assert distance({n: found[n] for n in ends}, {n: exact[n] for n in ends}) == 0.0
