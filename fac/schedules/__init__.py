"""The learning-rate schedules that ship."""

from fac.schedules.constant import CONSTANT, Constant
from fac.schedules.cosine import COSINE, Cosine
from fac.schedules.step import STEP, StepDecay

__all__ = ["KINDS", "Constant", "Cosine", "StepDecay"]

KINDS = (CONSTANT, COSINE, STEP)
