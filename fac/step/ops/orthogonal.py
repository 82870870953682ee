"""Newton-Schulz steps on a product of few rows, whose factors say more of it than it has numbers."""

from __future__ import annotations

from fac.step.ir import Op
from fac.step.ops.base import Attributes, OpDef, Without
from fac.step.types import DType, Type, TypeRuleError, numel


def rows_of(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """As the second of two matrices of equally many rows.

    Raises:
        TypeRuleError: they are not that, or not FLOAT; there is no step; or not three coefficients.
    """
    left, right = operands
    matrices = all(len(x.shape) == 2 and x.dtype == DType.FLOAT for x in operands)
    if not matrices or left.shape[0] != right.shape[0]:
        raise TypeRuleError(f"matrices of FLOAT with equally many rows are needed, not {left} and {right}")
    steps, coefficients = attributes["steps"], attributes["coefficients"]
    if not isinstance(steps, int) or steps < 1:
        raise TypeRuleError(f"at least one step is needed, not {steps}")
    if not isinstance(coefficients, tuple) or len(coefficients) != 3:
        raise TypeRuleError(f"a step has three coefficients, not {coefficients}")
    return right


def macs(op: Op, n: int) -> int:
    """Both Grams, H K, four products a step less those that the ends do not need, and Z R."""
    left, right = (v.type for v in op.operands)
    rows, steps = numel(left.shape[:1], n), op["steps"]
    assert isinstance(steps, int)
    return rows * (numel(left.shape, n) + 2 * numel(right.shape, n)) + (4 * steps - 2) * rows**3


UPDATES_ONLY = Without("that of a chain of polynomials is not written, because the op is for updates")

ORTHOGONAL = (
    # S [rows, k] of L [rows, m] and R [rows, k], so that L^T S is what `steps` steps X <- a X + (b G + c G G) X with
    # G = X X^T, the coefficients being (a, b, c), make of L^T R, divided by its norm first. Where rows of L depend on
    # each other there are several such S, and which it is says nothing.
    #
    # As S = Z R with a polynomial Z in J = H K, K = L L^T, H = R R^T. With ||L^T R||^2 = <K, H> and D = J / <K, H>, a
    # step is F = a I + b D + c D D, Z <- F Z, D <- F F D; Z starts as I / ||L^T R||. L^T R is the sum of the
    # products of a row of L and one of R, and where <K, H> <= `least` (sum of |l| |r|)^2 these cancel so far that Grams
    # know nothing of their sum: S is 0. The rounding of <K, H> is some epsilons of that square, however rows differ,
    # and a row that meets zeros counts for nothing in either. S is as small as L is large.
    #
    # Everything but L^T S is computed in double precision, whatever that of FLOAT: Grams have the squares of singular
    # values, and of what L and R do not have, which in float32 is rounding, five steps make a^5 in Z.
    OpDef(
        "newton_schulz_rows",
        rows_of,
        (UPDATES_ONLY, UPDATES_ONLY),
        frozenset({"steps", "coefficients", "least"}),
        macs,
    ),
)
