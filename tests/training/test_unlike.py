"""Samples in other units than those of the training are told, with the likely cause; all others are not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fac.training.dataset import Split
from fac.training.scaling import Scaling, measured, of_bytes
from fac.training.stored import scaled
from fac.training.unlike import unlike

DRAW = np.random.default_rng(0)
IMAGES = DRAW.integers(0, 256, (300, 3, 4, 4)).astype(np.uint8)
IMAGES[..., 0, 0] = 0  # as the corners of many images are, which so have no deviation


def said(x: NDArray[np.generic], by: Scaling) -> str:
    made = scaled(Split(x), {"x": by}, "x", "float64", {"x": x.shape[1:]})
    return unlike(made.x, by, "`x`")


@pytest.mark.parametrize("pooled", [(), (1, 2), (0, 1, 2)])
def test_by_numbers_and_likely_cause(pooled: tuple[int, ...]) -> None:
    by = measured(IMAGES, pooled, "x")
    for few in (IMAGES, IMAGES[:20], IMAGES[:1], np.clip(IMAGES * 0.3, 0, 255)):
        assert not said(few, by)
    text = said(IMAGES / 255, by)
    had, now = (float(part.mean()) for part in (IMAGES, IMAGES / 255))
    assert f"a mean of {now:.3g} and" in text
    assert f"the training had a mean of {had:.3g} and" in text
    assert text.endswith("it seems to be divided by 255 already: give the bytes")
    ready = (IMAGES - IMAGES.mean()) / IMAGES.std()
    assert "it seems to be standardised already" in said(ready, by)
    back = measured(IMAGES / 255, pooled, "x")
    assert said(IMAGES, back).endswith("the training had these divided by 255: divide them")
    assert "give numbers in the units" in said(IMAGES * 1.0 + 1e4, by)


def test_bytes_that_are_divided_alone() -> None:
    assert not said(IMAGES, of_bytes())
    text = said(IMAGES / 255, of_bytes())
    assert "the training had bytes, from 0 to 255; it seems to be divided by 255 already" in text


def test_a_single_row_of_a_table_has_no_spread() -> None:
    rows = DRAW.normal(50, 3, (100, 2))
    by = measured(rows, (), "x")
    assert not said(rows[:1], by)
    assert said(rows[:1] * 100, by)
