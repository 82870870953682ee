"""The forward pass as ops, and the state that it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fac.build.contract import made, moved
from fac.plugins import misuse
from fac.program.feeds import inputs, targets
from fac.program.kinds import Made, Mode
from fac.program.lower import kind_of
from fac.program.products import contracted, leading, readers
from fac.program.program import Node, Program
from fac.program.tensors import Tensor
from fac.step.builder import Builder
from fac.step.contraction import Contraction
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
        self.state: dict[str, Value] = {}
        self.values: dict[str, Value] = {
            name: self.b.input(feed.name, feed.type) for name, feed in inputs(program).items()
        }
        self.targets: dict[str, Value] = {}
        """What the loss reads beside the output, by the names of the feeds; none before `loss` is asked for."""
        self.readers: dict[str, tuple[tuple[Op, int], ...]] = {}
        """For each weighted node which ops of its output read its weight, or a view of it, and as which operand."""
        self.moved: dict[str, Value] = {}
        """What follows in training on the statistics of layers, by their full names."""
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
        """The loss of the output against its target, an input that is made here."""
        kind = kind_of("fac.losses", self.program.spec.loss)
        self.targets = {feed.name: self.b.input(feed.name, feed.type) for feed in targets(self.program)}
        with self.b.at("loss", Phase.FORWARD):
            loss = kind.forward(self.b, self.program.spec.loss, self.output, self._y)
            return self.b.named(made(kind.forward, loss, SCALAR, "loss"), "loss")

    def weight(self) -> Value | None:
        """A scalar: what the loss is the mean over, if that is not the number of samples."""
        kind = kind_of("fac.losses", self.program.spec.loss)
        with self.b.at("loss", Phase.FORWARD):
            weight = kind.weight(self.b, self.program.spec.loss, self.output, self._y)
            return (
                None if weight is None else self.b.named(made(kind.weight, weight, SCALAR, "loss"), "weight")
            )

    @property
    def _y(self) -> Value:
        (y,) = self.targets.values()
        return y

    def hits(self) -> Value | None:
        """INT -> FLOAT scalar: how many samples have their largest output at their label; None for regression."""
        y = self._y
        if y.type.dtype != DType.INT:
            return None
        with self.b.at("loss", Phase.FORWARD):
            same = self.b.cast(self.b.equal(self.b.argmax(self.output), y), DType.FLOAT)
            return self.b.named(self.b.sum(same, (0,)), "hits")

    def _forward(self, node: Node) -> Value:
        kind = kind_of("fac.layers", node.layer)
        parameters = self._shown(node)
        training = self.training and not node.still
        mode = Mode(node.name, training, self.program.spec.train.seed, lambda: self.step)
        start = len(self.b.ops)
        inputs = [self.values[name] for name in node.inputs]
        said = kind.forward(self.b, node.layer, inputs, parameters, mode)
        value = said.value if isinstance(said, Made) else said
        assert node.shape is not None
        made(kind.forward, value, Type((N, *node.shape)), node.name, ", the shape of `infer`")
        if training:
            following = moved(kind.forward, said, node.state, node.name)
            names = {tensor.part: tensor.name for tensor in node.state}
            self.moved |= {names[part]: found for part, found in following.items()}
        if value in inputs:
            # A value of its own: a route to this node must not cut the other readers of the node below.
            value = self.b.emit("reshape", value, shape=value.type.shape)
        if node.weight is not None:
            own = leading(self.b.ops[start:], value)
            self.readers[node.name] = readers(own, parameters[node.weight.part])
            if not self.readers[node.name]:
                raise misuse(
                    kind.forward, f"makes its output without the weight `{node.weight.part}`", node.name
                )
        return self.b.named(value, node.name)

    def _shown(self, node: Node) -> Mapping[str, Value]:
        """What a layer reads of state: of what several share, statistics as those below left them.

        To what still learns elsewhere, a layer that is frozen hands no gradient.
        """
        found = dict(self.read(node.state))
        for tensor in node.state:
            if tensor.name in self.moved:
                found[tensor.part] = self.moved[tensor.name]
            elif tensor.trainable and not node.trainable:
                found[tensor.part] = self.b.stop_gradient(found[tensor.part])
        return found

    def contraction(self, name: str) -> Contraction:
        """The product of a weighted node with its weight.

        Raises:
            PluginError: the layer reads its weight in another way than `infer` and the ops allow.
        """
        node = self.program.by_name[name]
        assert node.weight is not None
        found = contracted(self.readers[name], node.weight)
        if isinstance(found, str):
            raise misuse(kind_of("fac.layers", node.layer).forward, found, name)
        return found

    def turns(self, name: str) -> bool:
        """Whether a weighted node multiplies with its weight in another order than that in which it is kept."""
        made = {op.result: op for op in self.b.ops}
        value = self.contraction(name).weight
        while value in made and made[value].kind in ("reshape", "stop_gradient"):
            (value,) = made[value].operands
        return value in made
