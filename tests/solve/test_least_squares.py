"""Least squares block by block against the pseudoinverse of all rows at once."""

from __future__ import annotations

import numpy as np
import pytest

from fac.solve.least_squares import LeastSquares
from fac.solve.triangle import PANEL, absorb

RNG = np.random.default_rng(0)


def found(a: np.ndarray, t: np.ndarray, block: int, rcond: float = 1e-12) -> tuple[np.ndarray, int, float]:
    squares = LeastSquares(a.shape[1], t.shape[1])
    for start in range(0, len(a), block):
        squares.add(np.c_[a, t][start : start + block])
    solution = squares.solution(rcond)
    return solution.theta, solution.rank, solution.error


@pytest.mark.parametrize("block", [1, 3, 50, 1000])
@pytest.mark.parametrize("rows", [5, 12, 200])
def test_any_block_gives_the_pseudoinverse(rows: int, block: int) -> None:
    """Of fewer rows than features the smallest solution."""
    a, t = RNG.standard_normal((rows, 12)), RNG.standard_normal((rows, 3))
    theta, rank, error = found(a, t, block)
    wanted = np.linalg.pinv(a) @ t
    np.testing.assert_allclose(theta, wanted, atol=1e-10)
    assert rank == min(rows, 12)
    assert error == pytest.approx(((a @ wanted - t) ** 2).mean(), abs=1e-14)


@pytest.mark.parametrize("block", [1, 17, 300])
def test_a_column_of_ones_stands_behind_the_features(block: int) -> None:
    a, t = RNG.standard_normal((200, 12)), RNG.standard_normal((200, 3))
    squares = LeastSquares(12, 3, constant=True, rows=block)
    for start in range(0, 200, block):
        squares.add(np.c_[a, t][start : start + block])
    wanted = np.linalg.lstsq(np.c_[a, np.ones(200)], t)[0]
    np.testing.assert_allclose(squares.solution(1e-12).theta, wanted, atol=1e-10)
    assert squares.rows == 200


@pytest.mark.parametrize("columns", [1, 5, PANEL, 2 * PANEL + 3])
@pytest.mark.parametrize("rows", [1, 40, 300])
def test_a_triangle_is_that_of_all_its_rows(columns: int, rows: int) -> None:
    """R'^T R' = R^T R + B^T B, whatever the shapes, and columns of zeros."""
    b = RNG.standard_normal((3, rows, columns))
    b[..., columns // 2] = 0
    triangle = np.zeros((columns, columns))
    for block in b:
        absorb(triangle, block.copy())
    every = b.reshape(-1, columns)
    np.testing.assert_array_equal(np.tril(triangle, -1), 0)
    np.testing.assert_allclose(triangle.T @ triangle, every.T @ every, rtol=0, atol=1e-12 * len(every))


def test_what_is_cut_off_is_cut_off_as_numpy_does() -> None:
    u, _, vt = np.linalg.svd(RNG.standard_normal((60, 8)), full_matrices=False)
    a, t = (u * 10.0 ** -np.arange(8)) @ vt, RNG.standard_normal((60, 2))
    theta, rank, _ = found(a, t, 7, rcond=3e-4)
    assert rank == 4
    np.testing.assert_allclose(theta, np.linalg.pinv(a, rcond=3e-4) @ t, rtol=1e-8)


def test_features_beyond_the_reach_of_the_normal_equations() -> None:
    """A condition of 1e9 is 1e18 in its square, which float64 does not hold; the triangle keeps the numbers."""
    u, _, vt = np.linalg.svd(RNG.standard_normal((300, 10)), full_matrices=False)
    a = (u * np.geomspace(1, 1e-9, 10)) @ vt
    wanted = RNG.standard_normal((10, 2))
    theta, rank, _ = found(a, a @ wanted, 40, rcond=1e-13)
    gram = a.T @ a
    normal = np.linalg.pinv(gram, rcond=1e-15) @ (a.T @ (a @ wanted))
    assert rank == 10
    assert np.abs(theta - wanted).max() < 1e-5
    assert np.abs(normal - wanted).max() > 1e-2


def test_features_that_are_all_zero_have_the_solution_zero() -> None:
    theta, rank, error = found(np.zeros((9, 4)), np.ones((9, 1)), 4)
    assert (rank, error) == (0, 1.0)
    np.testing.assert_array_equal(theta, 0)
