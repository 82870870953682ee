"""The losses that ship."""

from fac.losses.cross_entropy import CROSS_ENTROPY, CrossEntropy
from fac.losses.mse import MSE, Mse

__all__ = ["KINDS", "CrossEntropy", "Mse"]

KINDS = (CROSS_ENTROPY, MSE)
