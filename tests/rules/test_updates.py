"""Optimiser steps against torch.optim, and which parameter moves by which rule (T36)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from fac.plugins import kinds
from fac.step.builder import Builder
from fac.step.ir import Function
from fac.step.types import DType, N, Type
from fac_reference.interpreter import run
from tests.rules.nets import Spec, State, batch, dense, gradients, opened, put, spec

torch.set_num_threads(1)
SHAPE = (5, 3)

CASES: list[tuple[Spec, Any]] = [
    ({"rule": "sgd"}, lambda p: torch.optim.SGD(p, 0.1)),
    ({"rule": "sgd", "weight_decay": 0.2}, lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.2)),
    ({"rule": "sgd", "momentum": 0.9}, lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
    (
        {"rule": "sgd", "momentum": 0.9, "weight_decay": 0.2},
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.2),
    ),
    (
        {"rule": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 0.2},
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.2),
    ),
    ({"rule": "adam"}, lambda p: torch.optim.Adam(p, 0.1)),
    (
        {"rule": "adam", "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.2},
        lambda p: torch.optim.Adam(p, 0.1, (0.8, 0.95), 1e-3, 0.2),
    ),
    ({"rule": "adamw"}, lambda p: torch.optim.AdamW(p, 0.1)),
    (
        {"rule": "adamw", "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.2},
        lambda p: torch.optim.AdamW(p, 0.1, (0.8, 0.95), 1e-3, 0.2),
    ),
    ({"rule": "adam", "amsgrad": True}, lambda p: torch.optim.Adam(p, 0.1, amsgrad=True)),
    (
        {"rule": "adamw", "beta2": 0.9, "amsgrad": True, "weight_decay": 0.2},
        lambda p: torch.optim.AdamW(p, 0.1, (0.9, 0.9), 1e-8, 0.2, amsgrad=True),
    ),
    ({"rule": "rmsprop"}, lambda p: torch.optim.RMSprop(p, 0.1)),
    (
        {"rule": "rmsprop", "alpha": 0.8, "eps": 1e-3, "momentum": 0.7, "weight_decay": 0.2},
        lambda p: torch.optim.RMSprop(p, 0.1, 0.8, 1e-3, 0.2, 0.7),
    ),
    (
        {"rule": "rmsprop", "alpha": 0.8, "centered": True, "momentum": 0.7},
        lambda p: torch.optim.RMSprop(p, 0.1, 0.8, momentum=0.7, centered=True),
    ),
]


def written(rule: Spec) -> tuple[Function, tuple[str, ...]]:
    """One update as a function of parameter, gradient, slots, learning rate and step number."""
    declared = next(k for k in kinds("fac.updates") if k.name == rule["rule"])
    settings = TypeAdapter(declared.spec).validate_python(rule | {"lr": 0.1})
    b, slots = Builder(), declared.slots(settings)
    b.input("x", Type((N, 1)))
    w, g = (b.input(name, Type(SHAPE)) for name in ("w", "g"))
    state = {slot: b.input(slot, Type(SHAPE)) for slot in slots}
    found = declared.apply(b, settings, w, g, state, b.scalar("lr"), b.scalar("step", DType.INT))
    return b.finish("update", {"w": found.parameter, **found.slots}), slots


@pytest.mark.parametrize(("rule", "optimiser"), CASES, ids=[str(rule) for rule, _ in CASES])
def test_t36_thirty_random_steps_equal_torch(rule: Spec, optimiser: Any) -> None:
    function, slots = written(rule)
    rng = np.random.default_rng(0)
    w = rng.standard_normal(SHAPE)
    state: State = {slot: np.zeros(SHAPE) for slot in slots}
    parameter = torch.tensor(w, requires_grad=True)
    theirs = optimiser([parameter])
    rates = rng.uniform(0.05, 0.2, 30)
    for step in range(30):
        g, rate = rng.standard_normal(SHAPE), float(rates[step])
        inputs = {"x": np.zeros((1, 1)), "w": w, "g": g, "lr": rate, "step": step, **state}
        found = run(function, inputs, np.dtype(np.float64))
        w, state = found.pop("w"), found
        parameter.grad = torch.tensor(g)
        theirs.param_groups[0]["lr"] = rate
        theirs.step()
        np.testing.assert_allclose(w, parameter.detach().numpy(), atol=2e-13, rtol=0)


@pytest.mark.parametrize("backend", ["reference", "torch"])
@pytest.mark.parametrize(("by", "at"), [("value", 0.01), ("norm", 0.1), ("norm", 1e3)])
def test_t36_clipping_equals_torch(by: str, at: float, backend: str) -> None:
    x, y = batch()
    free = gradients(opened(spec(dense(9, 8, 4)), backend), x, y)
    clipped = opened(
        spec(dense(9, 8, 4), update={"rule": "sgd", "lr": 0.1, "clip": {"by": by, "at": at}}), backend
    )
    parameters = {
        name: torch.zeros(g.shape, dtype=torch.float64, requires_grad=True) for name, g in free.items()
    }
    for name, parameter in parameters.items():
        parameter.grad = torch.tensor(free[name])
    if by == "value":
        torch.nn.utils.clip_grad_value_(parameters.values(), at)
    else:
        torch.nn.utils.clip_grad_norm_(parameters.values(), at)
    found = gradients(clipped, x, y)
    assert found.keys() == parameters.keys()
    for name, parameter in parameters.items():
        assert parameter.grad is not None
        np.testing.assert_allclose(found[name], parameter.grad.numpy(), atol=1e-14, rtol=0)


def test_the_norm_is_that_of_parameters_and_the_factor_is_for_feedback_too() -> None:
    """Kolen-Pollack's B has to take the step of its weight, or decay would not align the two."""
    feedback: Spec = {"rule": "fa", "learn": {"rule": "kolen_pollack"}}
    x, y = batch()
    free = gradients(opened(spec(dense(9, 8, 4), feedback)), x, y)
    clip = {"rule": "sgd", "lr": 0.1, "clip": {"by": "norm", "at": 0.1}}
    found = gradients(opened(spec(dense(9, 8, 4), feedback, clip)), x, y)
    norm = np.sqrt(sum((g**2).sum() for name, g in free.items() if "feedback" not in name))
    assert norm > 0.2
    for name, g in free.items():
        np.testing.assert_allclose(found[name], g * 0.1 / (norm + 1e-6), atol=1e-14, rtol=0)


