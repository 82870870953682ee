"""One layer that makes the cosine of all.

The inner product of all gradients stacked is the sum over the layers of |g| |t| cos(g, t), where |g| is the norm of a
layer's routed gradient and |t| that of its true one; divided by the norms of both stacks it is their cosine. So a layer
counts by its |g| |t|. Measured is its share in the sum of these, on a batch of training samples after the training; the
largest is shown. Above 90 % it is said, with the cosines of the others. Where large |g| meet small |t|, the cosine of
the stacks is low though that of each layer is 1.

The last layer receives its error exactly, and often has the largest gradient. A stacked cosine of .9 may then be the
last layer's alone, above hidden layers that point anywhere (after faeval, an audit of feedback alignment, 2026; the
threshold is ours). Read the cosines layer by layer: `probes: [alignment]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite, isnan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fac.audit.measured import Measured

NAME = "dominance"
THRESHOLD = 0.9


def shares(of: Measured) -> dict[str, float]:
    """The share of each layer in the sum of these products; nothing where fewer than two layers have one."""
    # as numbers near 1, for their squares may be none
    unit = [
        max((norm for norm in side.values() if isfinite(norm)), default=0) for side in (of.routed, of.true)
    ]
    if not all(unit):
        return {}
    weights = {name: of.routed[name] / unit[0] * (of.true[name] / unit[1]) for name in of.true}
    known = {name: weight for name, weight in weights.items() if weight > 0}
    if len(weights) < 2 or not known:
        return {}
    whole = sum(known.values())
    return {name: known.get(name, 0.0) / whole for name, weight in weights.items() if weight >= 0}


def largest(of: Measured) -> tuple[str, float] | None:
    """The layer with the largest of these shares; None where there is none."""
    return max(shares(of).items(), key=lambda item: item[1], default=None)


def said(of: Measured) -> Iterator[str]:
    """What is wrong."""
    found = largest(of)
    if found is not None and found[1] > THRESHOLD:
        name, share = found
        others = ", ".join(
            f"`{other}` {_cosine(cosine)}" for other, cosine in of.cosine.items() if other != name
        )
        yield f"`{name}` makes {100 * share:.0f} % of the cosine of all gradients; of the others it is {others}"


def _cosine(value: float) -> str:
    return "–" if isnan(value) else f"{value:.2f}"
