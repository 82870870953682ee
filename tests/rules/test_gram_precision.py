"""Steps found among rows in float32: as exact where rows depend on each other as where they do not.

Grams have the squares of singular values, and of what rows do not have, which in float32 is rounding, five steps make
485 times as much. Products of Grams in float32 were off by 1e-2 here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from fac.backend import Session
from fac.pipeline import compile, find_backend
from fac.step.builder import Builder
from fac.step.factors import Factors
from fac.step.types import N, Type
from fac.testing.case import Subject
from fac.testing.ops import forward_alone
from fac.updates.orthogonal import LEAST, A, B, C, orthogonalised, orthogonalised_product
from fac_reference.interpreter import run
from tests.rules.nets import Array, Spec, batch, dense, spec
from tests.rules.test_gram_orthogonal import BACKENDS, few, forms
from tests.rules.test_muon import orthogonalised as by_singular_values

torch.set_num_threads(1)
Rows = tuple[Array, Array]
Random = np.random.Generator
TOLERANCE = 1e-4
SINGLE = np.dtype("float32")


def few_directions(rng: Random, n: int, width: int, rank: int = 9) -> Array:
    """Rows [n, width] in a space of few dimensions."""
    return rng.standard_normal((n, rank)) @ rng.standard_normal((rank, width))


def graded(rng: Random, n: int, width: int) -> Any:
    """Rows with singular values from 1 down to 1e-7."""
    turned, _ = np.linalg.qr(rng.standard_normal((width, n)))
    return (np.linalg.qr(rng.standard_normal((n, n)))[0] * np.logspace(0, -7, n)) @ turned.T


def cancelling(rng: Random, n: int, width: int, by: float) -> Array:
    """Every other row is the one before, up to this share."""
    x = rng.standard_normal((n, width))
    x[1::2] = x[::2] * (1 + by * rng.standard_normal((n // 2, 1)))
    return x


def opposite(rows: Array) -> Any:
    """The same, every other row negated."""
    return rows * (-1.0) ** np.arange(len(rows))[:, None]


SORTS: dict[str, Callable[[Random, int, int, int], Rows]] = {
    "plain": lambda r, n, m, k: (r.standard_normal((n, m)), r.standard_normal((n, k))),
    "errors of few directions": lambda r, n, m, k: (few_directions(r, n, m), r.standard_normal((n, k))),
    "inputs of few directions": lambda r, n, m, k: (r.standard_normal((n, m)), few_directions(r, n, k)),
    "both": lambda r, n, m, k: (few_directions(r, n, m), few_directions(r, n, k)),
    "of one direction": lambda r, n, m, k: (few_directions(r, n, m, 1), r.standard_normal((n, k))),
    "graded": lambda r, n, m, k: (graded(r, n, m), r.standard_normal((n, k))),
    "of many sizes": lambda r, n, m, k: (
        few_directions(r, n, m) * 10.0 ** (-8 * r.random((n, 1))),
        np.maximum(cancelling(r, n, k, 0), 0),
    ),
}


def alone(backend: str, m: int, k: int) -> Session:
    """A session whose forward pass makes S of x = [L, R]."""
    b = Builder()
    x = b.input("x", Type((N, m + k)))
    left, right = (b.emit("crop", x, before=(0, low), after=(0, high)) for low, high in ((0, k), (m, 0)))
    s = b.emit("newton_schulz_rows", left, right, steps=5, coefficients=(A, B, C), least=LEAST)
    made = forward_alone(b.finish("forward", {"output": s}), (m + k,), (k,), {})
    return Subject(find_backend(backend), "float32", "cpu").open_functions(made)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("n", "m", "k"), [(32, 100, 130), (64, 200, 65)])
def test_rows_may_depend_on_each_other(backend: str, n: int, m: int, k: int) -> None:
    session = alone(backend, m, k)
    for sort, drawn in SORTS.items():
        left, right = (x.astype(SINGLE) for x in drawn(np.random.default_rng(0), n, m, k))
        found = left.astype(float).T @ session.forward(np.concatenate([left, right], 1))
        whole = by_singular_values(left.astype(float).T @ right)
        assert np.linalg.norm(found - whole) <= TOLERANCE * np.linalg.norm(whole), sort


LINEAR = dense(100, 90, 10, act=None)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rule", ["bp", "fa", "dfa", {"rule": "ldfa", "rank": 3}], ids=str)
def test_a_step_of_a_linear_network_is_that_of_the_whole_matrix(backend: str, rule: Any) -> None:
    """Errors of a batch of 48 live in as many directions as there are classes, less one, or in the rank of feedback."""
    feedback = {"rule": rule} if isinstance(rule, str) else rule
    update: Spec = {"rule": "gram_orthogonal", "lr": 1.0, "rest": {"rule": "sgd", "lr": 0.1}}
    of = spec(LINEAR, feedback, update, inputs=70)
    assert forms(few(of, 48)) == {"fc1.weight": "rows 48", "fc2.weight": "rows 48"}
    assert all(form.startswith("side") for form in forms(few(of, 1000)).values())
    x, y = batch(48, 70, 10)
    steps = {}
    for n, name, precision in ((48, backend, "float32"), (1000, "reference", "float64")):
        session = compile(few(of, n), backend=name, precision=precision).open(device="cpu")  # type: ignore[arg-type]
        before = session.state()
        session.step(x.astype(precision), y)
        steps[n] = {w: session.state()[w] - before[w] for w in ("fc1.weight", "fc2.weight")}
    for weight, exact in steps[1000].items():
        assert np.linalg.norm(steps[48][weight] - exact) <= TOLERANCE * np.linalg.norm(exact)


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_that_cancel_move_nothing_or_as_much_as_any(backend: str) -> None:
    """What float32 says of L^T R is rounding then; a polynomial of that diverges."""
    session = alone(backend, 40, 30)
    rng = np.random.default_rng(0)
    for by in 10.0 ** -np.arange(0, 12, 0.5):
        left, right = opposite(cancelling(rng, 12, 40, by)), cancelling(rng, 12, 30, by)
        found = left.T @ session.forward(np.concatenate([left, right], 1).astype(SINGLE))
        assert np.linalg.norm(found, 2) <= 1.6, by
        kept = np.linalg.norm(left.T @ right) / sum_of_sizes(left, right)
        assert not (kept**2 < LEAST / 2 and found.any()), by


def sum_of_sizes(left: Array, right: Array) -> float:
    """Of the products of a row of each."""
    return float((np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)).sum())


def test_how_far_rows_may_cancel() -> None:
    """Nearer to float64 than along the side down to 2e-4 of the products; near 1e-5 no longer, and then no step."""
    b = Builder()
    d, h = (b.input(name, Type((N, width))) for name, width in (("d", 100), ("h", 130)))
    among = orthogonalised_product(b, Factors(d, h), 5)
    function = b.finish("both", {"among": among, "along": orthogonalised(b, b.matmul(d, h, ta=True), 5)})
    seen: dict[float, tuple[float, float]] = {}
    for by in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5):
        rng = np.random.default_rng(0)
        left, right = opposite(cancelling(rng, 32, 100, by)), cancelling(rng, 32, 130, by)
        rows = {"d": left.astype(SINGLE), "h": right.astype(SINGLE)}
        product = rows["d"].astype(float).T @ rows["h"]
        whole, found = by_singular_values(product), run(function, rows, SINGLE)
        off = [float(np.linalg.norm(found[name] - whole) / np.linalg.norm(whole)) for name in found]
        seen[float(np.linalg.norm(product)) / sum_of_sizes(rows["d"], rows["h"])] = (off[0], off[1])
    *near, some, none = seen.items()
    assert all(kept > 1e-4 and among < along for kept, (among, along) in near)
    assert 1e-5 < some[0] < 1e-4
    assert some[1][0] > 0.1 > some[1][1]
    assert none[0] < 1e-5
    assert none[1][0] == 1
    assert none[1][1] < 0.5


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", [1e6, 1e12, 1e30])
def test_a_row_that_meets_zeros_takes_the_step_from_no_other(backend: str, size: float) -> None:
    """The product does not have it, however large the error is."""
    session, rng = alone(backend, 40, 30), np.random.default_rng(0)
    left, right = rng.standard_normal((12, 40)), rng.standard_normal((12, 30))
    right[3] = 0
    whole = by_singular_values(left.T @ right)
    left[3] *= size
    s = session.forward(np.concatenate([left, right], 1).astype(SINGLE))
    assert not s[3].any()
    assert np.linalg.norm(left.T @ s - whole) <= TOLERANCE * np.linalg.norm(whole)


@pytest.mark.parametrize("size", [1e-36, 1e-25, 1e-15, 1e15, 1e30])
def test_errors_of_any_size_that_float32_has_make_the_same_step(size: float) -> None:
    b = Builder()
    left, right = (b.input(name, Type((N, width))) for name, width in (("d", 40), ("h", 30)))
    function = b.finish("step", {"x": orthogonalised_product(b, Factors(left, right), 5)})
    rng = np.random.default_rng(0)
    d, h = few_directions(rng, 12, 40).astype(SINGLE), rng.standard_normal((12, 30)).astype(SINGLE)
    # not a power of two: rows of a size are other numbers, to the last digit
    found, whole = (
        run(function, {"d": (d * s).astype(SINGLE), "h": h}, SINGLE)["x"] for s in (SINGLE.type(size), 1)
    )
    assert np.linalg.norm(found - whole) <= TOLERANCE * np.linalg.norm(whole)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_no_number_is_told(backend: str) -> None:
    """And not taken for nothing."""
    session = alone(backend, 9, 8)
    x = np.random.default_rng(0).standard_normal((6, 17)).astype(SINGLE)
    x[2, 3] = np.nan
    assert np.isnan(session.forward(x)).all()
