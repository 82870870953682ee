"""The audit of a trained network: what `fac compare` looks at in each run, and `fac evaluate --audit` prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np

from fac.audit import Measured, dominance, measured, reference, said, scale
from fac.experiments.rows import MARK

if TYPE_CHECKING:
    from fac.backend import Session
    from fac.program.program import Program
    from fac.training.dataset import Split


def audited(session: Session, program: Program, split: Split) -> Measured | None:
    """What there is to look at, on a batch of samples at equal distances: files may be sorted by class.

    None of a network that is solved, which has no gradients.

    Args:
        session: of the program, trained; it is left as it is.
        program: whose network it is.
        split: its samples, as the network is fed with them.
    """
    count = min(len(split), program.spec.train.batch)
    rows = np.linspace(0, len(split) - 1, count).astype(np.int64)
    return measured(session, program, {name: array[rows] for name, array in split.arrays.items()})


def lines(found: Measured) -> Iterator[str]:
    """What was measured, and behind a mark what is wrong."""
    yield from (f"  {line}" for line in _figures(found))
    yield from (f" {MARK} {line}" for _, line in said(found))


def _figures(found: Measured) -> Iterator[str]:
    if grown := scale.largest(found):
        yield f"activations change in scale by {grown[1]:.3g} at most, in `{grown[0]}`"
    if lowest := reference.lowest(found):
        name, norm = lowest
        yield f"true gradient of `{name}`, the lowest: norm {norm:.3g}, cosine {cosine(found.cosine[name])}"
    if most := dominance.largest(found):
        yield f"cosine of all gradients {cosine(found.stacked)}, of which `{most[0]}` makes {100 * most[1]:.0f} %"


def cosine(value: float) -> str:
    """As text: "–" where there is none."""
    return "–" if isnan(value) else f"{value:.2f}"


def flat(found: Measured) -> dict[str, Any]:
    """As JSON has it."""
    return {**asdict(found), "said": [line for _, line in said(found)]}
