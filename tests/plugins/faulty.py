"""A plug-in of the tests: kinds with one mistake each. The word "here" stands on the line that is to be named."""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, tanh
from typing import Any, Literal

from pydantic import create_model, field_validator

from fac.layers import Relu
from fac.program.kinds import (
    BlockKind,
    Facts,
    LayerKind,
    Learned,
    LearningKind,
    LossKind,
    Made,
    MatrixKind,
    ProbeKind,
    RuleKind,
    Updated,
    UpdateKind,
)
from fac.program.program import Node
from fac.program.tensors import Role, Tensor
from fac.program.traits import Curve
from fac.spec.base import Model
from fac.spec.feedback import Learning, Matrix, ShortHand
from fac.spec.layers import Layer, Loss, WeightedLayer
from fac.spec.updates import Rule

KNOWN: dict[str, Facts] = {}


def model(base: type[Model], name: str, key: str = "kind") -> type[Model]:
    """A model that is told apart by its name."""
    tag: dict[str, Any] = {key: (Literal[name], name)}
    return create_model(name, __base__=base, __module__=__name__, **tag)


def same(layer: Any, name: str, inputs: Any) -> Facts:
    """The shape of the input."""
    return Facts(inputs[0])


def passed_on(b: Any, layer: Any, inputs: Any, state: Any, mode: Any) -> Any:
    """The input."""
    return inputs[0]


# -- layers ---------------------------------------------------------------------------------------------------------


def infer_raises(layer: Any, name: str, inputs: Any) -> Facts:
    return KNOWN["shape"]  # here


def infer_returns_a_shape(layer: Any, name: str, inputs: Any) -> Any:  # here
    return inputs[0]


def infer_says_a_list(layer: Any, name: str, inputs: Any) -> Facts:  # here
    return Facts([6])  # type: ignore[arg-type]


def infer_calls_tensors_wrongly(layer: Any, name: str, inputs: Any) -> Facts:  # here
    return Facts(inputs[0], (Tensor("scale", inputs[0], "ones"),))


def infer_says_an_axis(layer: Any, name: str, inputs: Any) -> Facts:  # here
    return Facts(inputs[0], channels=1)


def infer_names_no_tensor(layer: Any, name: str, inputs: Any) -> Facts:  # here
    return Facts(inputs[0], (), Tensor(f"{name}.weight", (6, 6), "kaiming_uniform"))


def infer_says_a_vector(layer: Any, name: str, inputs: Any) -> Facts:  # here
    tensor = Tensor(f"{name}.weight", (36,), "kaiming_uniform", 6, 6)
    return Facts(inputs[0], (tensor,), tensor)


def weight(layer: Any, name: str, inputs: Any) -> Facts:
    tensor = Tensor(f"{name}.weight", (6, 6), "kaiming_uniform", 6, 6)
    return Facts(inputs[0], (tensor,), tensor)


def forward_does_not_fit(b: Any, layer: Any, inputs: Any, state: Any, mode: Any) -> Any:
    return helper(b, inputs[0])


def helper(b: Any, x: Any) -> Any:
    return b.matmul(x, x)  # here


def forward_knows_no_op(b: Any, layer: Any, inputs: Any, state: Any, mode: Any) -> Any:
    return b.emit("swish", inputs[0])  # here


def forward_returns_nothing(b: Any, layer: Any, inputs: Any, state: Any, mode: Any) -> Any:  # here
    return None


def forward_returns_integers(b: Any, layer: Any, inputs: Any, state: Any, mode: Any) -> Any:  # here
    return b.iota(inputs[0].type.shape)


def forward_scales_the_weight(b: Any, layer: Any, inputs: Any, state: Any, mode: Any) -> Any:  # here
    return b.matmul(inputs[0], b.mul(state["weight"], 2.0), tb=True)


def forward_makes_other_channels(b: Any, layer: Any, inputs: Any, state: Any, mode: Any) -> Any:  # here
    return b.matmul(inputs[0], state["weight"])


