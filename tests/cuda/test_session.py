"""A whole training step of a session on `cuda`, host tasks and checks included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fac.diagnostics import FacError
from fac.testing.nets import DROPOUT, batch, linear, spec
from fac.testing.rules import RULES, UPDATES
from tests.cuda.conftest import SUBJECT
from tests.cuda.watch import Watch

Watched = Callable[[Callable[[Watch], Any]], Watch]
X, Y = batch(20)
ROWS = np.arange(7)
PAIRS = [(rule, "adam") for rule in RULES] + [
    ("ldfa_oja_kp", update) for update in UPDATES if update != "adam"
]
"""What is emitted for all pairs, `test_cases` looks at."""


def training(data: Any, watch: Watch) -> tuple[Any, Callable[[], Any]]:
    """A session, and a step that takes its batch from placed data, as the trainer makes them; all of it is guarded."""
    session = SUBJECT.open(data)
    x, y = session.place(X), session.place(Y)

    def step() -> Any:
        return session.step(session.take(x, ROWS), session.take(y, ROWS), 0.1)

    return session, watch.guard("training", step)


@pytest.mark.parametrize(("rule", "update"), PAIRS)
def test_a_step_of_a_training_is_queued(rule: str, update: str, watched: Watched) -> None:
    """The host never waits, so it prepares the next step while the device computes this one."""

    def steps(watch: Watch) -> None:
        _, step = training(spec(DROPOUT, RULES[rule], UPDATES[update]), watch)
        for _ in range(3):
            step()

    watch = watched(steps)
    assert watch.seen >= {"take", "training", "step", "workspace", "recorded"}
    assert watch.found == []


def test_a_host_task_waits_when_it_is_due(watched: Watched) -> None:
    """It computes in NumPy: the weight has to come, and P and Q have to go, once in `refresh` steps."""

    def steps(watch: Watch) -> None:
        session, step = training(spec(DROPOUT, RULES["ldfa_refresh"], UPDATES["momentum"]), watch)
        every = session.compiled.tasks[0].every
        for _ in range(every - 1):
            step()
        assert watch.found == []
        step()

    found = watched(steps).found
    assert found
    assert all("waits" in note and (".cpu()" in note or "copy_" in note) for note in found)


def test_state_comes_out_and_goes_in(watched: Watched) -> None:
    """`load_state` keeps every tensor where it is, on the device."""

    def round_trip(watch: Watch) -> None:
        session: Any = SUBJECT.open(spec(DROPOUT, RULES["ldfa_oja_kp"], UPDATES["adam"]))
        before = {name: id(tensor) for name, tensor in session.tensors.items()}
        state = session.state()
        session.load_state(state)
        assert {name: array.shape for name, array in session.state().items()} == {
            n: a.shape for n, a in state.items()
        }
        assert {name: id(tensor) for name, tensor in session.tensors.items()} == before
        assert {tensor.device.type for tensor in session.tensors.values()} == {"cuda"}

    watched(round_trip)


@pytest.mark.parametrize("label", [3, -1])
@pytest.mark.parametrize("taken", [False, True])
def test_a_label_that_is_no_class_never_reaches_a_kernel(label: int, taken: bool, watched: Watched) -> None:
    """It would abort, and with it all that the process has on the device. The numbers are known from the host."""
    labels = np.where(np.arange(len(Y)) == 5, label, Y)

    def calls(watch: Watch) -> None:
        session = SUBJECT.open(spec(DROPOUT))
        x, y = session.place(X), session.place(labels)
        x, y = (session.take(x, ROWS), session.take(y, ROWS)) if taken else (x, y)
        for call in (session.step, session.evaluate, session.probe):
            with pytest.raises(FacError, match=r"^y goes from -?\d to \d, where 0 to 2 fit the network$"):
                call(x, y)

    assert watched(calls).seen <= {"take"}


@pytest.mark.parametrize("label", [3, -1, -100])
def test_labels_are_looked_at_beside_those_that_are_ignored(label: int, watched: Watched) -> None:
    """-100 stands for what does not count, and a step that meets it waits for nothing."""
    data = spec(DROPOUT) | {"loss": {"kind": "cross_entropy", "ignore_index": -100}}
    labels = np.where(np.arange(len(Y)) == 5, label, np.where(np.arange(len(Y)) % 2, Y, -100))

    def calls(watch: Watch) -> None:
        session = SUBJECT.open(data)
        step = watch.guard("training", session.step)
        x, y = (session.take(session.place(array), ROWS) for array in (X, labels))
        if label == -100:
            step(x, y)
            return
        with pytest.raises(
            FacError, match=r"^y goes from -?\d to \d, where 0 to 2 fit .*, and -100 is ignored$"
        ):
            step(x, y)

    watch = watched(calls)
    assert watch.found == []
    assert ("step" in watch.seen) == (label == -100)


def test_a_step_on_tokens_is_queued(watched: Watched) -> None:
    """Numbers of tokens, a mask and labels that do not count are taken; attention is that of no CPU."""
    layers = (
        {"kind": "embedding", "name": "table", "num_embeddings": 9, "out": 4, "from": "words"},
        {"kind": "attention", "name": "attn", "heads": 2, "causal": True, "mask": "shown"},
        linear("out", 3),
    )
    data = spec(layers) | {"loss": {"kind": "cross_entropy", "ignore_index": -100}}
    del data["input"]
    data["inputs"] = {"words": {"shape": (5,), "classes": 9}, "shown": {"shape": (5,), "mask": True}}
    shown = np.arange(5) < 1 + np.arange(20)[:, None] % 5
    arrays = {"words": np.ones((20, 5), int), "shown": shown * 1.0, "y": np.where(shown, 2, -100)}

    def steps(watch: Watch) -> None:
        session = SUBJECT.open(data)
        placed = {name: session.place(array) for name, array in arrays.items()}

        def step() -> None:
            session.step({name: session.take(array, ROWS) for name, array in placed.items()})

        for _ in range(2):
            watch.guard("training", step)()

    watch = watched(steps)
    assert watch.seen >= {"take", "training", "step"}
    assert watch.found == []
