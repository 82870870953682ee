"""The losses that ship."""

from fac.losses.cross_entropy import CROSS_ENTROPY
from fac.losses.mse import MSE

KINDS = (CROSS_ENTROPY, MSE)
