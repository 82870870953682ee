"""What changed in the meaning of a spec: the comparison as data, and one module for each form that people read."""

from fac.render.diff.alone import alone
from fac.render.diff.compare import compare
from fac.render.diff.difference import SECTIONS, Change, Difference, Figure, Item, Subject, Transport

__all__ = ["SECTIONS", "Change", "Difference", "Figure", "Item", "Subject", "Transport", "alone", "compare"]
