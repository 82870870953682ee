"""Steps along orthogonalised gradients: one and the same, be they found among rows or along a side of the weight."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fac.build.updating import stepping
from fac.pipeline import lowered
from fac.render.lineage import Lineage
from fac.step.builder import Builder
from fac.step.factors import Factors
from fac.step.types import N, Type
from fac.updates import Muon
from fac.updates.orthogonal import orthogonalised, orthogonalised_product
from fac_reference.interpreter import run
from tests.rules.nets import Array, Spec, State, batch, dense, distance, gradients, opened, spec
from tests.rules.test_muon import orthogonalised as by_singular_values

torch.set_num_threads(1)
LR = 0.1
GRAM: Spec = {"rule": "gram_orthogonal", "lr": LR, "rest": {"rule": "sgd", "lr": LR}}
BACKENDS = ["reference", "torch", "onnx"]
WIDE = dense(15, 9, 12, 4)
"""fc1 [15, 11] is tall, fc2 [9, 15] wide, fc3 [12, 9] tall: of 6 rows all are larger, of 10 only fc1."""


def few(of: Spec, n: int) -> Spec:
    """The spec with batches of n samples."""
    return of | {"train": of["train"] | {"batch": n}}


def forms(of: Spec) -> dict[str, str]:
    """What `fac show` says of the squares that each parameter's update multiplies."""
    program = lowered(of)
    lineage = Lineage(program)
    said = {t.name: lineage.moves(t) for t in program.arrays if lineage.moved(t)}
    return {name: text.partition("(")[2][:-1] for name, text in said.items() if "gram" in text}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "fields", [{}, {"momentum": 0.9}, {"momentum": 0.9, "weight_decay": 0.3, "steps": 3}]
)
@pytest.mark.parametrize("n", [6, 10, 40])
def test_hidden_weights_step_along_their_orthogonalised_gradient(backend: str, fields: Spec, n: int) -> None:
    of = few(spec(WIDE, {"rule": "fa"}, inputs=11), n)
    session, plain, momenta = opened(of | {"update": GRAM | fields}, backend), opened(of), dict[str, Array]()
    for step in range(4):
        x, y = batch(n, 11, seed=step)
        before = session.state()
        plain.load_state({name: before[name] for name in plain.state()})
        g = gradients(plain, x, y)
        session.step(x, y)
        expected: State = {name: before[name] - LR * g[name] for name in g}
        for name in ("fc1.weight", "fc2.weight", "fc3.weight"):
            rows, columns = g[name].shape
            turned = by_singular_values(g[name], fields.get("steps", 5))
            momenta[name] = fields.get("momentum", 0.0) * momenta.get(name, 0 * turned) + turned
            kept = (1 - LR * fields.get("weight_decay", 0.0)) * before[name]
            expected[name] = kept - LR * max(1, rows / columns) ** 0.5 * momenta[name]
        # Of ranks below the rows, which a loss over four classes makes, the steps magnify rounding.
        assert distance(session.state(), expected) <= 1e-10


def test_the_form_is_that_of_the_fewer_numbers() -> None:
    sizes = {
        n: forms(few(spec(WIDE, update=GRAM, inputs=11), n) | {"train": {"batch": n}}) for n in (6, 10, 40)
    }
    names = ("fc1.weight", "fc2.weight", "fc3.weight")
    assert sizes == {
        6: dict.fromkeys(names, "rows 6"),
        10: dict(zip(names, ("rows 10", "side 9", "side 9"), strict=True)),
        40: dict(zip(names, ("side 11", "side 9", "side 9"), strict=True)),
    }
    # Momentum before NS is no product of few rows; without it the two rules are one.
    bare = few(spec(WIDE, update=GRAM, inputs=11), 6)
    same = bare | {"update": GRAM | {"rule": "muon", "momentum": 0.0}}
    assert distance(stepped(bare), stepped(same)) == 0
    b, program = Builder(), lowered(bare)
    d, h = (b.input(name, Type((N, width))) for name, width in (("d", 15), ("h", 11)))
    g = b.matmul(d, h, ta=True)
    assert isinstance(stepping(b, program, Muon(lr=1.0, momentum=0.0), g)[1], Factors)
    assert stepping(b, program, Muon(lr=1.0), g)[1] is g


def stepped(of: Spec, backend: str = "reference", n: int = 6) -> State:
    """The state after three steps."""
    session = opened(of, backend)
    shape = tuple(of["input"]["shape"])
    for seed in range(3):
        rng = np.random.default_rng(seed)
        session.step(rng.standard_normal((n, *shape)), rng.integers(0, 4, n))
    return session.state()