def test_feedback_has_settings_of_its_own() -> None:
    feedback: Spec = {"rule": "ldfa", "rank": 3, "learn": "local"}
    x, y = batch()
    free = gradients(opened(spec(dense(9, 8, 4), feedback)), x, y)
    for own, factor in ({"lr_scale": 10.0}, 10.0), ({"use": {"rule": "sgd", "lr": 0.1}}, 2.0):
        update: Spec = {"rule": "sgd", "lr": 0.05, "feedback": own}
        found = gradients(opened(spec(dense(9, 8, 4), feedback, update)), x, y)
        for name, g in free.items():
            scale = factor if "feedback" in name else 1.0
            np.testing.assert_allclose(found[name], scale * g, atol=1e-14, rtol=0, err_msg=name)


def test_decay_of_feedback_can_differ() -> None:
    update: Spec = {"rule": "sgd", "lr": 0.05, "weight_decay": 0.1, "feedback": {"weight_decay": 0.0}}
    feedback: Spec = {"rule": "fa", "learn": {"rule": "kolen_pollack"}}
    session = opened(spec(dense(9, 8, 4), feedback, update))
    state, found = session.state(), gradients(session, *batch())
    decayed = found["fc3.weight"] - 0.1 * state["fc3.weight"]
    np.testing.assert_allclose(found["fc3.feedback.B"], decayed, atol=1e-15, rtol=0)


def test_the_last_group_that_matches_a_parameter_counts() -> None:
    groups = (
        {"match": "*.bias", "lr_scale": 3.0},
        {"match": "fc2.*", "lr_scale": 0.0},
        {"match": "fc2.weight", "use": {"rule": "adam", "lr": 0.01}},
    )
    x, y = batch()
    session = opened(spec(dense(9, 8, 4), update={"rule": "sgd", "lr": 0.05, "groups": groups}))
    free = gradients(opened(spec(dense(9, 8, 4))), x, y)
    before = session.state()
    assert {n for n in before if n.endswith((".mean", ".square"))} == {"fc2.weight.mean", "fc2.weight.square"}
    session.step(x, y)
    step = {n: before[n] - a for n, a in session.state().items()}
    np.testing.assert_allclose(step["fc1.weight"], 0.05 * free["fc1.weight"], atol=1e-15, rtol=0)
    np.testing.assert_allclose(step["fc1.bias"], 0.15 * free["fc1.bias"], atol=1e-15, rtol=0)
    np.testing.assert_array_equal(step["fc2.bias"], 0.0)
    # the first step of Adam is the learning rate in the direction of the sign
    moved = np.abs(free["fc2.weight"]) > 1e-4
    np.testing.assert_allclose(
        step["fc2.weight"][moved], 0.01 * np.sign(free["fc2.weight"])[moved], rtol=1e-3
    )


def test_all_updates_read_the_values_from_before_the_step() -> None:
    """A step of every rule equals one computed from the old state: zero rates change nothing that others read."""
    for learn in ("oja_kp", "local", "normative"):
        feedback: Spec = {"rule": "ldfa", "rank": 3, "learn": learn}
        session = opened(spec(dense(9, 8, 4), feedback, {"rule": "sgd", "lr": 0.5}))
        x, y = batch()
        before = session.state()
        session.step(x, y)
        whole = session.state()
        for name in (n for n in before if n.endswith((".weight", ".P", ".Q"))):
            kept = {"match": "*", "lr_scale": 0.0}, {"match": name, "lr_scale": 1.0}
            alone = opened(spec(dense(9, 8, 4), feedback, {"rule": "sgd", "lr": 0.5, "groups": kept}))
            put(alone, before)
            alone.step(x, y)
            np.testing.assert_array_equal(alone.state()[name], whole[name], err_msg=f"{learn} {name}")
