"""Steps by `torch.compile`: the operators that they call, and that they compute what others do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

import fac
from fac.backend import Session
from fac.diagnostics import FacError
from fac.testing.nets import shaken
from fac_torch import compiling, operators
from fac_torch.emit import OPTIMISERS
from tests.passes.specs import SPECS

N, ROUNDING = 6, 1e-13
COMPILED = {"step": "compiled"}
GENERATOR = torch.Generator().manual_seed(0)


def drawn(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=GENERATOR, dtype=torch.float64) + 0.5


W, D, H, ROOM = (4, 3), drawn(5, 4), drawn(5, 3), drawn(6)
LR, COUNT = torch.tensor(0.1, dtype=torch.float64), torch.tensor(3)
SGD, PLAIN = (LR, 0.9, True, 0.01), (LR, 0.0, False, 0.0)
ADAM = (LR, COUNT, 0.9, 0.99, 1e-8, 0.01, True)
RMSPROP = (LR, 0.9, 1e-8, 0.9, 0.01)
TOKENS = [drawn(2, 5, 4) for _ in range(3)]
AT = torch.tensor([[[[5, 7], [13, 15]]]])
CALLS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "sgd": lambda: (drawn(*W), drawn(*W), drawn(*W), *SGD),
    "sgd_outer": lambda: (drawn(*W), None, D, H, ROOM, *PLAIN),
    "adam": lambda: (drawn(*W), drawn(*W), drawn(*W), None, drawn(*W), *ADAM),
    "adam_outer": lambda: (drawn(*W), drawn(*W), drawn(*W), drawn(*W), D, H, ROOM, *ADAM),
    "rmsprop": lambda: (drawn(*W), drawn(*W), None, drawn(*W), drawn(*W), *RMSPROP),
    "rmsprop_outer": lambda: (drawn(*W), drawn(*W), drawn(*W), None, D, H, ROOM, *RMSPROP),
    "attend": lambda: (*TOKENS, None, 2, 2, True),
    "attend_with_logsum": lambda: (*TOKENS, None, 2, 2, False),
    "attend_back": lambda: (TOKENS[0], *TOKENS, None, drawn(2, 5, 4), drawn(2, 2, 5), 2, 2, False),
    "attend_back_alone": lambda: (1, TOKENS[0], *TOKENS, None, 2, 2, False),
    "batch_norm_moments": lambda: (drawn(2, 3, 4, 4), drawn(3), drawn(3), 1e-5),
    "scatter": lambda: (drawn(2, 3), torch.tensor([1, 1]), 4),
    "unpick": lambda: (drawn(1, 1, 2, 2), AT, [1, 1, 4, 4]),
    "max_pool2d_back": lambda: (drawn(1, 1, 2, 2), drawn(1, 1, 4, 4), AT, [2, 2], [2, 2], [0, 0]),
    "upsample2d_input": lambda: (drawn(1, 1, 4, 4), [1, 1, 2, 2], [2, 2], "nearest"),
}


@pytest.mark.parametrize("name", [*operators.MOVES, *operators.OPAQUE])
def test_operators_are_what_they_say(name: str) -> None:
    """What they write to, what they make, and that the same numbers come of them in a graph."""
    operators.defined(name)
    checks = ("test_schema", "test_faketensor", "test_aot_dispatch_dynamic")
    with torch.no_grad():
        torch.library.opcheck(getattr(torch.ops.fac, name).default, CALLS[name](), test_utils=checks)


def test_all_that_moves_state_is_an_operator() -> None:
    assert operators.MOVES.keys() == OPTIMISERS


def stepped(session: Session, batch: tuple[Any, Any], steps: int = 2) -> dict[str, Any]:
    session.load_state(shaken(session.state()))
    losses = [session.step(*batch) for _ in range(steps)]
    return {f"{name} {k}": float(value) for k, each in enumerate(losses) for name, value in each.items()}


def both(data: Any, n: int = N) -> tuple[Session, Session, tuple[Any, Any]]:
    """An eager session, a compiled one, and a batch of the size that is compiled."""
    made = fac.compile(data | {"train": data.get("train", {}) | {"batch": n}}, "torch", "float64")
    (feed, _), rng = made.compiled.feeds, np.random.default_rng(1)
    shape = (n, *feed.shape)
    x = rng.standard_normal(shape) if feed.classes is None else rng.integers(0, feed.classes, shape)
    eager, compiled = (each.open(device="cpu") for each in (made, made.choosing(COMPILED, "cpu")))
    return eager, compiled, (x, rng.integers(0, 3, n))


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs are made, and carried out as they are: no compiler, which takes ten seconds for each."""
    made = partial(torch.compile, fullgraph=True, dynamic=False, backend="aot_eager")
    monkeypatch.setattr(compiling, "graph", made)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("name", SPECS)
def test_a_graph_computes_what_the_step_computes(name: str) -> None:
    eager, compiled, batch = both(SPECS[name])
    assert stepped(compiled, batch) == pytest.approx(stepped(eager, batch), abs=ROUNDING)
    for key, value in eager.state().items():
        np.testing.assert_allclose(compiled.state()[key], value, rtol=ROUNDING, atol=ROUNDING, err_msg=key)


@pytest.mark.usefixtures("traced")
def test_batches_of_other_sizes_are_not_compiled() -> None:
    """So that the last batch of an epoch takes no half minute; they go the usual way, to the bit."""
    eager, compiled, (x, y) = both(SPECS["bp, momentum"])
    few = (x[:3], y[:3])
    assert stepped(compiled, few) == stepped(eager, few)
    assert isinstance(compiled, compiling.CompiledSession)
    assert not compiled.warm
    compiled.step(x, y)
    assert compiled.warm


def test_what_torch_does_not_take_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def call(*_: Any) -> Any:
        raise torch._dynamo.exc.Unsupported("it will not\nat all")

    monkeypatch.setattr(compiling, "graph", lambda step: call)
    _, compiled, batch = both(SPECS["bp, momentum"])
    with pytest.raises(FacError, match=r"does not take the step of `demo` \(it will not\): train without"):
        compiled.step(*batch)
    assert compiled.steps == 0
