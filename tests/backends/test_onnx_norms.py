"""Norms in onnxruntime, of numbers whose squares float32 or float64 cannot hold."""

from __future__ import annotations

import numpy as np
import pytest

from fac.backend import Precision
from fac.step.builder import Builder
from fac.step.types import N, Type
from fac_onnx.emit import model
from fac_onnx.runtime import ort

SIZES = {"float32": (0.0, 1e-37, 1e-30, 1.0, 1e30, 1e37), "float64": (0.0, 1e-300, 1.0, 1e300)}


@pytest.mark.parametrize("nonzero", [False, True])
@pytest.mark.parametrize(
    ("precision", "size"), [(name, size) for name, sizes in SIZES.items() for size in sizes]
)
def test_no_square_is_lost(precision: Precision, size: float, nonzero: bool) -> None:
    """Of two operands, against NumPy's norm of numbers near 1; 1 in the place of 0 where it is a divisor."""
    b = Builder()
    given = {"x": b.input("x", Type((N, 4))), "v": b.input("v", Type((3,)))}
    function = b.finish("step", {"norm": b.norm(*given.values(), nonzero=nonzero)})
    rng = np.random.default_rng(0)
    near = {"x": rng.standard_normal((5, 4)), "v": rng.standard_normal(3)}
    session = ort.InferenceSession(
        model(function, precision, {}).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {name: (size * value).astype(precision) for name, value in near.items()})
    expected = size * np.sqrt(sum(np.sum(value**2) for value in near.values()))
    assert found == pytest.approx(expected or float(nonzero), rel=1e-6 if precision == "float32" else 1e-14)
