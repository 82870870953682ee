"""What the reference makes of a value that a kind, built alone, has written."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fac.backend import Array
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.testing.case import Subject
from fac.testing.ops import forward_alone

NEAR = 1e-10
"""Relative, in float64, on a dozen numbers of order one."""


def evaluated(b: Builder, value: Value, x: Array, state: Mapping[str, Array]) -> Array:
    """What the reference makes of a value [N, ...], N samples in `x`."""
    from fac.pipeline import find_backend

    used = {v.name: np.asarray(state[v.name], np.float64) for v in b.inputs if v.name != "x"}
    output = tuple(dim for dim in value.type.shape[1:] if isinstance(dim, int))
    classes = None if x.dtype.kind == "f" else int(x.max()) + 1
    made = forward_alone(b.finish("forward", {"output": value}), x.shape[1:], output, used, classes)
    return Subject(find_backend("reference"), "float64", "cpu").open_functions(made).forward(x)


def near(a: Array, b: Array) -> bool:
    """Whether two arrays are equal but for rounding."""
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=NEAR, atol=NEAR))
