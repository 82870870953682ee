"""Products are routed whatever shape their weights are kept in, on every backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import fac
from fac.layers.convolution import CONV2D
from fac.layers.linear import LINEAR, infer
from fac.pipeline import find_backend
from fac.plugins import PluginError
from fac.program.kinds import Facts, LayerKind
from fac.program.products import contracted
from fac.program.tensors import Tensor
from fac.step.builder import Builder
from fac.step.contraction import Contraction, pretended, product
from fac.step.ir import Value
from fac.step.types import N, Type
from fac.testing.case import Subject
from fac.testing.laws import FA, UNIT, State, same, update
from fac.testing.layers import LAYERS
from fac.testing.nets import RELU, batch, batches, conv2d, linear, spec
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


def behind(kind: LayerKind, more: Callable[[Builder, Value], Value]) -> None:
    """Layers of a kind do more with their product than to hand it on."""
    forward = kind.forward

    def whole(b: Builder, *given: Any) -> Value:
        y = forward(b, *given)
        assert isinstance(y, Value)
        return more(b, y)

    object.__setattr__(kind, "forward", whole)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = [(kind, kind.infer, kind.forward) for kind in (LINEAR, CONV2D)]
    yield
    for kind, inferred, forward in before:
        object.__setattr__(kind, "infer", inferred)
        object.__setattr__(kind, "forward", forward)


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


MORE: dict[str, Callable[[Builder, Value], Value]] = {
    "a curve": lambda b, y: b.emit("tanh", y),
    "a factor": lambda b, y: b.mul(y, 3.0),
    "two readers": lambda b, y: b.mul(y, b.emit("sigmoid", y)),
    "a mean beside it": lambda b, y: b.sub(y, b.reshape(b.mean(y, (1,)), (N, 1))),
}


@pytest.mark.parametrize("more", MORE)
@pytest.mark.parametrize("name", NAMES)
def test_what_a_layer_does_behind_its_product_stays_exact(name: str, more: str) -> None:
    """Operators read, and learn from, the error at the product, which is that of the layer in plain layers only."""
    behind(LINEAR, MORE[more])
    case = next(case for case in exact_past("vectors", LAYERS["linear"]) if case.id == name)
    case.check(Subject(find_backend("reference"), "float64", "cpu"))


@EVERYWHERE
def test_a_layer_may_lay_its_product_out_anew(backend: str) -> None:
    """Channels and rows of a map change places: as many of both, so that a mistake would fit."""
    behind(CONV2D, lambda b, y: b.transpose(y, (0, 2, 1, 3)))
    maps = [conv2d(name, 3, 3, padding=1) for name in ("c1", "c2")]
    layers = (*maps, {"kind": "tanh"}, {"kind": "flatten"}, linear("out", 3))
    for case in exact_past("turned maps", layers, (3, 3, 4)):
        if "normative" not in case.id:  # which only differs in how it learns
            case.check(Subject(find_backend(backend), "float64", "cpu"))


@pytest.mark.parametrize("learn", ["fixed", "kolen_pollack"])
def test_what_is_conserved_is_so_past_a_factor_behind_the_product(learn: str) -> None:
    behind(LINEAR, MORE["a factor"])
    layers = (linear("fc1", 8), RELU, linear("fc2", 6), RELU, linear("out", 3))
    data = spec(layers, {"rule": "fa", "learn": {"rule": learn}}, UNIT | {"lr": 1e-6})
    session = fac.compile(data, backend="reference").open()
    before = session.probe(*batch(7))
    session.step(*batch(7))
    after = session.probe(*batch(7))
    for node in ("fc1", "fc2"):
        assert before[f"{node}.balance"] < 1e-12
        # Of the second order in the rate: what is of the first would be 1e-6.
        assert abs(after[f"{node}.conserved"] - before[f"{node}.conserved"]) < 1e-8


def test_a_layer_without_one_product_learns_by_backpropagation_and_is_not_balanced() -> None:
    """Though it is homogeneous, as it says: no probe that nobody asked for may refuse it."""

    def forward(b: Builder, layer: Any, inputs: Any, state: Mapping[str, Value], mode: Any) -> Value:
        y = b.matmul(inputs[0], state["weight"], tb=True)
        return b.add(y, b.mul(b.sum(state["weight"], (1,)), 0.1))

    object.__setattr__(LINEAR, "forward", forward)
    layers = tuple(linear(name, 4, bias=False) for name in ("fc1", "fc2", "out"))
    session = fac.compile(spec(layers, update=UNIT), backend="reference").open()
    assert not any("balance" in name or "conserved" in name for name in session.probe(*batch(7, classes=4)))
    found = fac.check(spec(layers, probes=({"kind": "conservation"},)))
    (asked,) = (finding for finding in found if finding.rule.code == "FAC328")
    assert "`fc2` and `out` read their weights in another way than by one product" in asked.message


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


def test_the_weight_of_the_product_is_the_one_that_infer_says() -> None:
    x, weight = Value("x", Type((N, 4))), Value("weight", Type((3, 4)))
    op = product(x, weight).op
    said = Tensor("it.weight", (3, 4), "launay", 4, 3)
    assert contracted([(op, 1)], said) == Contraction(op, 0)
    assert contracted([(op, 1)], replace(said, shape=(4, 3))) == (
        "multiplies with f[3, 4], where `infer` says the weight [4, 3]"
    )
    assert contracted([(op, 1), (op, 1)], said) == (
        "reads the weight by `matmul` and `matmul`: a route through the layer replaces one product"
    )


def test_factors_are_not_drawn_from_a_weight_that_is_kept_the_other_way_round() -> None:
    kept(lambda out, k: (k, out), lambda b, w, shape: b.transpose(w, (1, 0)))
    layers = (linear("fc1", 5), linear("fc2", 5))
    local = spec(layers, {"rule": "ldfa", "rank": 2, "learn": "local"})
    with pytest.raises(PluginError, match="transposes its weight: the SVD is that of a weight kept as"):
        fac.compile(local, backend="reference")


def test_factors_are_set_anew_from_a_weight_that_is_kept_as_a_vector() -> None:
    """As from the matrix that it is: two networks, one of each sort, that are set anew twice."""
    data = spec(LAYERS["linear"], {"rule": "ldfa", "rank": 2, "learn": "normative", "refresh": 2}, UNIT)
    plain = fac.compile(data, backend="reference").open()
    start = plain.state()
    kept(lambda out, k: (out * k,), lambda b, w, shape: b.reshape(w, shape))
    flat = fac.compile(data, backend="reference").open()
    flat.load_state({name: start[name].reshape(array.shape) for name, array in flat.state().items()})
    for x, y in batches(7, 7, 7, 7, 7):
        plain.step(x, y)
        flat.step(x, y)
    found = flat.state()
    for name, array in plain.state().items():
        np.testing.assert_allclose(found[name].reshape(array.shape), array, rtol=0, atol=1e-10)


def test_a_weight_of_other_numbers_than_its_tensor_is_a_mistake_of_the_kind() -> None:
    def inferred(layer: Any, name: str, inputs: Any) -> Facts:
        facts = infer(layer, name, inputs)
        assert facts.weight is not None
        out, k = facts.weight.shape
        return replace(facts, weight=replace(facts.weight, shape=(out, k + 1)))

    object.__setattr__(LINEAR, "infer", inferred)
    (found,) = (f for f in fac.check(spec((linear("fc1", 3),))) if f.rule.code == "FAC402")
    assert "says the weight `fc1.weight` [3, 6], and the tensor [3, 5]: the same numbers" in found.message


def test_what_an_operator_captures_is_of_the_rows_that_it_reads() -> None:
    """At each place of a map: a P that is square loses nothing, and its rows share what there is."""
    layers = (conv2d("c1", 2, 2), conv2d("c2", 3, 2), {"kind": "flatten"}, linear("out", 3))
    data = spec(layers, {"rule": "ldfa", "rank": 3}, shape=(1, 4, 4), probes=({"kind": "captured_energy"},))
    session = fac.compile(data, backend="reference").open()
    whole = session.probe(*batch(7, (1, 4, 4)))
    assert whole["c2.feedback.P.captured_energy"] == pytest.approx(1, rel=1e-12)
    state = session.state()
    each = [np.eye(3)[[i, i, i]] for i in range(3)]
    shares = []
    for p in each:
        session.load_state(state | {"c2.feedback.P": p})
        shares.append(session.probe(*batch(7, (1, 4, 4)))["c2.feedback.P.captured_energy"])
    assert sum(shares) == pytest.approx(1, rel=1e-12)
    assert min(shares) > 0
