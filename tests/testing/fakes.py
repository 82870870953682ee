"""Backends that are wrong in one way each: the reference, on functions that say something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from fac.backend import Artifact, Compiled, Precision
from fac.step.builder import Builder
from fac.step.feed import fed
from fac.step.ir import Function, Op, Value
from fac.step.reverse import Edits, Reverse
from fac_reference import BACKEND as REFERENCE


@dataclass
class Fake:
    """The reference with other functions, and without some ops."""

    change: Callable[[Compiled], Compiled] = lambda compiled: compiled
    without: frozenset[str] = frozenset()
    name: str = "fake"
    summary: str = "wrong on purpose"
    default_precision: Precision = "float64"

    def devices(self) -> tuple[str, ...]:
        """The CPU."""
        return ("cpu",)

    def ops(self, precision: Precision) -> frozenset[str]:
        """Those of the reference but the missing ones."""
        return REFERENCE.ops(precision) - self.without

    def emit(self, compiled: Compiled, precision: Precision) -> Artifact:
        """The changed functions."""
        return REFERENCE.emit(self.change(compiled), precision)


def backpropagation(compiled: Compiled) -> Compiled:
    """Plain SGD on gradients that autograd would give, whatever the spec says of errors."""
    known = compiled.evaluate
    b = Builder()
    b.reserve(value.name for value in (*known.inputs, *(op.result for op in known.ops)))
    b.inputs, b.ops = list(known.inputs), list(known.ops)
    loss = dict(known.outputs)["loss"]
    parameters = [value for value in known.inputs if not fed(value)]
    reverse = Reverse(b, loss, Edits(), frozenset(parameters))
    lr = b.scalar("lr")
    outputs = {"loss": loss}
    for parameter in parameters:
        gradient = reverse.cotangent(parameter)
        assert gradient is not None
        outputs[parameter.name] = b.sub(parameter, b.mul(gradient, lr))
    return replace(compiled, step=b.finish("step", outputs))


def rounded(compiled: Compiled) -> Compiled:
    """Whatever comes out is a millionth too large."""

    def changed(function: Function) -> Function:
        b = Builder()
        b.reserve(value.name for value in (*function.inputs, *(op.result for op in function.ops)))
        b.inputs, b.ops = list(function.inputs), list(function.ops)
        return b.finish(function.name, {name: b.mul(v, 1 + 1e-6) for name, v in function.outputs})

    return replace(compiled, forward=changed(compiled.forward), step=changed(compiled.step))


def in_place(compiled: Compiled) -> Compiled:
    """Each array of the state is overwritten as soon as its next value can be computed, though some read it later."""
    step = compiled.step
    maker = {op.result: op for op in step.ops}
    state = {value.name: value for value in step.inputs}
    moved: dict[Value, Value] = {}
    ops: dict[Value, Op] = {}

    def make(value: Value) -> None:
        if value in maker and value not in ops:
            for operand in maker[value].operands:
                make(operand)
            operands = tuple(moved.get(operand, operand) for operand in maker[value].operands)
            ops[value] = replace(maker[value], operands=operands)

    for name, value in step.outputs:
        make(value)
        if name in state:
            moved[state[name]] = value
    return replace(compiled, step=replace(step, ops=tuple(ops.values()), regions=()))
