"""Direct random target projection (Frenkel, Lefebvre and Bol 2021, arXiv 1909.01311)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from fac.feedback.random import Random
from fac.feedback.random import unused as unused_mask
from fac.feedback.rules import direct, to, unused_direct
from fac.program.kinds import Expansion, RuleKind, Unused
from fac.program.program import LOSS, TARGETS, Program
from fac.spec.feedback import ERROR_SCALE, SHARED, ErrorScale, ShortHand
from fac.spec.init import Init, Mask


class TargetProjection(ShortHand):
    """Direct random target projection: targets, through random matrices, to all hidden layers (arXiv 1909.01311).

    E = -Y B^T / N with Y [N, C] one-hot and B [units, C]: of each sample one column of B, without a product. The last
    layer learns from its error. A layer waits for nothing above it, and its signal never vanishes, so that units should
    be bounded (`tanh`). Compare with `shallow`.
    """

    rule: Literal["drtp"] = "drtp"
    init: Init = Field("kaiming_uniform", description="Initial feedback matrices.")
    mask: Mask | None = Field(None, description="Keep some entries of every feedback matrix, as for `dfa`.")
    shared: bool = Field(False, description=SHARED)
    scale: float = Field(1.0, description="Factor on every feedback matrix.")
    sign: Literal["minus", "plus"] = Field(
        "minus",
        description="`minus`: targets as an error, whose sign they have. `plus`: as in the code of the authors, where "
        "read-outs grow against B.",
    )
    error_scale: ErrorScale = Field("mean", description=ERROR_SCALE)


def expand(rule: TargetProjection, program: Program) -> Expansion:
    """From the targets of each head above it `to` each site below a weight."""
    scale = rule.scale if rule.sign == "minus" else -rule.scale
    matrix = Random(init=rule.init, mask=rule.mask, shared=rule.shared, scale=scale)
    return Expansion(
        tuple(
            to(
                node,
                TARGETS if source == LOSS else f"{TARGETS}.{source}",
                matrix,
                error_scale=rule.error_scale,
            )
            for node, _, source in direct(rule, program)
        )
    )


def unused(rule: TargetProjection, program: Program) -> Iterator[Unused]:
    """Those of a direct rule, and of the matrix that it hands on."""
    yield from unused_direct(rule, program)
    yield from unused_mask(rule, program)


DRTP = RuleKind("drtp", TargetProjection, expand, unused=unused, changes=True, direct=True)