def forward_reads_the_weight_twice(b: Any, layer: Any, inputs: Any, state: Any, mode: Any) -> Any:  # here
    once = b.matmul(inputs[0], state["weight"], tb=True)
    return b.matmul(once, state["weight"], tb=True)


def forward_turns_the_weight(b: Any, layer: Any, inputs: Any, state: Any, mode: Any) -> Any:  # here
    return b.matmul(inputs[0], b.transpose(state["weight"], (1, 0)), tb=True)


def forward_reads_no_weight(b: Any, layer: Any, inputs: Any, state: Any, mode: Any) -> Any:  # here
    return inputs[0]


def matrices(layer: Any, name: str, inputs: Any) -> Facts:
    """A matrix that is no weight, beside a weight or not, as the kind is called."""
    facts = weight(layer, name, inputs)
    gate = Tensor(f"{name}.gate", (6, 6), "kaiming_uniform", 6, 6)
    named = layer.kind != "forward_names_no_weight"
    return Facts(inputs[0], (*facts.tensors, gate) if named else (gate,), facts.weight if named else None)


def forward_names_no_weight(b: Any, layer: Any, inputs: Any, state: Any, mode: Any) -> Any:  # here
    return b.matmul(inputs[0], state["gate"], tb=True)


def forward_multiplies_twice(b: Any, layer: Any, inputs: Any, state: Any, mode: Any) -> Any:  # here
    gate = b.emit("sigmoid", b.matmul(inputs[0], state["gate"], tb=True))
    return b.mul(gate, b.matmul(inputs[0], state["weight"], tb=True))


def forward_drops_the_product(b: Any, layer: Any, inputs: Any, state: Any, mode: Any) -> Any:  # here
    b.matmul(inputs[0], state["weight"], tb=True)
    return b.matmul(inputs[0], state["gate"], tb=True)


def forward_multiplies_weights(b: Any, layer: Any, inputs: Any, state: Any, mode: Any) -> Any:  # here
    return b.matmul(inputs[0], b.matmul(state["gate"], state["weight"], tb=True))


def averaged(layer: Any, name: str, inputs: Any) -> Facts:
    """A matrix that is a statistic."""
    return Facts(inputs[0], (Tensor(f"{name}.mean", (6, 6), "zeros", role=Role.STATISTIC, trainable=False),))


def forward_reads_a_statistic(b: Any, layer: Any, inputs: Any, state: Any, mode: Any) -> Any:  # here
    return Made(b.matmul(inputs[0], state["mean"]), {"mean": b.matmul(inputs[0], inputs[0], ta=True)})


def forward_moves_nothing(b: Any, layer: Any, inputs: Any, state: Any, mode: Any) -> Any:  # here
    return inputs[0]


def curve_is_a_function(layer: Any) -> Any:  # here
    return tanh


def curve_overflows(layer: Any) -> Any:  # here
    return Curve(lambda x: exp(x) / (1 + exp(x)))


def counted(layer: Any, name: str, inputs: Any) -> Facts:
    """A parameter, and a statistic."""
    statistic = Tensor(f"{name}.count", (2,), "zeros", role=Role.STATISTIC, trainable=False)
    return Facts(inputs[0], (Tensor(f"{name}.scale", (2,), "ones"), statistic))


def infer_trains_a_statistic(layer: Any, name: str, inputs: Any) -> Facts:  # here
    return Facts(inputs[0], (Tensor(f"{name}.count", (2,), "zeros", role=Role.STATISTIC),))


def forward_moves_a_parameter(b: Any, layer: Any, inputs: Any, state: Any, mode: Any) -> Made:  # here
    return Made(inputs[0], {"scale": state["scale"]})


def forward_moves_to_another_shape(b: Any, layer: Any, inputs: Any, state: Any, mode: Any) -> Made:  # here
    return Made(inputs[0], {"count": b.sum(state["count"], (0,))})


def forward_makes_nothing_and_moves(b: Any, layer: Any, inputs: Any, state: Any, mode: Any) -> Made:  # here
    return Made(None, {})  # type: ignore[arg-type]


def traits_are_words(layer: Any, facts: Any) -> Any:  # here
    return {"homogeneous"}


