"""What says that a number of a comparison means nothing: see docs/audit.md, which is made from these diagnostics."""

from collections.abc import Iterator

from fac.audit import depth, dominance, reference, scale
from fac.audit.measured import Measured, measured

DIAGNOSTICS = (scale, reference, dominance)
"""What is said of one network: each module is a page, and has `THRESHOLD` and `said(measured)`."""
COMPARED = (depth,)
"""What is said of the rows of a comparison."""


def said(of: Measured | None) -> Iterator[tuple[str, str]]:
    """(diagnostic, what is wrong) of a network that was looked at."""
    if of is not None:
        yield from ((module.NAME, line) for module in DIAGNOSTICS for line in module.said(of))


__all__ = ["COMPARED", "DIAGNOSTICS", "Measured", "measured", "said"]
