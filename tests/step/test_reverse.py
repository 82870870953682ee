"""Reverse mode: sums over readers, built on demand, edited by routes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fac.step.builder import Builder
from fac.step.ir import Op, Origin, Phase, Value
from fac.step.reverse import Edits, Injection, NoDerivativeError, Reverse
from fac.step.types import DType, N, Type
from fac.step.verify import verify
from fac_reference.interpreter import run

X = Type((N, 3))
HERE = Origin("route", Phase.ERROR)
DATA = np.random.default_rng(0).standard_normal((4, 3))


def times(factor: float) -> Callable[[Builder, Value], Value]:
    """A feedback operator: factor * error."""
    return lambda b, error: b.mul(error, factor)


class Chain:
    """x -> a = -x -> c = 3 a -> d = 5 c -> loss = sum d, and a skip: loss also sums 7 a."""

    def __init__(self) -> None:
        self.b = Builder()
        self.x = self.b.input("x", X)
        self.a = self.b.named(self.b.neg(self.x), "a")
        self.c = self.b.named(self.b.mul(self.a, 3.0), "c")
        self.c_op = self.b.ops[-1]
        self.d = self.b.named(self.b.mul(self.c, 5.0), "d")
        skip = self.b.mul(self.a, 7.0)
        self.loss = self.b.sum(self.b.add(self.d, skip), (0, 1))
        self.forward = len(self.b.ops)

    def sweep(self, edits: Edits = Edits()) -> Reverse:  # noqa: B008 - frozen
        return Reverse(self.b, self.loss, edits, frozenset())

    def values(self, *cotangents: Value | None) -> list[float]:
        """The cotangents, each of which is one number everywhere."""
        found = {f"g{k}": g for k, g in enumerate(cotangents) if g is not None}
        function = self.b.finish("forward", found)
        verify(function)
        numbers = run(function, {"x": DATA}, np.dtype("float64"))
        arrays = [np.broadcast_to(numbers[name], DATA.shape) for name in found]
        assert all((array == array[0, 0]).all() for array in arrays)
        return [float(array[0, 0]) for array in arrays]

    @property
    def backward(self) -> list[str]:
        return [op.kind for op in self.b.ops[self.forward :]]


def test_cotangent_is_the_sum_over_readers() -> None:
    chain = Chain()
    reverse = chain.sweep()
    assert chain.values(reverse.cotangent(chain.a), reverse.cotangent(chain.x)) == [22.0, -22.0]


def test_one_op_that_reads_a_value_twice_counts_twice() -> None:
    b = Builder()
    x = b.input("x", X)
    loss = b.sum(b.mul(x, x), (0, 1))
    gradient = Reverse(b, loss, Edits(), frozenset()).cotangent(x)
    assert gradient is not None
    found = run(b.finish("forward", {"g": gradient}), {"x": DATA}, np.dtype("float64"))
    np.testing.assert_array_equal(found["g"], 2 * DATA)


def test_nothing_is_built_that_nobody_asked_for() -> None:
    chain = Chain()
    reverse = chain.sweep()
    assert chain.backward == ["constant"]
    reverse.cotangent(chain.d)
    below = {v for op in chain.b.ops[chain.forward :] for v in op.operands}
    assert chain.a not in below
    assert chain.backward.count("mul") == 0


def test_cotangents_are_built_once() -> None:
    chain = Chain()
    reverse = chain.sweep()
    first = reverse.cotangent(chain.a)
    size = len(chain.b.ops)
    assert reverse.cotangent(chain.a) is first
    assert len(chain.b.ops) == size


def test_none_where_no_error_arrives() -> None:
    b = Builder()
    x, aside = b.input("x", X), b.input("aside", X)
    b.neg(aside)
    reverse = Reverse(b, b.sum(x, (0, 1)), Edits(), frozenset())
    assert reverse.cotangent(aside) is None


def gate(b: Builder, x: Value) -> Value:
    """FLOAT 1 where x > 0: flat almost everywhere."""
    return b.cast(b.less(0.0, x), DType.FLOAT)


def labels(b: Builder, x: Value) -> Value:
    """The number of the largest entry, by way of two values that are not FLOAT."""
    return b.cast(b.emit("mul", b.argmax(x), b.constant(3)), DType.FLOAT)


def test_ways_that_do_not_lead_to_the_loss_need_no_derivative() -> None:
    b = Builder()
    x = b.input("x", X)
    labels(b, x)
    before = len(b.ops)
    reverse = Reverse(b, b.sum(b.neg(x), (0, 1)), Edits(), frozenset())
    assert reverse.cotangent(x) is not None
    assert not {op.kind for op in b.ops[before:]} & {"less", "argmax", "cast"}


def gated(b: Builder, x: Value, write: Callable[[Builder, Value], Value]) -> Value:
    """A loss that reads x, and what `write` makes of it."""
    with b.at("act", Phase.FORWARD):
        total = b.sum(write(b, x), (0,))
        return b.sum(b.mul(b.sum(x, (0, 1)), b.sum(total, range(len(total.type.shape)))), ())


@pytest.mark.parametrize(("write", "kind"), [(gate, "less"), (labels, "argmax")])
def test_where_the_loss_depends_on_a_value_by_an_op_without_a_derivative_is_an_error(
    write: Callable[[Builder, Value], Value], kind: str
) -> None:
    """Also where another way is differentiable: a part of a gradient is a wrong gradient."""
    b = Builder()
    x = b.named(b.neg(b.input("x", X)), "h")
    loss = gated(b, x, write)
    message = f"the error of `h` cannot go back through `{kind}` of layer `act`: its result moves in steps"
    with pytest.raises(NoDerivativeError, match=message):
        Reverse(b, loss, Edits(), frozenset()).cotangent(b.inputs[0])


@pytest.mark.parametrize("write", [gate, labels])
def test_stop_gradient_makes_a_constant_of_its_operand(write: Callable[[Builder, Value], Value]) -> None:
    b = Builder()
    x = b.input("x", X)
    loss = gated(b, x, lambda b, x: write(b, b.stop_gradient(x)))
    gradient = Reverse(b, loss, Edits(), frozenset()).cotangent(x)
    assert gradient is not None
    found = run(b.finish("stopped", {"g": gradient, "loss": loss}), {"x": DATA}, np.dtype("float64"))
    np.testing.assert_allclose(
        found["g"], np.broadcast_to(found["loss"] / DATA.sum(), DATA.shape), rtol=1e-12
    )


def test_nothing_is_built_behind_a_stopped_gradient() -> None:
    b = Builder()
    x = b.input("x", X)
    loss = b.sum(b.emit("exp", b.stop_gradient(x)), (0, 1))
    before = len(b.ops)
    assert Reverse(b, loss, Edits(), frozenset()).cotangent(x) is None
    assert [op.kind for op in b.ops[before:]] == ["constant"]


def test_what_a_route_cuts_needs_no_derivative() -> None:
    b = Builder()
    x = b.input("x", X)
    below = b.neg(x)
    above = b.neg(gate(b, below))
    edits = Edits(to={below: (Injection(above, times(1.0), HERE),)}, cut=frozenset({below}))
    reverse = Reverse(b, b.sum(above, (0, 1)), edits, frozenset())
    assert reverse.cotangent(x) is not None


def test_what_a_route_through_an_op_replaces_needs_no_derivative() -> None:
    b = Builder()
    x = b.input("x", X)
    mask = b.less(0.0, x)
    reads = (b.ops[-1], 1)
    above = b.neg(b.cast(mask, DType.FLOAT))
    edits = Edits(through={reads: (Injection(above, times(1.0), HERE),)})
    assert Reverse(b, b.sum(above, (0, 1)), edits, frozenset()).cotangent(x) is not None


def test_through_replaces_one_term() -> None:
    chain = Chain()
    edit = {(chain.c_op, 0): (Injection(chain.c, times(100.0), HERE),)}
    reverse = chain.sweep(Edits(through=edit))
    assert chain.values(reverse.cotangent(chain.a), reverse.cotangent(chain.c)) == [507.0, 5.0]


def test_two_through_edits_of_one_term_add() -> None:
    chain = Chain()
    edit = tuple(Injection(chain.c, times(k), HERE) for k in (100.0, 1.0))
    reverse = chain.sweep(Edits(through={(chain.c_op, 0): edit}))
    assert chain.values(reverse.cotangent(chain.a)) == [512.0]


def test_to_joins_the_sum() -> None:
    chain = Chain()
    reverse = chain.sweep(Edits(to={chain.a: (Injection(chain.d, times(100.0), HERE),)}))
    assert chain.values(reverse.cotangent(chain.a)) == [122.0]


def test_cut_drops_the_exact_sum_and_the_work() -> None:
    chain = Chain()
    edits = Edits(to={chain.a: (Injection(chain.d, times(100.0), HERE),)}, cut=frozenset({chain.a}))
    reverse = chain.sweep(edits)
    assert chain.values(reverse.cotangent(chain.x)) == [-100.0]
    names = [op.result.name for op in chain.b.ops[chain.forward :]]
    assert "c.error" not in names


def test_cut_drops_what_goes_through_a_reader_too() -> None:
    chain = Chain()
    edits = Edits(
        {(chain.c_op, 0): (Injection(chain.c, times(9.0), HERE),)},
        {chain.a: (Injection(chain.d, times(100.0), HERE),)},
        frozenset({chain.a}),
    )
    assert chain.values(chain.sweep(edits).cotangent(chain.a)) == [100.0]


def test_cut_without_anything_in_its_place_is_no_error() -> None:
    chain = Chain()
    assert chain.sweep(Edits(cut=frozenset({chain.a}))).cotangent(chain.x) is None


def test_injection_reads_routed_errors() -> None:
    """The source of a route is the error under the routing, not under backpropagation."""
    chain = Chain()
    edits = Edits(
        to={
            chain.c: (Injection(chain.d, times(10.0), HERE),),
            chain.x: (Injection(chain.c, times(1.0), HERE),),
        },
        cut=frozenset({chain.c, chain.x}),
    )
    assert chain.values(chain.sweep(edits).cotangent(chain.x)) == [10.0]


def test_errors_in_a_cycle_are_refused() -> None:
    chain = Chain()
    edits = Edits(to={chain.d: (Injection(chain.a, times(1.0), HERE),)})
    with pytest.raises(RuntimeError, match="depends on itself"):
        chain.sweep(edits).cotangent(chain.x)


def test_a_value_may_be_the_source_of_many() -> None:
    """Two routes from one source are no cycle, though the sweep comes by the source twice."""
    chain = Chain()
    edits = Edits(
        to={v: (Injection(chain.d, times(1.0), HERE),) for v in (chain.a, chain.c)},
        cut=frozenset({chain.a, chain.c}),
    )
    reverse = chain.sweep(edits)
    assert chain.values(reverse.cotangent(chain.a), reverse.cotangent(chain.c)) == [1.0, 1.0]


def test_identity_shares_the_source_and_renames_nothing() -> None:
    chain = Chain()
    edits = Edits(to={chain.a: (Injection(chain.d, lambda b, g: g, HERE),)}, cut=frozenset({chain.a}))
    reverse = chain.sweep(edits)
    source = reverse.cotangent(chain.d)
    assert reverse.cotangent(chain.a) is source


def test_a_loss_that_is_a_sum_of_losses() -> None:
    """Its vjp hands the seed itself on: the seed must keep its place among the ops."""
    b = Builder()
    x = b.input("x", X)
    first, second = b.sum(x, (0, 1)), b.sum(b.neg(x), (0, 1))
    reverse = Reverse(b, b.add(first, second), Edits(), frozenset())
    found = {"a": reverse.cotangent(first), "b": reverse.cotangent(second)}
    function = b.finish("forward", {name: value for name, value in found.items() if value is not None})
    verify(function)
    assert run(function, {"x": DATA}, np.dtype("float64")) == {"a": 1.0, "b": 1.0}


def test_phases_and_names_of_cotangents() -> None:
    b = Builder()
    x, w = b.input("x", X), b.input("w", Type((2, 3)))
    h = b.named(b.matmul(x, w, tb=True), "h")
    reverse = Reverse(b, b.sum(h, (0, 1)), Edits(), frozenset({w}), prefix="true.")
    found = [reverse.cotangent(w), reverse.cotangent(x)]
    made: dict[Value, Op] = {op.result: op for op in b.ops}
    assert [v.name for v in found if v] == ["true.w.gradient", "true.x.error"]
    assert [made[v].origin.phase for v in found if v] == [Phase.GRADIENT, Phase.ERROR]


def test_ten_thousand_layers() -> None:
    """An explicit stack: the recursion limit is no limit on depth."""
    b = Builder()
    value = x = b.input("x", X)
    for _ in range(10_000):
        value = b.neg(value)
    reverse = Reverse(b, b.sum(value, (0, 1)), Edits(), frozenset())
    assert reverse.cotangent(x) is not None
    assert sum(op.kind == "neg" for op in b.ops) == 20_000
    verify(b.finish("deep", {}))


def test_ten_thousand_integers_between_a_value_and_the_loss() -> None:
    b = Builder()
    x = b.input("x", X)
    value = b.argmax(x)
    for _ in range(10_000):
        value = b.neg(value)
    loss = b.sum(b.cast(value, DType.FLOAT), (0,))
    with pytest.raises(NoDerivativeError, match="argmax"):
        Reverse(b, loss, Edits(), frozenset()).cotangent(x)
