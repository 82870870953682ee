"""The update rules that ship."""

from fac.updates.adam import ADAM, ADAMW
from fac.updates.sgd import SGD

KINDS = (SGD, ADAM, ADAMW)
