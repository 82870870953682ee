"""Muon: what it makes of singular values, what it moves, and what it leaves to another rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import fac
from fac.build.updating import plan
from fac.pipeline import lowered
from fac.step.builder import Builder
from fac.step.types import DType, N, Type
from fac.updates import Muon, muon
from fac.updates.orthogonal import A, B, C
from fac_reference.interpreter import run
from tests.rules.nets import BP, Array, Spec, State, batch, dense, distance, gradients, opened, spec

torch.set_num_threads(1)
LR = 0.1
MUON: Spec = {"rule": "muon", "lr": LR, "rest": {"rule": "sgd", "lr": LR}}
NET = dense(9, 5, 8, 4)


def orthogonalised(matrix: Array, steps: int = 5) -> Array:
    """By the singular values: each is taken to p(p(...)), p(s) = A s + B s^3 + C s^5."""
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    s = s / np.linalg.norm(s)
    for _ in range(steps):
        s = A * s + B * s**3 + C * s**5
    return np.asarray((u * s) @ vt)


@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
@pytest.mark.parametrize("fields", [{}, {"nesterov": False}, {"steps": 3, "size": "match_rms_adamw"}])
def test_hidden_weights_take_steps_whose_singular_values_are_about_1(backend: str, fields: Spec) -> None:
    """fc1 [9, 7] is tall, fc2 [5, 9] wide, fc3 [8, 5] tall; the head and biases go by `rest`."""
    session = opened(spec(NET, update=MUON | fields | {"weight_decay": 0.3}), backend)
    plain, momenta = opened(spec(NET)), dict[str, Array]()
    for step in range(4):
        x, y = batch(seed=step)
        before = session.state()
        plain.load_state({name: before[name] for name in plain.state()})
        g = gradients(plain, x, y)
        session.step(x, y)
        expected: State = {name: before[name] - LR * g[name] for name in g}
        for name in ("fc1.weight", "fc2.weight", "fc3.weight"):
            momenta[name] = 0.95 * momenta.get(name, 0 * g[name]) + g[name]
            nesterov = fields.get("nesterov", True)
            direction = g[name] + 0.95 * momenta[name] if nesterov else momenta[name]
            rows, columns = g[name].shape
            size = max(1, rows / columns) ** 0.5
            if "size" in fields:
                size = 0.2 * max(rows, columns) ** 0.5
            turned = orthogonalised(direction, fields.get("steps", 5))
            expected[name] = (1 - LR * 0.3) * before[name] - LR * size * turned
        assert distance(session.state(), expected) <= 1e-12


@pytest.mark.parametrize("shape", [(40, 10), (10, 40), (20, 5, 2, 2)])
def test_torch_takes_the_same_steps_but_for_its_16_bits(shape: tuple[int, ...]) -> None:
    """Of gradients of full rank: what rounding makes of a singular value of zero grows 485 times."""
    rule, b = Muon(lr=LR), Builder()
    b.input("x", Type((N, 1)))
    w, g, m = (b.input(name, Type(shape)) for name in ("w", "g", "m"))
    found = muon.apply(b, rule, w, g, {"momentum": m}, b.scalar("lr"), b.scalar("step", DType.INT))
    function = b.finish("update", {"w": found.parameter, "m": found.slots["momentum"]})
    rng, flat = np.random.default_rng(0), (shape[0], -1)
    state: State = {"w": rng.standard_normal(shape), "m": np.zeros(shape)}
    weight = torch.tensor(state["w"].reshape(flat), requires_grad=True)
    theirs: Any = torch.optim.Muon([weight], lr=LR, weight_decay=0.0, adjust_lr_fn="original")
    for step in range(5):
        g_now = rng.standard_normal(shape)
        inputs = {"x": np.zeros((1, 1)), "g": g_now, "lr": LR, "step": step, **state}
        before, start = state["w"], weight.detach().clone()
        state = run(function, inputs, np.dtype(np.float64))
        weight.grad = torch.tensor(g_now.reshape(flat))
        theirs.step()
        ours, other = (state["w"] - before).reshape(flat), (weight.detach() - start).numpy()
        assert np.linalg.norm(ours - other) <= 0.03 * np.linalg.norm(other)


def test_the_size_of_gradients_does_not_matter_and_no_gradient_moves_nothing() -> None:
    net = dense(6, 4)
    found = []
    for factor in (1.0, 2.0**-40):
        losses = ({"kind": "mse", "of": "fc2", "target": "y", "scale": factor},)
        data = {k: v for k, v in spec(net, update=MUON).items() if k != "loss"} | {"losses": losses}
        session = opened(data)
        before = session.state()["fc1.weight"]
        x = batch()[0]
        session.step({"x": x, "y": np.ones((12, 4))})
        found.append(session.state()["fc1.weight"] - before)
        after = session.state()["fc1.weight"]
        session.step({"x": 0 * x, "y": np.ones((12, 4))}, lr=0.0)
        assert np.array_equal(session.state()["fc1.weight"], after)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-10)


def test_what_goes_by_the_rest() -> None:
    layers: tuple[Any, ...] = (
        {"kind": "embedding", "name": "table", "num_embeddings": 11, "out": 6},
        {"kind": "layer_norm", "name": "norm"},
        {"kind": "linear", "name": "fc1", "out": 8},
        {"kind": "mean", "axes": (0,)},
        {"kind": "linear", "name": "head", "out": 4},
    )
    groups = {"groups": ({"match": "norm.*", "use": {"rule": "adam", "lr": 0.02}},)}
    feedback = {"rule": "fa", "learn": {"rule": "kolen_pollack"}}
    data = spec(layers, feedback, MUON | groups) | {"input": {"shape": (5,), "classes": 11}}
    program = lowered(data)
    moved = {t.name: plan(program, t) for t in program.arrays}
    assert {name: str(p.bare.rule) for name, p in moved.items()} == {  # type: ignore[attr-defined]
        "table.weight": "sgd",
        "norm.weight": "adam",
        "norm.bias": "adam",
        "fc1.weight": "muon",
        "fc1.bias": "sgd",
        "head.weight": "sgd",
        "head.bias": "sgd",
        "fc1.feedback.B": "muon",
        "head.feedback.B": "sgd",
    }
    assert moved["norm.bias"].lr_ratio == pytest.approx(0.2)


def test_what_is_left_to_its_like_is_left_on() -> None:
    """`rest` of `rest` moves what neither moves, so that the one between has no effect, and that is a finding."""
    adam = {"rule": "adam", "lr": 0.02}
    between: Spec = {"rule": "gram_orthogonal", "lr": LR, "rest": adam}
    data = spec(dense(9, 8, 4), BP, MUON | {"rest": between})
    program = lowered(data)
    assert {t.name: str(plan(program, t).bare.rule) for t in program.arrays} == {  # type: ignore[attr-defined]
        "fc1.weight": "muon",
        "fc2.weight": "muon",
        "fc3.weight": "adam",
        "fc1.bias": "adam",
        "fc2.bias": "adam",
        "fc3.bias": "adam",
    }
    assert plan(program, program.by_name["fc3"].tensors[0]).lr_ratio == pytest.approx(0.02 / LR)
    (finding,) = fac.check(data)
    assert (finding.rule.code, finding.path) == ("FAC314", ("update", "rest", "rule"))
    assert "to `adam`" in finding.message
    assert fac.check(data | {"update": MUON | {"rest": adam}}) == ()
