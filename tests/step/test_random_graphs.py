"""Reverse mode on random graphs of differentiable ops, against finite differences of the interpreter in float64."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest

from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.ops import OPS
from fac.step.ops.base import Without
from fac.step.reverse import Edits, Reverse
from fac.step.types import DType, N, Shape, Type
from fac.step.verify import verify
from fac_reference.interpreter import run
from tests.step.op_cases import SAMPLES, concrete

SHAPES: tuple[Shape, ...] = ((N, 4), (N, 2, 2), (4, 4), (4,), (N, 1), (1, 4), ())
LENGTH = 18
SEEDS = 80
"""So many that each op comes up."""
STEP = 1e-5
TOLERANCE = 2e-8
"""Relative to the largest derivative. Central differences are off by STEP^2 times third derivatives; values are kept
within a few units. Found over 400 graphs: 1.3e-9."""

Rng = np.random.Generator


class Graph:
    """A random graph under construction: any value may be read again, so most of them are shared."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.b = Builder()
        self.labels = self.b.input("labels", Type((N,), DType.INT))
        self.values = [self.b.input(f"x{k}" if k else "x", Type(shape)) for k, shape in enumerate(SHAPES)]
        self.leaves = tuple(self.values)
        while len(self.values) < LENGTH + len(SHAPES):
            write = WRITE[self.rng.integers(len(WRITE))]
            made = write(self, self.any())
            self.values.append(self.b.emit("tanh", made) if self.rng.random() < 0.7 else self.bounded(made))
        self.loss = self.b.add(self.total(self.values[-1]), self.total(self.any()))

    def any(self, shape: Shape | None = None) -> Value:
        """A value that is there, by preference a late one; of that shape if one is given."""
        fitting = [v for v in self.values if shape is None or v.type.shape == shape]
        late = fitting[-6:] if self.rng.random() < 0.7 else fitting
        return late[self.rng.integers(len(late))]

    def bounded(self, x: Value) -> Value:
        """x / (1 + mean of x^2): as large as what went in, at most."""
        axes = range(len(x.type.shape))
        return self.b.div(x, self.b.add(self.b.mean(self.b.mul(x, x), axes), 1.0))

    def positive(self, x: Value) -> Value:
        """0.5 + x^2."""
        return self.b.add(self.b.mul(x, x), 0.5)

    def total(self, x: Value) -> Value:
        """A sum with unequal weights, so that no symmetry hides a mistake."""
        weights = self.b.emit("exp", self.b.mul(x, 0.3))
        return self.b.sum(self.b.mul(x, weights), range(len(x.type.shape)))

    def axes(self, x: Value) -> tuple[int, ...]:
        """Some axes, perhaps none."""
        return tuple(k for k in range(len(x.type.shape)) if self.rng.random() < 0.5)

    def coin(self) -> bool:
        """Either."""
        return bool(self.rng.random() < 0.5)


def elementwise(g: Graph, x: Value) -> Value:
    """Of two values that broadcast."""
    kind = str(g.rng.choice(["add", "sub", "mul", "div", "pow", "maximum", "minimum"]))
    y = next((v for v in (g.any() for _ in range(20)) if _broadcast(x, v)), x)
    if g.coin():
        x, y = y, x
    if kind == "div":
        return g.b.div(x, g.positive(y))
    return g.b.pow(g.positive(x), y) if kind == "pow" else g.b.emit(kind, x, y)


def _broadcast(x: Value, y: Value) -> bool:
    pairs = zip(reversed(x.type.shape), reversed(y.type.shape), strict=False)
    return all(a == b or 1 in (a, b) for a, b in pairs)


def unary(g: Graph, x: Value) -> Value:
    """Of one value."""
    kinds = [
        "neg",
        "abs",
        "exp",
        "erf",
        "sin",
        "cos",
        "relu",
        "tanh",
        "sigmoid",
        "gelu",
        "leaky_relu",
        "clamp",
        "elu",
    ]
    kind = str(g.rng.choice([*kinds, "gelu_tanh", "silu", "softplus", "hardsigmoid", "hardswish"]))
    settings: dict[str, dict[str, Any]] = {
        "leaky_relu": {"slope": 0.2},
        "clamp": {"low": -0.4, "high": 0.5},
        "elu": {"alpha": 0.7},
    }
    return g.b.emit(kind, x, **settings.get(kind, {}))


