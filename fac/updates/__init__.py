"""The update rules that ship."""

from fac.updates.adam import ADAM, ADAMW, Adam, AdamW
from fac.updates.gram_orthogonal import GRAM_ORTHOGONAL, GramOrthogonal
from fac.updates.muon import MUON, Muon
from fac.updates.rmsprop import RMSPROP, RmsProp
from fac.updates.sgd import SGD, Sgd

__all__ = ["KINDS", "Adam", "AdamW", "GramOrthogonal", "Muon", "RmsProp", "Sgd"]

KINDS = (SGD, ADAM, ADAMW, RMSPROP, MUON, GRAM_ORTHOGONAL)
