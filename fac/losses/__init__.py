"""The losses that ship."""

from fac.losses.bce import BCE, Bce
from fac.losses.cross_entropy import CROSS_ENTROPY, CrossEntropy
from fac.losses.huber import HUBER, Huber
from fac.losses.mse import MSE, Mse

__all__ = ["KINDS", "Bce", "CrossEntropy", "Huber", "Mse"]

KINDS = (CROSS_ENTROPY, BCE, MSE, HUBER)
