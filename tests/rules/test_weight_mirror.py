"""Weight mirror (arXiv 1904.05391): B comes to W^T by what the weight makes of noise."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from fac.backend import Session
from fac.feedback.weight_mirror import WEIGHT_MIRROR
from fac.pipeline import check
from fac.testing.declarations import check_declarations
from tests.rules.nets import BP, Spec, batch, dense, distance, gradients, opened, put, spec

NET = dense(20, 15, 4)


def mirror(rate: float = 0.02, rows: int = 100) -> Spec:
    return {"rule": "fa", "learn": {"rule": "weight_mirror", "rate": rate, "rows": rows}}


def apart(session: Session, layer: str = "fc2") -> tuple[float, float, float]:
    """Cosine of B and W, |B| / |W| and |B - W| / |W|."""
    state = session.state()
    b, w = state[f"{layer}.feedback.B"], state[f"{layer}.weight"]
    own, size = np.linalg.norm(b), np.linalg.norm(w)
    return float((b * w).sum() / own / size), float(own / size), float(np.linalg.norm(b - w) / size)


def test_t18_it_comes_to_the_weight() -> None:
    session = opened(spec(NET, mirror()))
    assert apart(session)[0] < 0.3
    for _ in range(600):
        session.step(*batch(), lr=0.0)
    cosine, size, _ = apart(session)
    assert cosine >= 0.99
    assert 0.97 <= size <= 1.02


@pytest.mark.parametrize(("rate", "rows"), [(0.1, 100), (0.1, 25), (0.02, 100)])
def test_the_noise_that_is_left_is_what_the_docstring_says(rate: float, rows: int) -> None:
    session, squares = opened(spec(NET, mirror(rate, rows))), list[float]()
    for step in range(round(5 / rate) + 300):
        session.step(*batch(), lr=0.0)
        if step >= 5 / rate:
            squares.append(apart(session)[2] ** 2)
    expected = sqrt(rate / (2 - rate) * 20 / rows)
    assert abs(sqrt(float(np.mean(squares))) / expected - 1) <= 0.15


def test_t2_with_the_weight_for_b_it_is_backpropagation() -> None:
    session, exact = opened(spec(NET, mirror())), opened(spec(NET, BP))
    state = session.state()
    put(session, {f"{n}.feedback.B": state[f"{n}.weight"] for n in ("fc2", "fc3")})
    found, expected = gradients(session, *batch()), gradients(exact, *batch())
    assert distance({n: found[n] for n in expected}, expected) <= 1e-15


def test_past_a_kernel_too() -> None:
    layers = (
        {"kind": "conv2d", "name": "c1", "out": 4, "kernel": 3},
        {"kind": "relu"},
        {"kind": "conv2d", "name": "c2", "out": 5, "kernel": 3},
        {"kind": "flatten"},
        {"kind": "linear", "name": "logits", "out": 3},
    )
    net = spec(layers, mirror()) | {"input": {"shape": (2, 6, 6)}}
    session, rng = opened(net), np.random.default_rng(0)
    for _ in range(600):
        session.step(rng.standard_normal((3, 2, 6, 6)), np.array([0, 1, 2]), lr=0.0)
    cosine, size, _ = apart(session, "c2")
    assert cosine >= 0.98
    assert 0.96 <= size <= 1.04


def test_it_reads_the_weight_and_so_cannot_teach_a_direct_route() -> None:
    found = check(spec(NET, {"rule": "dfa", "learn": {"rule": "weight_mirror"}}))
    assert any("needs the forward weight" in f.message for f in found)


def test_what_it_says_of_itself() -> None:
    check_declarations(WEIGHT_MIRROR)
