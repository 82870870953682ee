"""Initial values: their laws, and that each tensor has a stream of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from math import sqrt
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

from fac.build import threads
from fac.checks.laws import variance
from fac.pipeline import compile, lowered
from fac.spec.init import SCALED
from fac.testing import nets
from fac.testing.layers import LAYERS, SHAPES
from fac.testing.nets import Layers, conv2d
from tests.rules.nets import Array, Spec, State, dense, spec

WIDE = 300
NARROW = 200
FA: Spec = {"rule": "fa"}


def initial(layers: tuple[Spec, ...], feedback: Spec, seed: int = 0, inputs: int = WIDE) -> State:
    """The state before the first step."""
    return compile(spec(layers, feedback, inputs=inputs, seed=seed), "reference").open().state()


def drawn(init: Any, name: str = "fc2.feedback.B") -> Array:
    """A feedback matrix [NARROW, WIDE] of that law."""
    return initial(dense(WIDE, NARROW), {"rule": "fa", "init": init})[name]


@pytest.mark.parametrize(
    ("init", "bound"),
    [
        ("kaiming_uniform", sqrt(6 / WIDE)),
        ("xavier_uniform", sqrt(6 / (WIDE + NARROW))),
        ({"kind": "uniform", "bound": 0.3}, 0.3),
    ],
)
def test_uniform_laws(init: Any, bound: float) -> None:
    """60,000 entries: mean and spread within 4 sigma, and the ends are reached."""
    found = drawn(init)
    assert bound * 0.999 < np.abs(found).max() <= bound
    assert abs(found.mean()) <= 4 * bound / sqrt(3 * found.size)
    # the deviation of the spread of a uniform law is std sqrt(.2 / n)
    assert found.std() == pytest.approx(bound / sqrt(3), rel=4 * sqrt(0.2 / found.size))


@pytest.mark.parametrize(
    ("init", "std"),
    [
        ("launay", 1 / sqrt(WIDE * NARROW)),
        ("kaiming_normal", sqrt(2 / WIDE)),
        ("xavier_normal", sqrt(2 / (WIDE + NARROW))),
        ("lecun_normal", 1 / sqrt(WIDE)),
        ({"kind": "normal", "std": 0.2}, 0.2),
    ],
)
def test_normal_laws(init: Any, std: float) -> None:
    found = drawn(init)
    assert abs(found.mean()) <= 4 * std / sqrt(found.size)
    assert found.std() == pytest.approx(std, rel=4 / sqrt(2 * found.size))
    # the fourth moment tells a normal law (3) from a uniform one (1.8)
    assert ((found / std) ** 4).mean() == pytest.approx(3, abs=0.2)


def test_zeros() -> None:
    assert not drawn("zeros").any()


def test_orthogonal_has_orthonormal_rows() -> None:
    found = drawn("orthogonal")
    np.testing.assert_allclose(found @ found.T, np.eye(NARROW), atol=1e-13, rtol=0)
    assert np.abs(found[0]).max() < 0.5


def test_weights_are_kaiming_and_biases_zero() -> None:
    state = initial(dense(WIDE, NARROW), {"rule": "bp"})
    assert state["fc2.weight"].std() == pytest.approx(sqrt(2 / WIDE), rel=0.01)
    assert not state["fc2.bias"].any()


def test_a_feedback_matrix_is_drawn_like_the_weight_but_is_another_draw() -> None:
    layers = dense(WIDE, NARROW, init={"kind": "normal", "std": 0.7})
    state = initial(layers, {"rule": "fa"})
    weight, matrix = state["fc2.weight"], state["fc2.feedback.B"]
    assert matrix.std() == pytest.approx(0.7, rel=0.01)
    # a random cosine of so many entries has the deviation .004
    assert abs(np.vdot(weight, matrix) / np.linalg.norm(weight) / np.linalg.norm(matrix)) <= 0.017


def test_the_pair_of_a_low_rank_route() -> None:
    """P has orthonormal rows, Q the spread of the forward weight."""
    state = initial(dense(WIDE, NARROW), {"rule": "ldfa", "rank": 50})
    p, q = state["fc2.feedback.P"], state["fc2.feedback.Q"]
    np.testing.assert_allclose(p @ p.T, np.eye(50), atol=1e-13, rtol=0)
    assert q.std() == pytest.approx(sqrt(2 / WIDE), rel=4 / sqrt(2 * q.size))


@pytest.mark.parametrize("init", SCALED)
@pytest.mark.parametrize("kind", [kind for kind in LAYERS if kind.startswith(("linear", "conv"))])
def test_what_is_drawn_like_a_weight_has_its_spread_whatever_multiplies(kind: str, init: str) -> None:
    """By every law the same of B; of Q that of the default law, past every kernel that has a low rank."""
    layers = tuple(
        layer | {"init": init} if layer["kind"].startswith(("linear", "conv")) else layer
        for layer in LAYERS[kind]
    )
    shape = SHAPES.get(kind, (5,))
    matrices = {route.node: route.tensors[0] for route in lowered(nets.spec(layers, FA, shape=shape)).routes}
    thin = lowered(nets.spec(layers, {"rule": "ldfa", "rank": 1}, shape=shape))
    assert matrices
    for node in thin.weighted:
        if node.name in matrices:
            assert node.weight is not None
            # of an adapter's B it is that of A, for it starts at zero
            like = replace(node.weight, init=node.weight.drawn)
            assert variance(matrices[node.name]) == variance(like)
    for route in thin.routes:
        weight = thin.by_name[route.node].weight
        assert weight is not None
        q = next((tensor for tensor in route.tensors if tensor.part == "Q"), None)
        assert (q is None) == (weight.groups > 1)
        if q is not None:
            assert variance(q) == pytest.approx(variance(replace(weight, init="kaiming_normal")), rel=1e-15)


@pytest.mark.parametrize(
    ("kernel", "stride", "groups"), [(2, 2, 1), (3, 2, 1), (4, 2, 2), (2, 1, 1), (2, 3, 1)]
)
def test_weight_and_feedback_of_a_transposed_convolution_at_any_stride(
    kernel: int, stride: int, groups: int
) -> None:
    """Entries within 5 sigma of what the law says. So W doubles mean squares, for the half that `relu` leaves."""
    fields = {"groups": groups, "init": "kaiming_normal"}
    layers: Layers = (
        conv2d("c1", 32, 1),
        conv2d("up", 32, kernel, stride=stride, **fields) | {"kind": "conv_transpose2d"},
    )
    data = nets.spec(layers, FA, shape=(1, 4, 4), loss="mse")
    state = compile(data, "reference", precision="float64").open().state()
    for name in ("up.weight", "up.feedback.B"):
        entries = state[name]
        std = sqrt(2 / (32 / groups * (kernel / stride) ** 2))
        assert entries.std() == pytest.approx(std, rel=5 / sqrt(2 * entries.size)), name


def test_direct_matrices_have_the_spread_of_launay() -> None:
    state = initial(dense(WIDE, 10), {"rule": "dfa"})
    found = state["fc1.feedback.B"]
    assert found.shape == (WIDE, 10)
    assert found.std() == pytest.approx(1 / sqrt(10 * WIDE), rel=4 / sqrt(2 * found.size))


@pytest.mark.parametrize("feedback", [{"rule": "fa"}, {"rule": "dfa"}, {"rule": "ldfa", "rank": 3}])
def test_another_layer_changes_no_other_tensor(feedback: Spec) -> None:
    layers = dense(9, 9, 4)
    more: tuple[Spec, ...] = (*layers[:2], {"kind": "linear", "name": "extra", "out": 9}, *layers[2:])
    small, large = (initial(each, feedback, inputs=9) for each in (layers, more))
    assert set(large.keys() - small.keys()) >= {"extra.weight", "extra.bias"}
    assert small.keys() < large.keys()
    for name, array in small.items():
        np.testing.assert_array_equal(array, large[name], err_msg=name)


def test_seeds_differ_and_repeat() -> None:
    first, again, other = (initial(dense(9, 4), {"rule": "fa"}, seed, inputs=5) for seed in (0, 0, 1))
    for name in ("fc1.weight", "fc2.weight", "fc2.feedback.B"):
        np.testing.assert_array_equal(first[name], again[name])
        assert not np.isclose(first[name], other[name]).any()


def test_tensors_of_one_shape_differ() -> None:
    state = initial(dense(9, 9, 9, 9), {"rule": "fa"}, inputs=9)
    square = [a for n, a in state.items() if a.shape == (9, 9)]
    assert len(square) == 7
    for i, a in enumerate(square):
        assert not any(np.isclose(a, b).any() for b in square[:i])


THREADED = """
    from hashlib import sha256
    from fac.pipeline import compile

    hidden = {"kind": "linear", "name": "fc1", "out": 300, "init": "orthogonal"}
    spec = {
        "fac": 1,
        "name": "wide",
        "input": {"shape": (400,)},
        "layers": (hidden, {"kind": "relu"}, hidden | {"name": "fc2"}, {"kind": "linear", "name": "out", "out": 10}),
        "loss": {"kind": "cross_entropy"},
        "feedback": {"rule": "ldfa", "rank": 8, "learn": "local"},
        "update": {"rule": "sgd", "lr": 0.1},
    }
    state = compile(spec, backend="reference").compiled.initial()
    print(sha256(b"".join(array.tobytes() for array in state.values())).hexdigest())
"""


def test_initial_values_do_not_depend_on_the_number_of_threads() -> None:
    """Matrices so wide that decompositions in two threads have other last bits."""
    found = {
        subprocess.run(
            [sys.executable, "-c", dedent(THREADED)],
            env=os.environ | {"OMP_NUM_THREADS": number},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for number in ("1", "2")
    }
    assert len(found) == 1


def test_the_number_of_threads_is_put_back() -> None:
    def numbers() -> set[int]:
        return {library["num_threads"] for library in threads.blas().info() if library["user_api"] == "blas"}

    with threads.blas().limit(limits=2, user_api="blas"):
        with threads.one_thread():
            assert numbers() == {1}
        assert numbers() == {2}


@pytest.mark.parametrize(("variable", "expected"), [("3", 3), ("0", None), ("all", None), (None, None)])
def test_what_says_how_many_threads_there_are(
    variable: str | None, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A positive number is taken; else it is one for each CPU that the process may run on."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5}, raising=False)
    assert threads.allowed() == (expected or 2)
