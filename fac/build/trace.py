"""The forward pass as ops, and the state that it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fac.build.contract import made
from fac.plugins import misuse
from fac.program.kinds import Mode
from fac.program.lower import kind_of
from fac.program.program import INPUT, Node, Program
from fac.program.tensors import Tensor
from fac.step.builder import Builder
from fac.step.ir import Op, Phase, Value
from fac.step.types import SCALAR, DType, N, Type


class Trace:
    """One function under construction: its inputs as they are asked for, and the outputs of the nodes."""

    def __init__(self, program: Program, *, training: bool) -> None:
        """Write the forward pass.

        Args:
            program: without findings of the severity `error`.
            training: whether layers behave as in training (dropout).
        """
        self.program, self.training = program, training
        self.b = Builder()
        self.x = self.b.input("x", Type((N, *program.spec.input.shape)))
        self.state: dict[str, Value] = {}
        self.values: dict[str, Value] = {INPUT: self.x}
        self.contraction: dict[str, tuple[Op, int]] = {}
        self._step: Value | None = None
        for node in program.nodes:
            with self.b.at(node.name, Phase.FORWARD):
                self.values[node.name] = self._forward(node)
        self.output = self.values[program.output]

    @property
    def step(self) -> Value:
        """INT scalar input: how many steps were made before this one."""
        if self._step is None:
            self._step = self.b.scalar("step", DType.INT)
        return self._step

    def read(self, tensors: Sequence[Tensor]) -> Mapping[str, Value]:
        """State inputs by the last part of their names; each is made once."""
        found: dict[str, Value] = {}
        for tensor in tensors:
            if tensor.name not in self.state:
                self.state[tensor.name] = self.b.input(tensor.name, Type(tensor.shape))
            found[tensor.part] = self.state[tensor.name]
        return found

    def loss(self) -> Value:
        """The loss of the output against the input `y`, which is made here."""
        kind = kind_of("fac.losses", self.program.spec.loss)
        shape = self.output.type.shape
        y = self.b.input("y", Type(shape[:1], DType.INT) if kind.classes else Type(shape))
        with self.b.at("loss", Phase.FORWARD):
            loss = kind.forward(self.b, self.program.spec.loss, self.output, y)
            return self.b.named(made(kind.forward, loss, SCALAR, "loss"), "loss")

    def hits(self) -> Value | None:
        """INT -> FLOAT scalar: how many samples have their largest output at their label; None for regression."""
        y = next(value for value in self.b.inputs if value.name == "y")
        if y.type.dtype != DType.INT:
            return None
        with self.b.at("loss", Phase.FORWARD):
            same = self.b.cast(self.b.equal(self.b.argmax(self.output), y), DType.FLOAT)
            return self.b.named(self.b.sum(same, (0,)), "hits")

    def _forward(self, node: Node) -> Value:
        kind = kind_of("fac.layers", node.layer)
        parameters = self.read(node.tensors)
        mode = Mode(node.name, self.training, self.program.spec.train.seed, lambda: self.step)
        start = len(self.b.ops)
        inputs = [self.values[name] for name in node.inputs]
        value = kind.forward(self.b, node.layer, inputs, parameters, mode)
        assert node.shape is not None
        made(kind.forward, value, Type((N, *node.shape)), node.name, ", the shape of `infer`")
        if value in inputs:
            # A value of its own: a route to this node must not cut the other readers of the node below.
            value = self.b.emit("reshape", value, shape=value.type.shape)
        if node.contraction is not None:
            reader = self._reader(start, parameters[node.contraction])
            if reader is None:
                raise misuse(kind.forward, f"does not read the contraction `{node.contraction}`", node.name)
            self.contraction[node.name] = reader
        return self.b.named(value, node.name)

    def _reader(self, start: int, weight: Value) -> tuple[Op, int] | None:
        """The op that contracts with `weight`, if there is one, and which of its operands is the other one."""
        op = next((op for op in self.b.ops[start:] if weight in op.operands), None)
        return None if op is None else (op, 1 - op.operands.index(weight))
