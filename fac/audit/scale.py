"""Activations that grow from layer to layer.

Measured is, for each hidden layer above the first, the root mean square of its output, behind its activation and
normalisation, over that of what it reads, on a batch of training samples after the training; the largest of them is
shown. Above 50 it is said.

Where a rule does not teach hidden layers what they are for, their weights may still grow: each step adds what arrives,
and nothing takes it back. Softmax then answers with certainty whatever it is shown. Trained by backpropagation
networks stay below 25; direct feedback that fails reaches hundreds or thousands, and 50 tells the two apart
(after faeval, an audit of feedback alignment, 2026, where it is the ratio of norms from block to block). A learning
rate of a tenth, normalisation, or feedback of a smaller scale mends it.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fac.audit.measured import Measured

NAME = "scale"
THRESHOLD = 50.0


def largest(of: Measured) -> tuple[str, float] | None:
    """The layer whose output has the largest scale beside what it reads; None where no ratio is a number."""
    known = {name: ratio for name, ratio in of.scale.items() if isfinite(ratio)}
    return max(known.items(), key=lambda item: item[1]) if known else None


def said(of: Measured) -> Iterator[str]:
    """What is wrong."""
    found = largest(of)
    if found is not None and found[1] > THRESHOLD:
        name, ratio = found
        times = f"{ratio:,.0f}" if ratio < 1e6 else f"{ratio:.2e}"
        yield f"activations grow {times}-fold in `{name}`, more than {THRESHOLD:g}"
