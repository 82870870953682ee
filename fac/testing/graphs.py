"""Random step functions: what a plug-in may write, and no layer that ships does.

A state is read through reshapes and stretches of it, shared by products that read it as it is and transposed, and moved
by marked updates, by plain values, or to where another state was. Every output has to be as if all were read before any
was written. The same seed gives the same function everywhere: its number is in the name of its case.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from math import prod
from typing import Any

import numpy as np

from fac.backend import Compiled, Feed, Probing, Slot
from fac.passes import optimise
from fac.program.kinds import UpdateKind
from fac.step.builder import Builder
from fac.step.ir import Function, Phase, Value
from fac.step.types import Batch, DType, N, Shape, Type, numel
from fac.testing.case import Answers, Case, Subject, agreement
from fac.testing.nets import batches, state_of
from fac.testing.ops import starting_from
from fac.updates.adam import ADAM, ADAMW, Adam, AdamW
from fac.updates.sgd import SGD, Sgd

SEEDS = 24
"""How many belong to the suite."""
SHAPES: tuple[tuple[int, ...], ...] = (
    (12,),
    (3, 4),
    (4, 3),
    (2, 6),
    (1, 12),
    (12, 1),
    (4,),
    (1, 4),
    (3,),
    (1,),
)
"""Of states: most are reshapes of one another."""
RULES: tuple[tuple[UpdateKind, Any], ...] = (
    (SGD, Sgd(lr=0.1)),
    (SGD, Sgd(lr=0.1, momentum=0.9)),
    (SGD, Sgd(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)),
    (ADAM, Adam(lr=0.1, eps=0.1, weight_decay=0.01)),
    (ADAMW, AdamW(lr=0.1, eps=0.1)),
)
"""A large eps: at a gradient of rounding noise, Adam would make whole steps of it."""
FACTORS = (0.1, -0.5, 1 - 1e-10, -1 - 1e-9)
"""Of products. Two of them are 1 to float32, and to float64 are not."""
STATES = 6
OPS = 24


def cases() -> Iterator[Case]:
    """One for each seed."""
    for seed in range(SEEDS):
        yield agreement("step", f"random function {seed}", partial(results, seed))


def results(seed: int, subject: Subject) -> Answers:
    """Losses, read after the last step, and all that can be asked then."""
    session = subject.open_functions(functions(seed))
    given = batches(7, 7, 3, 7, shape=(4,), classes=None)
    losses: list[Any] = [session.step(x, y)["loss"] for x, y in given]
    found: dict[str, Any] = {f"loss of step {k}": float(loss) for k, loss in enumerate(losses)}
    x, y = given[0]
    found |= {f"probe {name}": value for name, value in session.probe(x, y).items()}
    return found | state_of(session) | {"forward": session.forward(x), **session.evaluate(x, y)}


def functions(seed: int) -> Compiled:
    """The four functions on one state."""
    rng = np.random.default_rng(seed)
    parameters = {f"s{k}": SHAPES[rng.integers(len(SHAPES))] for k in range(STATES)}
    rules = {name: RULES[rng.integers(len(RULES))] for name in parameters if rng.random() < 0.6}
    shapes = dict(parameters)
    for name, (kind, rule) in rules.items():
        shapes |= {f"{name}.{slot}": parameters[name] for slot in kind.slots(rule)}
    made = [_Graph(np.random.default_rng((seed, k)), shapes, y=k > 0) for k in range(4)]
    initial = {name: np.abs(rng.standard_normal(shape)) / 2 for name, shape in shapes.items()}
    forward, evaluate, step, probe = made
    measured = probe.finish("probe", {f"n{k}": probe.number() for k in range(3)})
    return Compiled(
        name=f"random {seed}",
        spec_hash="0" * 16,
        version="0",
        forward=forward.finish("forward", {"output": forward.of((N, 3))}),
        evaluate=evaluate.finish("evaluate", {"loss": evaluate.number()}),
        step=step.finish("step", {"loss": step.number(), **step.moved(rules)}),
        probing=Probing(lambda: (measured, ())),
        state=tuple(Slot(name, shape, name in parameters) for name, shape in shapes.items()),
        feeds=(Feed("x", (4,)), Feed("y", (3,), "none")),
        lr=0.1,
        initial=starting_from(initial),
    )


class _Graph:
    """One function under construction, and the values that it has so far."""

    def __init__(self, rng: np.random.Generator, shapes: dict[str, tuple[int, ...]], y: bool) -> None:
        self.rng, self.b = rng, Builder()
        batch = [("x", 4), ("y", 3)] if y else [("x", 4)]
        given = [self.b.input(name, Type((N, width))) for name, width in batch]
        self.state = {name: self.b.input(name, Type(shape)) for name, shape in shapes.items()}
        self.values = [*given, *self.state.values()]
        for _ in range(OPS):
            self.values.append(self.grown())

    def any(self, values: list[Any] | tuple[Any, ...]) -> Any:
        """One of them."""
        return values[self.rng.integers(len(values))]

    def grown(self) -> Value:
        """One op more, or a few, on values that are there; most of what is computed stays near 1."""
        value, b = self.any(self.values), self.b
        phases = (Phase.FORWARD, Phase.ERROR, Phase.GRADIENT, Phase.LEARN)
        with b.at(self.any(("a", "b")), self.any(phases)):
            match self.rng.integers(6):
                case 0:
                    return self.reshaped(value)
                case 1 if len(value.type.shape) == 1 and N not in value.type.shape:
                    return b.broadcast_to(value, (self.any((N, 2, 3)), *value.type.shape))
                case 2 | 3:
                    return self.product()
                case 4:
                    return self.elementwise(value)
            axis = int(self.rng.integers(len(value.type.shape)))
            if len(value.type.shape) == 1:
                return b.sum(b.mul(value, 0.1), (0,), keep=True)
            return b.sum(b.mul(value, 0.1), (axis,), keep=bool(self.rng.integers(2)))

    def reshaped(self, value: Value) -> Value:
        """The same numbers in another shape, the batch in front where it was."""
        shape = value.type.shape
        fixed = [dim for dim in shape if isinstance(dim, int)]
        batch = tuple(dim for dim in shape if isinstance(dim, Batch))
        if batch and not isinstance(shape[0], Batch):
            return self.b.neg(value)
        fitting = [s for s in (*SHAPES, (6,), (2, 3), (3, 2)) if prod(s) == prod(fixed)]
        target: Shape = (*batch, *(self.any(fitting) if fitting else tuple(fixed)))
        return self.b.reshape(value, target)

    def product(self) -> Value:
        """Of two matrices that fit, read as they are or transposed, kept small or scaled."""
        b = self.b
        matrices = [v for v in self.values if len(v.type.shape) == 2]
        found = [
            (left, right, ta, tb)
            for left, right, ta, tb in product(matrices, matrices, (False, True), (False, True))
            if left.type.shape[1 - ta] == right.type.shape[tb]
            and (left.type.shape[ta], right.type.shape[1 - tb]) != (N, N)
        ]
        left, right, ta, tb = self.any(found)
        made = b.matmul(left, right, ta=ta, tb=tb)
        vectors = [v for v in self.values if v.type.shape == made.type.shape[1:]]
        if vectors and self.rng.random() < 0.3:
            made = b.add(made, self.any(vectors))
        return b.emit("tanh", made) if self.rng.random() < 0.5 else b.mul(made, self.any(FACTORS))

    def elementwise(self, value: Value) -> Value:
        """Of two values of one shape or of one that stretches, or of one value."""
        b = self.b
        shape = value.type.shape
        others = [v for v in self.values if v.type.shape in (shape, shape[1:], (1,))]
        other = self.any(others)
        match self.rng.integers(6):
            case 0:
                return b.emit("tanh", b.add(value, other))
            case 1:
                return b.mul(value, b.emit("tanh", other))
            case 2:
                return b.emit("tanh", b.sub(value, other))
            case 3 if other.type.shape == shape:
                return b.emit("relu_input", value, other)
            case 4:
                return b.clamp(value, -0.5, 0.5)
        return b.emit("relu", value)

    def of(self, shape: Shape) -> Value:
        """A value of that shape: one that is there, or one of another shape made to fit."""
        b = self.b
        same = [v for v in self.values if v.type.shape == shape]
        fixed = [v for v in self.values if N not in v.type.shape]
        views = [v for v in fixed if N not in shape and numel(v.type.shape, 1) == numel(shape, 1)]
        value: Value = self.any(self.values)
        if same and self.rng.random() < 0.6:
            value = self.any(same)
        elif views and self.rng.random() < 0.7:
            value = b.reshape(self.any(views), shape)
        else:
            whole = b.sum(b.emit("tanh", value), range(len(value.type.shape)), keep=True)
            value = b.broadcast_to(b.mul(b.reshape(whole, (1,)), 0.05), shape)
        return value

    def number(self) -> Value:
        """A scalar, which may be a view of an array, or of a state."""
        ones = [v for v in self.values if all(dim == 1 for dim in v.type.shape)]
        if ones and self.rng.random() < 0.5:
            return self.b.reshape(self.any(ones), ())
        value = self.any(self.values)
        return self.b.mean(value, range(len(value.type.shape)))

    def moved(self, rules: dict[str, Any]) -> dict[str, Value]:
        """What the step returns for some of the states."""
        found: dict[str, Value] = {}
        lr, step = self.b.scalar("lr"), self.b.scalar("step", DType.INT)
        for name, value in self.state.items():
            if "." in name:
                continue
            with self.b.at(name, Phase.UPDATE):
                if name in rules:
                    kind, rule = rules[name]
                    slots = {slot: self.state[f"{name}.{slot}"] for slot in kind.slots(rule)}
                    gradient = self.of(value.type.shape)
                    done = kind.apply(self.b, rule, value, gradient, slots, lr, step)
                    found[name] = done.parameter
                    self.values.append(done.parameter)
                    found |= {f"{name}.{k}": v for k, v in done.slots.items()}
                elif self.rng.random() < 0.8:
                    next = self.of(value.type.shape)
                    found[name] = (
                        next if self.rng.random() < 0.6 else self.b.add(self.b.mul(value, 0.5), next)
                    )
        return {name: found[name] for name in self.rng.permutation(list(found))}

    def finish(self, name: str, outputs: dict[str, Value]) -> Function:
        """What a spec's function goes through, too; inputs that nothing reads are left out."""
        made = optimise(self.b.finish(name, outputs))
        kept = {"x", "y", *outputs, *(v.name for op in made.ops for v in op.operands)}
        kept.update(value.name for _, value in made.outputs)
        return replace(made, inputs=tuple(v for v in made.inputs if v.name in kept))
