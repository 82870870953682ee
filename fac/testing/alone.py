"""A layer of its own, built and run without a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from fac.backend import Array
from fac.build.contract import made
from fac.plugins.guard import guarded
from fac.program.kinds import LayerKind, Made, Mode
from fac.program.lower import node_of
from fac.program.products import contracted, leading, readers
from fac.program.program import Node, Shape
from fac.program.tensors import Role, Tensor
from fac.step.builder import Builder
from fac.step.contraction import Contraction
from fac.step.ir import Origin, Phase, Value
from fac.step.reverse import Edits, Injection, Reverse
from fac.step.types import N, Type
from fac.testing.evaluated import evaluated

SAMPLES = 7
IT = "it"
"""What the layer is called."""


class Alone:
    """A layer of its own, run by the reference, in training if nothing else is said.

    Of several inputs all are the first one, with the sign of every other number turned in those that follow: so one
    factor scales all, and their products vanish in the mean. Masks are none of them: every other place counts.
    """

    def __init__(
        self, kind: LayerKind, layer: Any, shapes: Sequence[Shape], *, training: bool = True
    ) -> None:
        self.kind, self.layer, self.shapes, self.training = named(kind), layer, shapes, training
        self.facts = replace(kind.infer(layer, IT, list(shapes)), reads=tuple(shapes))
        self.rng = np.random.default_rng(0)
        size = (SAMPLES, *shapes[0])
        whole = None if kind.classes is None else getattr(layer, kind.classes)
        self.x: Array = self.rng.standard_normal(size) if whole is None else self.rng.integers(0, whole, size)
        self.state: dict[str, Array] = {t.name: self._drawn(t) for t in self.facts.tensors}

    @property
    def weight(self) -> str:
        """The name of its weight; empty if it has none."""
        return "" if self.facts.weight is None else self.facts.weight.name

    def output(
        self, x: Array, weights: float = 1, others: float = 1, turned: bool = True, biases: float = 1
    ) -> Array:
        """What it makes of x, with its weight multiplied by `weights`, and its other tensors by `others`.

        Of these, those that start at zero are multiplied by `biases` as well.
        """
        b = Builder()
        _, y = self.built(b)
        state = self._state(weights, others, turned)
        start = {t.name for t in self.facts.tensors if t.init == "zeros" and t.name != self.weight}
        return evaluated(b, y, x, {n: a * biases if n in start else a for n, a in state.items()})

    def made_of(self, inputs: Sequence[Array]) -> Array:
        """What it makes of a sample of several inputs that have nothing to do with each other."""
        b = Builder()
        _, y = self.built(b)
        own = {f"turn.{i}": array for i, array in enumerate(inputs)}
        found: Array = evaluated(b, y, np.ones((1, *self.shapes[0])), own | self.state)[0]
        return found

    def started(self, *, training: bool = True) -> Alone:
        """The layer with the gains, biases and averages with which it starts."""
        found = Alone(self.kind, self.layer, self.shapes, training=training)
        start = {"ones": 1.0, "zeros": 0.0}
        for tensor in self.facts.tensors:
            if isinstance(tensor.init, str) and tensor.init in start:
                found.state[tensor.name] = np.full(tensor.shape, start[tensor.init])
        return found

    def error(self, x: Array, g: Array) -> Array:
        """What it passes to its first input of an error g [*shape], the same for each sample, at x."""
        b = Builder()
        read, y = self.built(b)
        return self._passed(b, read, y, x, g, Edits())

    @property
    def passes(self) -> bool:
        """Whether an error at what it makes comes back to one of its inputs."""
        b = Builder()
        read, y = self.built(b)
        total = b.sum(y, range(len(y.type.shape)))
        return Reverse(b, total, Edits(), frozenset()).cotangent(read) is not None

    def _passed(self, b: Builder, read: Value, y: Value, x: Array, g: Array, edits: Edits) -> Array:
        passed = b.mul(y, b.input("g", Type(g.shape)))
        sent = Reverse(b, b.sum(passed, range(len(passed.type.shape))), edits, frozenset()).cotangent(read)
        assert sent is not None, "no error comes back"
        return evaluated(b, sent, x, {**self._state(1, 1, True), "g": g})

    def contraction(self, b: Builder) -> tuple[Contraction, Value, Value]:
        """Its product with the weight, what it reads first, and what it makes.

        Raises:
            AssertionError: there is no one product.
        """
        x, y = self.built(b)
        assert self.facts.weight is not None
        weight = next(value for value in b.inputs if value.name == self.weight)
        found = contracted(readers(leading(b.ops, y), weight), self.facts.weight)
        if not isinstance(found, Contraction):
            raise AssertionError(
                f"`{self.kind.name}` says that it multiplies with `{self.weight}`, and {found}"
            )
        return found, x, y

    def matrix(self) -> Array:
        """The weight [reads, writes] as it stands in the product."""
        b = Builder()
        return self.of(b, self.contraction(b)[0].matrix(b), self.x)

    def routed(self, g: Array) -> Array:
        """`error` at its own x, where a `through` route sends past W itself."""
        b = Builder()
        way, read, y = self.contraction(b)
        return self._passed(b, read, y, self.x, g, past(way, way.matrix))

    def built(self, b: Builder) -> tuple[Value, Value]:
        """What it reads first, and what it makes."""
        read, found = self.said(b, self.training)
        return read, found.value if isinstance(found, Made) else found

    def said(self, b: Builder, training: bool = True) -> tuple[Value, Value | Made]:
        """What it reads first, and what it returns: a value of the shape that it infers.

        Raises:
            PluginError: it returns something else.
        """
        x = b.input("x", Type((N, *self.shapes[0]), self.kind.dtype))
        inputs = [x]
        if self.kind.classes is None:
            inputs = [self._read(b, x, i, shape) for i, shape in enumerate(self.shapes)]
        own = {t.part: b.input(t.name, Type(t.shape)) for t in self.facts.tensors}
        mode = Mode(IT, training, 0, partial(b.constant, 3))
        found = self.kind.forward(b, self.layer, inputs, own, mode)
        value = found.value if isinstance(found, Made) else found
        made(self.kind.forward, value, Type((N, *self.facts.shape)), IT, ", the shape of `infer`")
        return inputs[0], found

    def _read(self, b: Builder, x: Value, number: int, shape: Shape) -> Value:
        turn = b.input(f"turn.{number}", Type(shape))
        if self._masks(number):
            return b.broadcast_to(turn, (N, *shape))
        return b.mul(_first(b, x, shape), turn)

    def _masks(self, number: int) -> bool:
        """Whether an input is a mask: what a layer reads beside others comes behind them."""
        marks, beside = type(self.layer).named(), tuple(self.layer.beside)
        place = number - len(self.shapes) + len(beside)
        return place >= 0 and marks[beside[place]].mask

    def of(self, b: Builder, value: Value, x: Array) -> Array:
        """A value that is not one of each sample."""
        wide = b.broadcast_to(value, (N, *value.type.shape))
        found: Array = evaluated(b, wide, x, self._state(1, 1, True))[0]
        return found

    def _drawn(self, tensor: Tensor) -> Array:
        """Of either sign, but for statistics that start with ones: those follow sizes."""
        found: Array = self.rng.standard_normal(tensor.shape)
        sizes = tensor.role is Role.STATISTIC and tensor.init == "ones"
        return 0.5 + np.abs(found) if sizes else found

    def _state(self, weights: float, others: float, turned: bool) -> dict[str, Array]:
        scaled = {
            name: array * (weights if name == self.weight else others) for name, array in self.state.items()
        }
        turns: dict[str, Array] = {}
        for i, shape in enumerate(self.shapes):
            masks = self._masks(i)
            odd = np.arange(prod(shape)).reshape(shape) % 2 * (masks or bool(i and turned))
            turns[f"turn.{i}"] = np.where(odd, 0.0 if masks else -1.0, 1.0)
        return scaled | turns


def past(way: Contraction, matrix: Callable[[Builder], Value]) -> Edits:
    """A `through` route: the error goes past the product by this matrix [reads, writes]."""

    def send(b: Builder, error: Value) -> Value:
        return way.sent(b, way.rows(b, error), matrix(b))

    injection = Injection(way.op.result, send, Origin(IT, Phase.ERROR))
    return Edits({(way.op, way.place): (injection,)})


def _first(b: Builder, x: Value, shape: Shape) -> Value:
    """The first numbers of each sample, as many as a smaller input has."""
    if x.type.shape[1:] == shape:
        return x
    rows = b.rows(x)
    (_, width), size = rows.type.shape, prod(shape)
    assert isinstance(width, int)
    return b.reshape(b.emit("crop", rows, before=(0, 0), after=(0, width - size)), (N, *shape))


def named(kind: LayerKind) -> LayerKind:
    """The kind, guarded as that of a plug-in is, so that what is wrong in it is told with its line."""
    package = kind.forward.__module__.partition(".")[0]
    guard: LayerKind = guarded(kind, package, package, "layer")
    return guard


def node(kind: LayerKind, layer: Any, shapes: Sequence[Shape]) -> Node:
    """The layer as a network has it that it reads these shapes in.

    Raises:
        AssertionError: it cannot read them, or what it infers is no description of a layer.
    """
    inputs = tuple(f"input.{i}" for i in range(len(shapes)))
    found = node_of(named(kind), layer, IT, inputs, dict(zip(inputs, shapes, strict=True)), ())
    if found.fault is not None:
        raise AssertionError(f"{found.fault.message}: {found.fault.help}")
    return found
