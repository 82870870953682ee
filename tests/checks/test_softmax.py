"""The axis of a softmax layer: counted without the batch, from either end, and told where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fac.pipeline import compile
from fac.testing.nets import spec
from tests.checks.specs import NET, Layers, diagnosed


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_the_axis_is_one_of_a_sample(axis: int) -> None:
    layers = (
        {"kind": "softmax", "axis": axis},
        {"kind": "flatten"},
        {"kind": "linear", "name": "out", "out": 24},
    )
    session = compile(spec(layers, shape=(2, 3, 4)), "reference", "float64").open()
    session.load_state(session.state() | {"out.weight": np.eye(24), "out.bias": np.zeros(24)})
    x = np.random.default_rng(0).standard_normal((5, 2, 3, 4))
    wanted = torch.softmax(torch.tensor(x), axis % 3 + 1).numpy()
    np.testing.assert_allclose(session.forward(x), wanted.reshape(5, 24), rtol=1e-13)


@pytest.mark.parametrize("axis", [1, -2])
def test_an_axis_that_is_not_there(axis: int) -> None:
    softmax: dict[str, Any] = {"kind": "softmax", "name": "shares", "axis": axis}
    layers: Layers = (*NET[:3], softmax, NET[4])
    (finding,) = diagnosed(layers)
    assert (finding.rule.code, finding.path) == ("FAC203", ("layers", 3, "axis"))
    assert finding.message == f"`shares` goes along axis {axis}, and reads the shape [8]"
    assert finding.help == "use an axis from -1 to 0"
