"""The rules that set parameters from all training samples at once."""

from fac.solve.zorb import ZORB, Zorb

__all__ = ["KINDS", "Zorb"]

KINDS = (ZORB,)
