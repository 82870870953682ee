"""Short-hands of sign-symmetric feedback, layer by layer; the names of Sanfiz and Akrout 2021 (arXiv 2108.13446)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fac.feedback.rules import layerwise, through, unused_layerwise
from fac.feedback.sign import Sign
from fac.program.kinds import Expansion, RuleKind
from fac.program.program import Program
from fac.spec.feedback import ShortHand
from fac.spec.init import Init


class SignFeedback(ShortHand):
    """What the rules of signs share."""

    scale: float = Field(1.0, description="Factor on every feedback matrix.")


class UniformSign(SignFeedback):
    """Uniform sign-concordant feedback: the signs of W^T, all entries of one size (arXiv 1510.05067).

    Errors of `cross_entropy` sum to zero: a unit whose weights to the outputs all have one sign gets none.
    """

    rule: Literal["usf"] = "usf"
    size: Literal["spread", "fans", "one"] = Field("spread", description="That size, as for `sign`.")


class DrawnSign(SignFeedback):
    """What the rules share that draw sizes."""

    init: Init | Literal["like_forward"] = Field(
        "like_forward", description="The law of what is drawn. By default that of the forward weight."
    )


class FixedSign(DrawnSign):
    """Fixed random-magnitude sign-concordant feedback: the signs of W^T, and sizes that are drawn once."""

    rule: Literal["frsf"] = "frsf"


class BatchwiseSign(DrawnSign):
    """Batchwise random-magnitude sign-concordant feedback: the signs of W^T, and other sizes at every step."""

    rule: Literal["brsf"] = "brsf"


def expand_usf(rule: UniformSign, program: Program) -> Expansion:
    """Entries of one size."""
    return _past(rule, program, Sign(size=rule.size, scale=rule.scale))


def expand_frsf(rule: FixedSign, program: Program) -> Expansion:
    """Sizes that are drawn once."""
    return _past(rule, program, Sign(size="drawn", init=rule.init, scale=rule.scale))


def expand_brsf(rule: BatchwiseSign, program: Program) -> Expansion:
    """Sizes that are drawn at every step."""
    return _past(rule, program, Sign(size="redrawn", init=rule.init, scale=rule.scale))


def _past(rule: SignFeedback, program: Program, matrix: Sign) -> Expansion:
    """`through` each weighted node above something that learns."""
    return Expansion(tuple(through(node, matrix) for node in layerwise(rule, program)))


USF = RuleKind("usf", UniformSign, expand_usf, unused=unused_layerwise, changes=True)
FRSF = RuleKind("frsf", FixedSign, expand_frsf, unused=unused_layerwise, changes=True)
BRSF = RuleKind("brsf", BatchwiseSign, expand_brsf, unused=unused_layerwise, changes=True)