def either(g: Graph, x: Value) -> Value:
    """One of two values, by a third one."""
    y, mark = (g.any(x.type.shape) for _ in range(2))
    return g.b.where(g.b.less(g.b.stop_gradient(mark), 0.1), x, y)


def rooted(g: Graph, x: Value) -> Value:
    """Of a positive value."""
    return g.b.emit(str(g.rng.choice(["log", "sqrt"])), g.positive(x))


def backward(g: Graph, x: Value) -> Value:
    """What backward passes are made of, read by a forward pass."""
    kind = str(
        g.rng.choice(
            ["relu", "tanh", "sigmoid", "gelu", "gelu_tanh", "silu", "elu", "hardsigmoid", "hardswish"]
        )
    )
    y, settings = g.any(x.type.shape), {"alpha": 0.7} if kind == "elu" else {}
    steps = kind in ("relu", "hardsigmoid")
    return g.b.emit(f"{kind}_input", x, g.b.stop_gradient(y) if steps else y, **settings)


def reduced(g: Graph, x: Value) -> Value:
    """Over some axes, and often stretched again."""
    kind, axes = str(g.rng.choice(["sum", "mean", "max", "max_abs"])), g.axes(x)
    if kind == "mean" or not axes:
        return g.b.mean(x, axes)
    y = g.b.emit(kind, x, axes=axes, keep=True)
    return g.b.broadcast_to(y, x.type.shape) if g.coin() else y


def reshaped(g: Graph, x: Value) -> Value:
    """The same numbers in another shape: a matrix, a vector, or three axes."""
    shapes: dict[Shape, Shape] = {
        (N, 4): (N, 2, 2),
        (N, 2, 2): (N, 4),
        (4,): (1, 4),
        (1, 4): (4,),
        (4, 4): (2, 8),
    }
    return g.b.reshape(x, shapes.get(x.type.shape, x.type.shape))


def multiplied(g: Graph, x: Value) -> Value:
    """A product of matrices, each perhaps transposed, of rows of samples or of neither; or matrices transposed."""
    left, right = g.any((N, 4)), g.any((4, 4))
    if g.coin():
        return g.b.matmul(left, right, tb=g.coin())
    if g.coin():
        return g.b.transpose(g.any((N, 2, 2)), (0, 2, 1))
    if g.coin():
        return g.b.mul(g.b.matmul(left, g.any((N, 4)), ta=True), 0.2)
    return g.b.matmul(right, g.any((4, 4)), ta=g.coin(), tb=g.coin())


def convolved(g: Graph, x: Value) -> Value:
    """Maps of 2 x 2, a kernel of 2 x 2, in one of the three products of which each is the others' derivative."""
    window: dict[str, Any] = {"stride": (1, 1), "padding": (1, 0, 0, 1), "dilation": (1, 1), "groups": 1}
    maps = [g.b.reshape(g.any((N, 4)), (N, 1, 2, 2)) for _ in range(2)]
    kernel = g.b.reshape(g.any((4,)), (1, 1, 2, 2))
    match str(g.rng.choice(["conv2d", "conv2d_input", "conv2d_weight", "unfold", "bmm"])):
        case "conv2d":
            return g.b.reshape(g.b.emit("conv2d", maps[0], kernel, **window), (N, 4))
        case "conv2d_input":
            return g.b.reshape(g.b.emit("conv2d_input", maps[0], kernel, size=(2, 2), **window), (N, 4))
        case "conv2d_weight":
            made = g.b.emit("conv2d_weight", maps[0], maps[1], kernel=(2, 2), **window)
            return g.b.mul(g.b.reshape(made, (4,)), 0.2)
        case "unfold":
            columns = g.b.emit("tanh", g.b.emit("unfold", maps[0], kernel=(2, 2), **window))
            again = g.b.emit("fold", columns, shape=(N, 1, 2, 2), kernel=(2, 2), **window)
            return g.b.reshape(again, (N, 4))
    return g.b.bmm(g.any((N, 2, 2)), g.any((N, 2, 2)), ta=g.coin(), tb=g.coin())


