"""Trainings on a real GPU: that nothing waits, and that a run resumes to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fac.backend import Session
from fac.diagnostics import FacError
from fac.pipeline import compile
from fac.testing.case import compare
from fac.testing.nets import DROPOUT, batch, spec
from fac.testing.rules import RULES, UPDATES
from fac.training.dataset import Augment, Split
from fac.training.scaling import measured
from fac.training.stored import Fed, Stored

X, Y = batch(40)


def opened(rule: str, update: str) -> tuple[Session, Any, Any]:
    """A session in float32, and data on the device."""
    session = compile(spec(DROPOUT, RULES[rule], UPDATES[update]), "torch", "float32").open(device="cuda")
    return session, session.place(X), session.place(Y)


def steps(session: Session, x: Any, y: Any, first: int, last: int) -> None:
    """As the trainer makes them, a batch of another order each."""
    for step in range(first, last):
        rows = np.random.default_rng(step).permutation(len(X))[:16]
        session.step(session.take(x, rows), session.take(y, rows), 0.1)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("rule", RULES)
def test_steps_on_cuda_never_wait(rule: str, update: str) -> None:
    """Whatever torch knows to make the host wait is an error after the second step, which is captured."""
    session, x, y = opened(rule, update)
    steps(session, x, y, 0, 2)
    torch.cuda.set_sync_debug_mode("error")
    try:
        steps(session, x, y, 2, 6)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("update", UPDATES)
def test_a_training_on_cuda_resumes_to_the_bit(update: str) -> None:
    whole, x, y = opened("ldfa_oja_kp", update)
    first, _, _ = opened("ldfa_oja_kp", update)
    steps(whole, x, y, 0, 40)
    steps(first, x, y, 0, 20)
    second, _, _ = opened("ldfa_oja_kp", update)
    second.load_state(first.state())
    steps(second, x, y, 20, 40)
    compare(second.state(), whole.state(), 0)


@pytest.mark.parametrize("how", [None, Augment(flip=True, crop=2)])
def test_images_stay_bytes_on_cuda_and_no_batch_of_them_waits(how: Augment | None) -> None:
    session, _, _ = opened("bp", "sgd")
    raw = np.random.default_rng(0).integers(0, 256, (40, 3, 8, 8), np.uint8)
    stored = Stored(raw, measured(raw, (1, 2), "x"), "float32", (3, 8, 8), how)
    fed = Fed(session, Split(stored, np.arange(40)))
    assert set(fed.kept) == {"x"}
    found = []
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(3):
            found.append(fed.batch(1, step, lambda step: np.arange(step, step + 16))["x"])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for step, x in enumerate(found):
        np.testing.assert_array_equal(x.cpu().numpy(), stored.trained(np.arange(step, step + 16), 1, step))


def test_cuda_survives_a_label_that_is_no_class() -> None:
    session, x, y = opened("bp", "sgd")
    own = torch.full((len(X),), 3, device="cuda")
    for labels in (session.place(np.full(len(X), 3)), own):
        with pytest.raises(FacError, match="y goes from 3 to 3, where 0 to 2 fit the network"):
            session.step(x, labels)
    assert np.isfinite(float(session.step(x, y)["loss"]))
