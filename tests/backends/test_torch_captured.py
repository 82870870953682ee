"""CUDA graphs of steps, with a tape in their place: what can be known of them without a GPU."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from fac.step.builder import Builder
from fac.step.types import N, Type
from fac.testing.case import Subject, compare
from fac.testing.nets import DROPOUT, NET, Data, batches, spec
from fac.testing.rules import RULES, UPDATES
from fac_torch import BACKEND, captured
from fac_torch.session import BLOCK, TorchSession
from tests.cuda.tape import same_numbers, taped

NORM: Data = {"kind": "batch_norm", "name": "norm"}


@pytest.mark.parametrize(
    ("layers", "rule", "update"),
    [
        (DROPOUT, "ldfa_oja_kp", "adam"),  # a step number in noise and in corrections
        ((NORM, *DROPOUT), "bp", "rmsprop"),
        (NET, "weight_mirror", "clip_norm"),
        (NET, "dfa", "groups"),
    ],
)
def test_a_graph_makes_the_same_steps(
    layers: Any, rule: str, update: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rates and numbers of steps change without another emission or capture."""
    _, made = same_numbers(spec(layers, RULES[rule], UPDATES[update]), monkeypatch)
    assert list(made.captured) == [(7, 1)]


def opened(monkeypatch: pytest.MonkeyPatch, data: Data) -> TorchSession:
    """A session that takes the way of those on CUDA."""
    taped(monkeypatch)
    session = Subject(BACKEND, "float64", "cpu").open(data)
    assert isinstance(session, TorchSession)
    return session


def test_several_steps_are_one_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of as many as a trainer asks for; others are made one by one. The losses of each call stay what they are."""
    data, given = spec(DROPOUT, RULES["ldfa_oja_kp"], UPDATES["adam"]), batches(*[7] * 3 * BLOCK)
    rates = np.linspace(0.1, 0.01, len(given))
    one = Subject(BACKEND, "float64", "cpu").open(data)
    expected = [float(one.step(*each, lr)["loss"]) for each, lr in zip(given, rates, strict=True)]
    session = opened(monkeypatch, data)
    assert session.at_once == BLOCK
    found: list[dict[str, Any]] = []
    for cut in (slice(0, BLOCK), slice(BLOCK, 2 * BLOCK), slice(2 * BLOCK, -3), slice(3 * BLOCK - 3, None)):
        found += session.block(given[cut], [*rates[cut]])
    compare(
        {"losses": np.array([float(each["loss"]) for each in found])}, {"losses": np.array(expected)}, 1e-12
    )
    compare(session.state(), one.state(), 1e-12)
    assert set(session.captured) == {(7, BLOCK), (7, 1)}


def test_state_and_buffers_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph goes on with addresses: also when a state comes in, and after an evaluation and a probe."""
    session = opened(monkeypatch, spec(DROPOUT, RULES["ldfa_oja_kp"], UPDATES["adam"]))

    def places() -> dict[str, int]:
        kept = {**session.tensors, **vars(session.workspaces[7])}
        return {name: value.data_ptr() for name, value in kept.items() if isinstance(value, torch.Tensor)}

    (x, y), *_ = batches(7)
    session.step(x, y)
    before, state = places(), session.state()
    for _ in range(3):
        session.step(x, y)
    session.evaluate(x, y)
    session.probe(x, y)
    session.load_state(state)
    session.step(x, y)
    assert places() == before


def test_a_graph_goes_with_its_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    session = opened(monkeypatch, spec(NET))
    for n in (7, 5, 4):
        session.step(*batches(n)[0])
    assert set(session.workspaces) == {5, 4}
    assert set(session.captured) == {(5, 1), (4, 1)}


@pytest.mark.parametrize("number", ["lr", "t"])
def test_a_python_number_in_a_graph_is_found(number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tape has to show what a graph would do: it goes on with the number of its capture."""
    place = {"lr": -2, "t": -1}[number]

    def stale(step: Callable[..., Any]) -> Callable[..., Any]:
        def called(*given: Any) -> Any:
            parts = list(given)
            parts[place] = {"lr": 0.1, "t": 1}[number]
            return step(*parts)

        return called

    plain = captured.Captured.__init__

    def planted(self: captured.Captured, step: Callable[..., Any], *more: Any) -> None:
        plain(self, stale(step), *more)

    monkeypatch.setattr(captured.Captured, "__init__", planted)
    with pytest.raises(AssertionError, match="answers are wrong"):
        same_numbers(spec(DROPOUT, RULES["bp"], UPDATES["adam"]), monkeypatch)


def test_what_cannot_be_captured_is_said_once_and_made_kernel_by_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = opened(monkeypatch, spec(NET))
    monkeypatch.undo()

    def refused(work: Callable[[], None]) -> Callable[[], None]:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(captured, "recorded", refused)
    one, given = Subject(BACKEND, "float64", "cpu").open(spec(NET)), batches(*[7] * 4)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        losses = [float(session.step(*each)["loss"]) for each in given]
    assert [str(warning.message) for warning in said] == [
        "no CUDA graph of the step: operation not permitted when stream is capturing"
    ]
    compare(
        {"loss": np.array(losses)}, {"loss": np.array([float(one.step(*g)["loss"]) for g in given])}, 1e-12
    )
    compare(session.state(), one.state(), 1e-12)


def test_an_operator_on_the_host_is_said() -> None:
    """It waits by design, so nothing is captured."""
    b = Builder()
    there = b.host(b.input("x", Type((N, 2))), "test.lens", 4)
    made: Any = SimpleNamespace(name="lit", step=b.finish("step", {"there": there}))
    with pytest.warns(UserWarning, match=r"^no CUDA graph of the step of `lit`: it waits .* `test\.lens`$"):
        assert not captured.is_capturable(made)
