"""The update rules that ship."""

from fac.updates.adam import ADAM, ADAMW, Adam, AdamW
from fac.updates.sgd import SGD, Sgd

__all__ = ["KINDS", "Adam", "AdamW", "Sgd"]

KINDS = (SGD, ADAM, ADAMW)