def inner(g: Graph, x: Value) -> Value:
    """A scalar from two values."""
    y = g.any(x.type.shape)
    return g.b.dot(x, y) if g.coin() or not x.type.shape else g.b.norm(x, y)


def normalised(g: Graph, x: Value) -> Value:
    """Softmax and its losses."""
    logits = g.any((N, 4))
    if g.coin():
        return g.b.emit("softmax", logits, axis=1) if g.coin() else g.b.emit("log_softmax", logits)
    if g.coin():
        return g.b.emit("cross_entropy", logits, g.labels)
    return g.b.emit("cross_entropy_input", g.any(()), logits, g.labels)


def pooled(g: Graph, x: Value) -> Value:
    """The largest of a map, put elsewhere in another one."""
    window: dict[str, Shape] = {"kernel": (2, 2), "stride": (1, 1), "padding": (1, 1)}
    one, other = (g.b.reshape(g.any((N, 2, 2)), (N, 1, 2, 2)) for _ in range(2))
    if g.coin():
        made = g.b.emit("max_pool2d", one, **window)
    else:
        at = g.b.emit("max_pool2d_index", g.b.stop_gradient(one), **window)
        made = g.b.emit("unpick", g.b.emit("pick", other, at), at, shape=(N, 1, 3, 3))
    return g.b.reshape(g.b.emit("crop", made, before=(0, 0, 0, 1), after=(0, 0, 1, 0)), (N, 2, 2))


def resampled(g: Graph, x: Value) -> Value:
    """A map at another size, and back."""
    kinds: dict[str, dict[str, Any]] = {
        "avg_pool2d": {"kernel": (2, 2), "stride": (1, 2), "padding": (1, 0)},
        "adaptive_avg_pool2d": {"size": (3, 1)},
        "upsample2d": {"factor": (2, 1), "mode": "bilinear"},
    }
    kind = str(g.rng.choice(list(kinds)))
    one = g.b.reshape(g.any((N, 2, 2)), (N, 1, 2, 2))
    made = g.b.emit("tanh", g.b.emit(kind, one, **kinds[kind]))
    return g.b.reshape(g.b.emit(f"{kind}_input", made, shape=(N, 1, 2, 2), **kinds[kind]), (N, 2, 2))


def joined(g: Graph, x: Value) -> Value:
    """Parts of two values side by side, or a part among zeros."""
    ends: dict[str, Shape] = {"before": (0, 0, 1), "after": (0, 0, 0)}
    part = g.b.emit("crop", g.any((N, 2, 2)), **ends)
    if g.coin():
        return g.b.emit("pad", part, **ends)
    return g.b.emit("concat", part, g.b.reshape(g.any((N, 4)), (N, 2, 2)), part, axis=2)


def standardised(g: Graph, x: Value) -> Value:
    """Over samples or along the last axis; the backward pass of that, too, as a function of the error."""
    x, scale, axis = g.any((N, 4)), g.any((4,)), int(g.coin())
    if g.coin():
        return g.b.variance(x, (axis,))
    how: dict[str, Any] = {"axes": (axis,), "eps": 0.3}
    if g.coin():
        return g.b.emit("normalize", x, scale, g.any((4,)), **how)
    x = g.b.emit("tanh", g.b.mul(g.b.cast(g.b.iota((N, 4)), DType.FLOAT), 0.2))  # made of no leaf
    given = g.any((N, 4)), x, g.b.mean(x, (axis,)), g.b.variance(x, (axis,))
    if g.coin():
        return g.b.emit("normalize_scale", *given, **how, shape=(4,))
    return g.b.emit("normalize_input", *given, g.b.broadcast_to(g.b.constant(0.7), (4,)), **how)


