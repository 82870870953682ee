"""Kernels of what probes measure against what they say, in float64, whatever the size of the numbers."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fac.pipeline import compile
from fac.testing.nets import linear, spec
from fac_torch import kernels

Array = NDArray[np.float64]
RNG = np.random.default_rng(3)
XS, YS = ([RNG.standard_normal((5, *shape)) for shape in ((4,), (2, 3))] for _ in range(2))
TOLERANCE = {"float64": 1e-14, "float32": 1e-6}
SCALES = {"float64": (1.0, 2.0**-700, 2.0**700), "float32": (1.0, 2.0**-90, 2.0**90)}
EACH = pytest.mark.parametrize("precision", ["float64", "float32"])
INCREASING = [
    pytest.param(p, c, d, id=f"{p}-{c:.0e}-{d:.0e}") for p in SCALES for c in SCALES[p] for d in SCALES[p]
]


def tensors(arrays: Sequence[Array], precision: str, factor: float = 1.0) -> list[torch.Tensor]:
    return [torch.from_numpy((factor * array).astype(precision)) for array in arrays]


def stacked(arrays: Sequence[Array]) -> Array:
    """Sample by sample."""
    return np.concatenate([array.reshape(len(array), -1) for array in arrays], 1)


def by_row(xs: Sequence[Array], ys: Sequence[Array]) -> Array:
    x, y = stacked(xs), stacked(ys)
    found: Array = (x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    return found


@pytest.mark.parametrize(("precision", "c", "d"), INCREASING)
def test_cosines_do_not_see_scales(precision: str, c: float, d: float) -> None:
    """Squares of these are lost, or no numbers; powers of two change no digit of what is measured."""
    x, y = tensors(XS, precision, c), tensors(YS, precision, d)
    a, b = stacked(XS).ravel(), stacked(YS).ravel()
    found = kernels.cosine(x, y, 0.0)
    expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert float(found) == pytest.approx(expected, abs=TOLERANCE[precision])
    mean, deviation = kernels.sample_cosines(x, y, 0.0)
    each = by_row(XS, YS)
    assert float(mean) == pytest.approx(each.mean(), abs=TOLERANCE[precision])
    assert float(deviation) == pytest.approx(each.std(), abs=TOLERANCE[precision])
    plain = tensors(XS, precision), tensors(YS, precision)
    assert torch.equal(found, kernels.cosine(*plain, 0.0))
    assert torch.equal(torch.stack((mean, deviation)), torch.stack(kernels.sample_cosines(*plain, 0.0)))
    assert torch.equal(mean, kernels.sample_cosine(x, y, 0.0))
    assert torch.equal(deviation, kernels.sample_cosine_sd(x, y, 0.0))


@pytest.mark.parametrize(("precision", "c", "d"), [p for p in INCREASING if 1.0 in p.values])
def test_ratios_of_norms_and_shares_do_not_see_scales(precision: str, c: float, d: float) -> None:
    (x,), (y,) = tensors(XS[:1], precision, c), tensors(YS[:1], precision, d)
    expected = c / d * np.linalg.norm(XS[0]) / np.linalg.norm(YS[0])
    assert float(kernels.norm_ratio(x, y)) == pytest.approx(expected, rel=TOLERANCE[precision])
    p, onto = YS[0][:2], np.linalg.qr(YS[0][:2].T)[0]
    (rows,), errors = tensors([p], precision, d), tensors([XS[0], 2 * XS[0][:3]], precision, c)
    d_all = np.concatenate([XS[0], 2 * XS[0][:3]])
    share = np.square(d_all @ onto).sum() / np.square(d_all).sum()
    assert float(kernels.captured_energy(rows, errors)) == pytest.approx(share, abs=TOLERANCE[precision])


@EACH
def test_what_has_no_direction_has_no_cosine(precision: str) -> None:
    (x,), (y,), zero = tensors(XS[:1], precision), tensors(YS[:1], precision), torch.zeros(5, 4)
    zero = zero.to(x.dtype)
    length = float(torch.linalg.vector_norm(y))
    for value in (
        *(kernels.cosine([x], [zero], 0.0), kernels.cosine([zero], [y], 0.0), kernels.norm_ratio(x, zero)),
        *(kernels.cosine([x], [y], length * 1.01), kernels.sample_cosine([zero], [y], 0.0)),
        *(kernels.captured_energy(y[:2], [zero]), kernels.cosine([x * math.nan], [y], 0.0)),
    ):
        assert math.isnan(float(value))
    assert not math.isnan(float(kernels.cosine([x], [y], length * 0.99)))
    assert float(kernels.norm_ratio(zero, y)) == 0.0
    assert float(kernels.cosine([x], [-2 * x], 0.0)) == -1.0


@EACH
def test_samples_without_a_direction_do_not_count(precision: str) -> None:
    """One of x is zero, and one of y is below the floor."""
    x, y = XS[0].copy(), YS[0].copy()
    x[1], y[3] = 0.0, 1e-3 * y[3]
    (a,), (b,) = tensors([x], precision), tensors([y], precision)
    each = by_row([x[[0, 2, 4]]], [y[[0, 2, 4]]])
    mean, deviation = kernels.sample_cosines([a], [b], 0.01)
    assert float(mean) == pytest.approx(each.mean(), abs=TOLERANCE[precision])
    assert float(deviation) == pytest.approx(each.std(), abs=TOLERANCE[precision])


def test_a_probe_is_one_call_for_each_measure() -> None:
    """Of all that has a kernel; what two probes measure is computed once."""
    kinds = ("angle", "feedback_alignment", "captured_energy")
    probes = ({"kind": "alignment", "spread": True}, *({"kind": kind} for kind in kinds))
    layers = (linear("fc1", 4), linear("out", 3))
    made: Any = compile(spec(layers, {"rule": "ldfa", "rank": 2}, probes=probes), backend="torch")
    probe = made.source.partition("def probe")[2]
    calls = Counter(re.findall(r"kernels\.(\w+)", probe))
    assert calls == {
        "cross_entropy": 1,
        "cross_entropy_input": 1,
        "sample_cosines": 3,  # of each layer, and of both
        "cosine": 7,  # of errors and of gradients, and of the feedback
        "norm_ratio": 1,
        "captured_energy": 1,
    }
