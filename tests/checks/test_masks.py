"""Masks that leave nothing out, and masks that leave out all: what is said of them is what they do."""

from __future__ import annotations

import numpy as np
import pytest

from tests.checks.specs import NET, SGD, chain, diagnosed, found
from tests.rules.nets import batch, opened, spec


@pytest.mark.parametrize(
    ("per_unit", "law", "told"), [(4, "launay", True), (3, "launay", False), (4, "crafton", False)]
)
def test_a_mask_that_leaves_nothing_out_is_none(per_unit: int, law: str, told: bool) -> None:
    """What it brings then is what the matrix without it brings."""
    feedback = {"rule": "dfa", "init": law, "mask": {"per_unit": per_unit}}
    assert [f for f in found(feedback=feedback) if f[0] == "FAC314"] == [("FAC314", "feedback.mask")] * told
    moved = []
    for one in (feedback, {"rule": "dfa", "init": law}):
        session = opened(spec(NET, one, SGD, inputs=6))
        session.step(*batch(inputs=6, seed=1))
        moved.append(session.state()["fc1.weight"])
    assert (np.abs(moved[0] - moved[1]).max() < 1e-12) == told


@pytest.mark.parametrize(("density", "told"), [(1e-9, True), (0.01, True), (0.03, False)])
def test_a_mask_that_keeps_no_entry_brings_no_error(density: float, told: bool) -> None:
    """Of 8 x 4 entries: it says so where none is left more likely than not. Its size is then no matter of `scale`."""
    feedback = {"rule": "dfa", "mask": {"density": density}}
    findings = diagnosed(chain(8), feedback=feedback)
    assert [d.rule.code for d in findings] == ["FAC327"]
    assert ("no entry of the feedback of `fc1` is expected to be kept" in findings[0].message) == told
    moved = 0
    for seed in range(30):
        session = opened(spec(chain(8), feedback, SGD, inputs=6, seed=seed))
        before = session.state()["fc1.weight"]
        session.step(*batch(inputs=6))
        moved += bool(np.abs(session.state()["fc1.weight"] - before).any())
    assert (moved < 15) == told
