"""True gradients that are too small to point along.

Measured is, for each weight that learns, the norm of its true gradient (that of backpropagation through the same
weights) on a batch of training samples after the training; that of the lowest layer is shown. Up to 1e-7 it is said,
and in the place of a cosine with it stands "–".

A cosine compares the routed gradient with the true one. Where units have saturated, or a network is certain of its
answers, the true gradient vanishes on its way down. What is left of it then is rounding, and a cosine with rounding
is chance, or an artefact of how a division by zero is avoided (after faeval, an audit of feedback alignment, 2026).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fac.audit.measured import Measured

NAME = "reference"
FLOOR = 1e-7


def lowest(of: Measured) -> tuple[str, float] | None:
    """The lowest layer that learns, and the norm of its true gradient; None where none learns."""
    return next(iter(of.true.items()), None)


def said(of: Measured) -> Iterator[str]:
    """What is wrong."""
    small = {name: norm for name, norm in of.true.items() if norm <= FLOOR}
    if small:
        name, norm = next(iter(small.items()))
        more = f" and of {len(small) - 1} more" if len(small) > 1 else ""
        yield f"the true gradient of `{name}`{more} has a norm of {norm:.1g}: a cosine with it means nothing"