LAYERS: tuple[Any, ...] = (
    *(LayerKind(f.__name__, model(Layer, f.__name__), same, passed_on, curve=f) for f in (
        curve_is_a_function, curve_overflows
    )),
    LayerKind("traits_are_words", model(Layer, "traits_are_words"), same, passed_on, traits=traits_are_words),
    *(LayerKind(f.__name__, model(Layer, f.__name__), f, passed_on) for f in (
        infer_raises, infer_returns_a_shape, infer_says_a_list, infer_says_an_axis, infer_calls_tensors_wrongly,
        infer_names_no_tensor,
        infer_says_a_vector, infer_trains_a_statistic,
    )),
    *(LayerKind(f.__name__, model(Layer, f.__name__), counted, f) for f in (
        forward_moves_a_parameter, forward_moves_to_another_shape, forward_makes_nothing_and_moves,
        forward_moves_nothing,
    )),
    *(LayerKind(f.__name__, model(WeightedLayer, f.__name__), matrices, f) for f in (
        forward_names_no_weight, forward_multiplies_twice, forward_drops_the_product,
        forward_multiplies_weights,
    )),
    LayerKind(
        "forward_reads_a_statistic", model(Layer, "forward_reads_a_statistic"), averaged,
        forward_reads_a_statistic,
    ),
    *(LayerKind(f.__name__, model(Layer, f.__name__), same, f) for f in (
        forward_does_not_fit, forward_knows_no_op, forward_returns_nothing, forward_returns_integers
    )),
    *(LayerKind(f.__name__, model(WeightedLayer, f.__name__), weight, f) for f in (
        forward_reads_no_weight, forward_scales_the_weight, forward_makes_other_channels,
        forward_reads_the_weight_twice, forward_turns_the_weight,
    )),
)  # fmt: skip


def block_raises(layer: Any, inside: Any) -> Any:
    yield inside.leaf(Relu(), (inside.input,))
    yield KNOWN["shape"]  # here


def block_returns_nothing(layer: Any, inside: Any) -> Any:  # here
    return None


def block_yields_a_layer(layer: Any, inside: Any) -> Any:  # here
    yield Relu()


def block_yields_nothing(layer: Any, inside: Any) -> Any:  # here
    yield from ()


def block_yields_twice(layer: Any, inside: Any) -> Any:  # here
    node = inside.leaf(Relu(name="a"), (inside.input,))
    yield node
    yield node


def block_yields_one_of_two(layer: Any, inside: Any) -> Any:  # here
    inside.leaf(Relu(name="a"), (inside.input,))
    yield inside.leaf(Relu(name="b"), (inside.input,))


def block_reads_ahead(layer: Any, inside: Any) -> Any:  # here
    a = inside.leaf(Relu(name="a"), (inside.input,))
    yield inside.leaf(Relu(name="b"), (a.name,))
    yield a


def block_reads_what_is_not(layer: Any, inside: Any) -> Any:  # here
    yield inside.leaf(Relu(name="a"), ("nope",))


def block_has_its_name_inside(layer: Any, inside: Any) -> Any:  # here
    own = inside.leaf(Relu(), (inside.input,), own=True)
    yield own
    yield inside.leaf(Relu(name="b"), (own.name,))


def block_makes_its_own(layer: Any, inside: Any) -> Any:  # here
    yield Node("elsewhere", Relu(name="elsewhere"), (inside.input,), inside.shape(inside.input), ())


LAYERS += tuple(
    BlockKind(f.__name__, model(Layer, f.__name__), f)
    for f in (
        block_raises,
        block_returns_nothing,
        block_yields_a_layer,
        block_yields_nothing,
        block_yields_twice,
        block_yields_one_of_two,
        block_reads_ahead,
        block_reads_what_is_not,
        block_has_its_name_inside,
        block_makes_its_own,
    )
)


# -- losses, feedback, updates, probes, rules --------------------------------------------------------------------------


def loss_of_each_sample(b: Any, loss: Any, output: Any, y: Any) -> Any:  # here
    return b.sum(b.mul(output, output), (1,))


