"""The update rules that ship."""

from fac.updates.adam import ADAM, ADAMW, Adam, AdamW
from fac.updates.muon import MUON, Muon
from fac.updates.rmsprop import RMSPROP, RmsProp
from fac.updates.sgd import SGD, Sgd

__all__ = ["KINDS", "Adam", "AdamW", "Muon", "RmsProp", "Sgd"]

KINDS = (SGD, ADAM, ADAMW, RMSPROP, MUON)
