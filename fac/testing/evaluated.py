"""What the reference makes of a value that a kind, built alone, has written."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fac.backend import Array, Compiled, Slot
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.testing.case import Subject
from fac.testing.ops import plain, starting_from

NEAR = 1e-10
"""Relative, in float64, on a dozen numbers of order one."""


def evaluated(b: Builder, value: Value, x: Array, state: Mapping[str, Array]) -> Array:
    """What the reference makes of a value [N, ...], N samples in `x`."""
    from fac.pipeline import find_backend

    used = {v.name: np.asarray(state[v.name], np.float64) for v in b.inputs if v.name != "x"}
    kept = used | {"weight": used.get("weight", np.ones(1))}
    output = tuple(dim for dim in value.type.shape[1:] if isinstance(dim, int))
    evaluate, step, probe = (plain(name, x.shape[1:], output) for name in ("evaluate", "step", "probe"))
    made = Compiled(
        name="declared",
        spec_hash="0" * 16,
        version="0",
        forward=b.finish("forward", {"output": value}),
        evaluate=evaluate,
        step=step,
        probe=probe,
        state=tuple(Slot(name, array.shape, name in used) for name, array in kept.items()),
        sample=x.shape[1:],
        output=output,
        classes=False,
        lr=0.1,
        initial=starting_from(kept),
    )
    return Subject(find_backend("reference"), "float64", "cpu").open_functions(made).forward(x)


def near(a: Array, b: Array) -> bool:
    """Whether two arrays are equal but for rounding."""
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=NEAR, atol=NEAR))