KERNELS: tuple[Spec, ...] = (
    {"kind": "conv2d", "name": "c1", "out": 20, "kernel": 3},
    {"kind": "relu"},
    {"kind": "flatten"},
    *dense(40, 4),
)
TOKENS: tuple[Spec, ...] = (
    {"kind": "linear", "name": "t1", "out": 30},
    {"kind": "relu"},
    {"kind": "linear", "name": "t2", "out": 25},
    {"kind": "mean", "axes": (0,)},
    {"kind": "linear", "name": "head", "out": 4},
)
TIED: tuple[Spec, ...] = (
    {"kind": "linear", "name": "a", "out": 22},
    {"kind": "tanh"},
    {"kind": "linear", "name": "b", "out": 22, "tie": "a"},
    {"kind": "tanh"},
    {"kind": "linear", "name": "head", "out": 4},
)
RECURRENT: tuple[Spec, ...] = (
    {"kind": "rnn", "name": "r", "out": 30},
    {"kind": "linear", "name": "head", "out": 4},
)
NETWORKS: dict[str, tuple[tuple[Spec, ...], tuple[int, ...], dict[str, str]]] = {
    "kernels": (KERNELS, (2, 5, 5), {"c1.weight": "side 18", "fc1.weight": "rows 3"}),
    "tokens": (TOKENS, (5, 28), {"t1.weight": "rows 15", "t2.weight": "rows 15"}),
    "many tokens": (TOKENS, (9, 28), {"t1.weight": "rows 27", "t2.weight": "side 25"}),
    "tied": (TIED, (22,), {"a.weight": "rows 6"}),
    "recurrent": (RECURRENT, (4, 26), {"r.ih.weight": "rows 12", "r.0.hh.weight": "rows 12"}),
}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    "update", [{}, {"clip": {"by": "norm", "at": 0.01}}, {"clip": {"by": "value", "at": 1e-3}}]
)
def test_of_all_layers_the_forms_agree(network: str, update: Spec) -> None:
    """A batch of 3 in the spec against one of 1000, which makes all of them go by the side."""
    layers, shape, known = NETWORKS[network]
    of = spec(layers, update=GRAM | update) | {"input": {"shape": shape}}
    found = forms(few(of, 3))
    if update.get("clip", {}).get("by") == "value":
        assert all(form.startswith("side") for form in found.values())
    else:
        assert found == known
    assert all(form.startswith("side") for form in forms(few(of, 1000)).values())
    whole = stepped(few(of, 1000), n=3)
    for backend in BACKENDS:
        assert distance(stepped(few(of, 3), backend, n=3), whole) <= 1e-8


def test_feedback_that_follows_a_weight_takes_its_step() -> None:
    """B - W^T shrinks by the decay alone, as under every rule whose step is a function of the gradient."""
    feedback = {"rule": "fa", "learn": {"rule": "kolen_pollack"}}
    of = few(spec(WIDE, feedback, GRAM | {"weight_decay": 0.5}, inputs=11), 6)
    assert forms(of)["fc2.feedback.B"] == forms(of)["fc2.weight"] == "rows 6"
    session = opened(of)
    before = session.state()
    apart = before["fc2.feedback.B"] - before["fc2.weight"]
    session.step(*batch(6, 11))
    after = session.state()
    np.testing.assert_allclose(
        after["fc2.feedback.B"] - after["fc2.weight"], (1 - LR * 0.5) * apart, atol=1e-12
    )


@pytest.mark.parametrize(("dtype", "most"), [("float64", 1e-12), ("float32", 1e-4)])
@pytest.mark.parametrize("sort", ["plain", "few classes", "alike, and of many sizes"])
def test_t29_among_rows_it_is_newton_schulz_of_the_whole_matrix(dtype: str, most: float, sort: str) -> None:
    """Also where ranks are below the rows, as they are in practice."""
    rng, (n, m, k) = np.random.default_rng(0), (32, 100, 130)
    d, h = rng.standard_normal((n, m)), rng.standard_normal((n, k))
    if sort != "plain":
        d = rng.standard_normal((n, 9)) @ rng.standard_normal((9, m)) * (rng.random((n, m)) > 0.5)
    if sort == "alike, and of many sizes":
        d *= 10.0 ** (-8 * rng.random((n, 1)))
        h = np.maximum(rng.standard_normal((n, 7)) @ rng.standard_normal((7, k)) + 1, 0)
        h[16:] = h[:16]
    b = Builder()
    x, y = (b.input(name, Type((N, width))) for name, width in (("d", m), ("h", k)))
    among = orthogonalised_product(b, Factors(x, y), 5)
    along = orthogonalised(b, b.matmul(x, y, ta=True), 5)
    function = b.finish("both", {"among": among, "along": along})
    whole = by_singular_values(d.T @ h)
    inputs = {"d": d.astype(dtype), "h": h.astype(dtype)}
    found = run(function, inputs, np.dtype(dtype))
    limit = most if sort == "plain" else max(most, 1e-11)
    for name in ("among", "along"):
        assert np.linalg.norm(found[name] - whole) <= limit * np.linalg.norm(whole)
    if sort == "plain":
        values = np.linalg.svd(found["among"], compute_uv=False)
        assert values[:n].min() >= 0.6
        assert values[0] <= 1.21
        assert values[n:].max() <= 1e-4  # no rank grows


def test_the_size_of_rows_does_not_matter_and_no_gradient_moves_nothing() -> None:
    b = Builder()
    d, h = (b.input(name, Type((N, width))) for name, width in (("d", 9), ("h", 8)))
    function = b.finish("turned", {"x": orthogonalised_product(b, Factors(d, h), 5)})
    rng = np.random.default_rng(0)
    rows: dict[str, Any] = {"d": rng.standard_normal((4, 9)), "h": rng.standard_normal((4, 8))}
    double = np.dtype(np.float64)
    found = run(function, rows, double)["x"]
    for size in (1e-150, 1e-3, 1e150):
        np.testing.assert_allclose(
            run(function, rows | {"d": rows["d"] * size}, double)["x"], found, rtol=1e-9
        )
    assert not run(function, rows | {"d": 0 * rows["d"]}, double)["x"].any()
    cancelling = {"d": np.tile(rows["d"][:2], (2, 1)), "h": np.concatenate([rows["h"][:2], -rows["h"][:2]])}
    assert np.isfinite(run(function, cancelling, double)["x"]).all()
