"""Activations where a formula loses digits or overflows: at zero, close to it, and far from it, against torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as functional

from fac.backend import Precision
from fac.pipeline import find_backend
from fac.plugins import kinds
from fac.program.kinds import Mode
from fac.step.builder import Builder
from fac.step.reverse import Edits, Reverse
from fac.step.types import N, Type
from fac.testing.case import Subject
from fac.testing.ops import forward_alone

POINTS = np.array([[0.0, 1e-8, -1e-8, 0.7, -0.7, 30.0, -30.0, 1e4, -1e4]])
LOST = {"reference": 0.0, "torch": 0.0, "onnx": 1e-13}
"""Absolute, in float64: what may be missing of a number that is nearly zero. onnxruntime's own `Sigmoid` rounds off
all but the first digits of a small value."""
Twin = Callable[[torch.Tensor], torch.Tensor]
TWINS: dict[str, tuple[str, dict[str, Any], Twin]] = {
    "sigmoid": ("sigmoid", {}, torch.sigmoid),
    "silu": ("silu", {}, functional.silu),
    "elu": ("elu", {}, functional.elu),
    "elu of 0.3": ("elu", {"alpha": 0.3}, lambda x: functional.elu(x, 0.3)),
    "elu of 1000": ("elu", {"alpha": 1e3}, lambda x: functional.elu(x, 1e3)),
    "selu": ("selu", {}, functional.selu),
    # From 40 on no digit of float64 tells log(1 + exp(x)) from x; torch's own default of 20 leaves 2e-9.
    "softplus": ("softplus", {}, lambda x: functional.softplus(x, 1, 40)),
    "softplus of 3": ("softplus", {"beta": 3}, lambda x: functional.softplus(x, 3, 40)),
    # Torch's own gradient has 1/6 in float32, whatever the precision.
    "hardsigmoid": ("hardsigmoid", {}, lambda x: functional.relu6(x + 3) / 6),
    "hardswish": ("hardswish", {}, functional.hardswish),
    "abs": ("abs", {}, torch.abs),
    "exp": ("exp", {}, torch.exp),
    "gelu by tanh": ("gelu", {"approximate": "tanh"}, lambda x: functional.gelu(x, approximate="tanh")),
    "erf": ("erf", {}, torch.erf),
    "pow of 3": ("pow", {"exponent": 3}, lambda x: torch.pow(x, 3)),
    "pow of -1": ("pow", {"exponent": -1}, torch.reciprocal),
    "pow of 0": ("pow", {"exponent": 0}, lambda x: torch.pow(x, 0)),
    "pow of a half": ("pow", {"exponent": 0.5}, lambda x: torch.pow(x, 0.5)),
    "sqrt": ("sqrt", {}, torch.sqrt),
    "clamp": ("clamp", {"min": 0, "max": 0.7}, lambda x: x.clamp(0, 0.7)),
    "clamp from above": ("clamp", {"max": -0.7}, lambda x: x.clamp(max=-0.7)),
    "softmax": ("softmax", {}, lambda x: functional.softmax(x, -1)),
}


ENDLESS = ("exp", "sqrt", "pow of -1", "pow of a half")
"""Those that are not a number everywhere."""


def found(name: str, backend: str, precision: Precision) -> tuple[Any, Any]:
    """Values at POINTS, and the gradient of their sum weighted by 1, 2, ..."""
    kind = next(k for k in kinds("fac.layers") if k.name == TWINS[name][0])
    subject = Subject(find_backend(backend), precision, "cpu")

    def run(derivative: bool) -> Any:
        b = Builder()
        x = b.input("x", Type((N, POINTS.shape[1])))
        mode = Mode("it", True, 0, lambda: b.constant(3))
        value = kind.forward(b, kind.spec(**TWINS[name][1]), [x], {}, mode)
        state = {}
        if derivative:
            state["w"] = np.arange(1.0, 1 + POINTS.shape[1])
            total = b.sum(b.mul(value, b.input("w", Type(state["w"].shape))), (0, 1))
            error = Reverse(b, total, Edits(), frozenset()).cotangent(x)
            assert error is not None
            value = error
        made = forward_alone(
            b.finish("forward", {"output": value}), POINTS.shape[1:], POINTS.shape[1:], state
        )
        return subject.open_functions(made).forward(POINTS)

    return run(False), run(True)


@pytest.mark.parametrize(
    ("name", "backend"),
    # onnxruntime has no float64 `Erf` on CPUs
    [(name, backend) for name in TWINS for backend in LOST if (name, backend) != ("erf", "onnx")],
)
def test_values_and_gradients_are_those_of_torch_to_the_last_digits(name: str, backend: str) -> None:
    x = torch.tensor(POINTS, requires_grad=True)
    y = TWINS[name][2](x)
    (dx,) = torch.autograd.grad((y * torch.arange(1.0, 1 + POINTS.shape[1])).sum(), x)
    scale = TWINS[name][1].get("alpha", 1.0)
    for ours, theirs in zip(found(name, backend, "float64"), (y, dx), strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-12, atol=LOST[backend] * scale)


@pytest.mark.parametrize("backend", LOST)
@pytest.mark.parametrize("name", [name for name in TWINS if name not in ENDLESS])
def test_nothing_overflows_in_float32(name: str, backend: str) -> None:
    """And what float64 finds is found, as far as float32 knows."""
    for single, double in zip(
        found(name, backend, "float32"), found(name, "reference", "float64"), strict=True
    ):
        assert np.isfinite(single).all()
        np.testing.assert_allclose(single, double, rtol=2e-6, atol=3e-7 * TWINS[name][1].get("alpha", 1.0))