def loss_of_labels(b: Any, loss: Any, output: Any, y: Any) -> Any:
    return b.sum(b.cast(b.argmax(output), output.type.dtype), (0,))


LOSSES = (
    LossKind("loss_of_each_sample", model(Loss, "loss_of_each_sample"), True, loss_of_each_sample),
    LossKind("loss_of_labels", model(Loss, "loss_of_labels"), True, loss_of_labels),
)


def no_tensors(matrix: Any, ends: Any) -> tuple[Tensor, ...]:
    return ()


def one_tensor(matrix: Any, ends: Any) -> tuple[Tensor, ...]:
    return (Tensor(f"{ends.prefix}.B", (ends.reads, ends.writes), "orthogonal", role=Role.FEEDBACK),)


def applied(b: Any, matrix: Any, state: Any, signals: Any) -> Any:
    return signals.sent(b, signals.error, state["B"])


def apply_returns_the_error(b: Any, matrix: Any, state: Any, signals: Any) -> Any:  # here
    return signals.error


def learn_fails_late(b: Any, matrix: Any, state: Any, signals: Any) -> Iterable[Learned]:
    yield Learned("B", state["B"], True)
    raise ZeroDivisionError  # here


def learn_teaches_another(b: Any, matrix: Any, state: Any, signals: Any) -> Iterable[Learned]:  # here
    return (Learned("P", state["B"], True),)


def learn_another_shape(b: Any, matrix: Any, state: Any, signals: Any) -> Iterable[Learned]:  # here
    return (Learned("B", signals.error, True),)


MATRICES = (
    MatrixKind(
        "apply_returns_the_error", model(Matrix, "apply_returns_the_error"), no_tensors, apply_returns_the_error
    ),
    *(MatrixKind(f.__name__, model(Matrix, f.__name__), one_tensor, applied, f) for f in (
        learn_fails_late, learn_teaches_another, learn_another_shape
    )),
)  # fmt: skip


def full_is_no_tensor(b: Any, rule: Any, state: Any, signals: Any) -> Any:
    return Learned("B", signals.missing, True)  # here


LEARNING = (
    LearningKind("full_is_no_tensor", model(Learning, "full_is_no_tensor", "rule"), full_is_no_tensor),
)


def one_slot(rule: Any) -> tuple[str, ...]:
    return ("speed",)


def apply_moves_no_slot(b: Any, rule: Any, w: Any, g: Any, s: Any, lr: Any, n: Any) -> Any:  # here
    return Updated(b.sub(w, g), {})


def apply_gives_another_shape(b: Any, rule: Any, w: Any, g: Any, s: Any, lr: Any, n: Any) -> Any:  # here
    return Updated(b.sum(g, (0,)), {})


UPDATES = (
    UpdateKind(
        "apply_moves_no_slot", model(Rule, "apply_moves_no_slot", "rule"), one_slot, apply_moves_no_slot
    ),
    UpdateKind(
        "apply_gives_another_shape",
        model(Rule, "apply_gives_another_shape", "rule"),
        lambda rule: (),
        apply_gives_another_shape,
    ),
)


class Probed(Model):
    """A probe."""


def build_raises(b: Any, spec: Any, sweeps: Any) -> Any:
    yield "found", b.dot(sweeps.values["fc1"], sweeps.values["out"])  # here


def build_measures_a_vector(b: Any, spec: Any, sweeps: Any) -> Any:  # here
    return [("found", b.sum(sweeps.values["fc1"], (0,)))]


PROBES = tuple(
    ProbeKind(f.__name__, model(Probed, f.__name__), f) for f in (build_raises, build_measures_a_vector)
)


def expand_raises(rule: Any, program: Any) -> Any:
    return program.nothing  # here


class Particular(Layer):
    """A layer whose settings are read by code that fails."""

    kind: Literal["validator_raises"] = "validator_raises"
    size: int = 1

    @field_validator("size")
    @classmethod
    def _known(cls, value: int) -> int:
        return {1: 1}[value]  # here


RULES = (RuleKind("expand_raises", model(ShortHand, "expand_raises", "rule"), expand_raises),)
LAYERS += (LayerKind("validator_raises", Particular, same, passed_on),)