def attended(g: Graph, x: Value) -> Value:
    """Two tokens that look at each other, or the second at both."""
    q, k, v = (g.any((N, 2, 2)) for _ in range(3))
    return g.b.emit("attend", q, k, v, heads=2, kv_heads=2, causal=g.coin())


def looked_up(g: Graph, x: Value) -> Value:
    """Rows of a matrix by the labels, and sums of rows; a product with a matrix of one entry in each row."""
    if g.coin():
        entries, columns = g.b.reshape(g.any((4,)), (4, 1)), g.b.iota((4, 1))
        if g.coin():
            return g.b.emit("sparse_matmul_input", g.any((N, 4)), entries, columns, columns=4)
        if g.coin():
            made = g.b.emit("sparse_matmul_values", g.any((N, 4)), g.any((N, 4)), columns)
            return g.b.mul(g.b.reshape(made, (4,)), 0.2)
        return g.b.emit("sparse_matmul", g.any((N, 4)), entries, columns)
    if g.coin():
        return g.b.emit("gather", g.any((4, 4)), g.labels)
    return g.b.mul(g.b.emit("scatter", g.any((N, 4)), g.labels, rows=4), 0.2)


WRITE: tuple[Callable[[Graph, Value], Value], ...] = (
    *(elementwise, elementwise, unary, unary, either, rooted, backward),
    *(reduced, reduced, reshaped, multiplied, multiplied, inner, normalised),
    *(pooled, resampled, joined, convolved, standardised, attended, looked_up),
)


def inputs_of(graph: Graph) -> dict[str, Any]:
    """Of every leaf."""
    found: dict[str, Any] = {"labels": graph.rng.integers(0, 4, SAMPLES)}
    for leaf in graph.leaves:
        value = graph.rng.uniform(-1.2, 1.2, concrete(leaf.type.shape))
        found[leaf.name] = value if leaf.type.shape else float(value)
    return found


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_gradient_of_a_random_graph_is_its_derivative(seed: int) -> None:
    """Along three random directions per leaf: a gradient in the wrong place, or transposed, has another product."""
    graph = Graph(seed)
    before = graph.b.finish("forward", {"loss": graph.loss})
    inputs = inputs_of(graph)
    reverse = Reverse(graph.b, graph.loss, Edits(), frozenset())
    found = {leaf.name: reverse.cotangent(leaf) for leaf in graph.leaves}
    assert any(found.values())
    function = graph.b.finish("backward", {name: g for name, g in found.items() if g is not None})
    verify(function)
    gradients = run(function, inputs, np.dtype("float64"))

    def loss(name: str, shift: Any) -> float:
        moved = inputs | {name: inputs[name] + shift}
        return float(run(before, moved, np.dtype("float64"))["loss"])

    def slope(name: str, way: Any, step: float) -> float:
        return (loss(name, step * way) - loss(name, -step * way)) / (2 * step)

    jumps = 0
    for leaf in graph.leaves:
        gradient = gradients.get(leaf.name, np.zeros(concrete(leaf.type.shape)))
        scale = 1 + np.abs(gradient).max() * prod(concrete(leaf.type.shape))
        for _ in range(3):
            direction = graph.rng.uniform(-1, 1, concrete(leaf.type.shape))[()]
            found_slope = slope(leaf.name, direction, STEP)
            # at a jump, such as of which entry is the largest, the difference grows as the step shrinks
            if abs(slope(leaf.name, direction, STEP / 2)) > 1.5 * abs(found_slope) + TOLERANCE * scale:
                jumps += 1
                continue
            assert abs(found_slope - np.sum(gradient * direction)) <= TOLERANCE * scale, leaf.name
    assert jumps <= 3


def test_random_graphs_hold_every_op_that_has_a_derivative() -> None:
    smooth = {k for k, op in OPS.items() if op.vjp and not isinstance(op.derivative(0), Without)}
    kinds = {op.kind for seed in range(SEEDS) for op in Graph(seed).b.ops}
    assert smooth - kinds == {"leaky_relu_input", "project"}
