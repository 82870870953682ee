"""Products are routed whatever shape their weights are kept in, on every backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fac.layers.linear import LINEAR, infer
from fac.pipeline import find_backend
from fac.program.kinds import Facts
from fac.step.builder import Builder
from fac.step.contraction import Contraction, pretended, product
from fac.step.ir import Value
from fac.step.types import N, Type
from fac.testing.case import Subject
from fac.testing.laws import FA, UNIT, State, same, update
from fac.testing.layers import LAYERS
from fac.testing.nets import linear, spec
from fac.testing.products import exact_past

NAMES = [case.id for case in exact_past("vectors", LAYERS["linear"])]
EVERYWHERE = pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])


def kept(shape: Callable[..., tuple[int, ...]], view: Any) -> None:
    """Linear layers keep their weight in another shape, and bring it into that of the product in the forward pass."""

    def inferred(layer: Any, name: str, inputs: Any) -> Facts:
        facts = infer(layer, name, inputs)
        first, *rest = facts.tensors
        return replace(facts, tensors=(replace(first, shape=shape(*first.shape)), *rest))

    def forward(b: Builder, layer: Any, inputs: Any, state: Mapping[str, Value], mode: Any) -> Value:
        weight = view(b, state["weight"], (layer.out, inputs[0].type.shape[1]))
        y = b.matmul(inputs[0], weight, tb=True)
        return b.add(y, state["bias"]) if layer.bias else y

    object.__setattr__(LINEAR, "infer", inferred)
    object.__setattr__(LINEAR, "forward", forward)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = LINEAR.infer, LINEAR.forward
    yield
    for name, function in zip(("infer", "forward"), before, strict=True):
        object.__setattr__(LINEAR, name, function)


@EVERYWHERE
@pytest.mark.parametrize("name", NAMES)
def test_a_weight_that_is_kept_as_a_vector_is_routed_as_the_matrix_that_it_is(
    name: str, backend: str
) -> None:
    kept(lambda out, k: (out * k,), lambda b, w, shape: b.reshape(w, shape))
    case = next(case for case in exact_past("vectors", LAYERS["linear"]) if case.id == name)
    case.check(Subject(find_backend(backend), "float64", "cpu"))


@EVERYWHERE
def test_a_weight_that_is_kept_transposed_is_routed_as_the_matrix_that_it_is(
    backend: str,
) -> None:
    """Square layers, in which a weight the wrong way round has the right shape."""
    kept(lambda out, k: (k, out), lambda b, w, shape: b.transpose(w, (1, 0)))
    layers = (linear("fc1", 5), {"kind": "tanh"}, linear("fc2", 5), {"kind": "tanh"}, linear("out", 5))

    def sending(state: State) -> State:
        return state | {f"{n}.feedback.B": state[f"{n}.weight"].T.copy() for n in ("fc2", "out")}

    subject = Subject(find_backend(backend), "float64", "cpu")
    found = update(spec(layers, FA, UNIT), sending, subject)
    expected = update(spec(layers, update=UNIT), same, subject)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-12)


def test_a_direct_route_is_a_product_with_a_weight_that_there_is_not() -> None:
    b = Builder()
    x, error = b.input("x", Type((N, 3))), b.input("error", Type((N, 4)))
    way = pretended(x, 4)
    matrix = b.input("matrix", Type((2, 3)))
    rows = b.input("rows", Type((N, 2)))
    assert way.sent(b, rows, matrix).type == x.type
    assert way.taught(b, error).type == Type((4, 3))
    assert way.answer(b, matrix).type == rows.type
    assert way.weight not in {value for op in b.ops for value in op.operands}


def test_the_first_axis_of_the_weight_has_to_make_the_channels() -> None:
    """Where both ways round have the right shape, too."""
    x, weight = Value("x", Type((N, 4))), Value("weight", Type((4, 4)))
    right = product(x, weight)
    assert right.misfit() is None
    other_axis = replace(right.op, attributes=(("ta", False), ("tb", False)))
    rows_are_channels = replace(right.op, operands=(weight, x), result=Value("y", Type((4, N))))
    for wrong in (Contraction(other_axis, 0), Contraction(rows_are_channels, 1)):
        problem = wrong.misfit()
        assert problem is not None
        assert "of the weight does not make the channels" in problem
