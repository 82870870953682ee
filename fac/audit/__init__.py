"""What says that a number of a comparison means nothing: see docs/audit.md, which is made from these diagnostics."""

from fac.audit import depth, dominance, reference, scale
from fac.audit.measured import Measured, measured

DIAGNOSTICS = (scale, reference, dominance)
"""What is said of one network: each module is a page, and has `THRESHOLD` and `said(measured)`."""
COMPARED = (depth,)
"""What is said of the rows of a comparison."""

__all__ = ["COMPARED", "DIAGNOSTICS", "Measured", "measured"]
