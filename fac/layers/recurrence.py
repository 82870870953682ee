"""Recurrent layers, unrolled: one step after the other, with the parameters of the first. `Repeat` does so with any.

x [T, d] is the sequence, h the state [h]. What the inputs say is one product for all steps, as in other libraries.
A mask carries the state on unchanged where it is 0, as packed sequences of PyTorch do: no error goes to such a step.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fac.layers.blocks import Block, Layers
from fac.layers.elementwise import Tanh
from fac.layers.inputs import tokens
from fac.layers.joins import Add, Stack
from fac.layers.linear import Linear
from fac.layers.repeat import GATHER
from fac.layers.tokens import Select
from fac.program.kinds import BlockKind, Facts, Inside, LayerKind, Mode, ShapeError, Sight, State
from fac.program.program import Node, Shape
from fac.program.traits import Traits
from fac.spec.base import FOLLOWS
from fac.spec.init import Init
from fac.spec.layers import Layer, Named
from fac.spec.train import Positive
from fac.step.builder import Builder
from fac.step.ir import Value
from fac.step.types import N

OTHER_KEYS = {
    "hidden_size": "out",
    "units": "out",
    "input_size": FOLLOWS,
    "lengths": "write `mask`, an input of ones for the steps of each sequence and of zeros behind its end",
    "batch_first": "leave it out: the batch always comes first",
    "return_sequences": "gather",
    "num_layers": "write the layer several times, all but the last with `gather: true`",
}


class Zeros(Layer):
    """Zeros for each sample, whatever it reads: the state before the first step."""

    kind: Literal["zeros"] = "zeros"
    shape: Annotated[tuple[Positive, ...], Field(min_length=1)] = Field(description="Of a sample.")


class GruGates(Layer):
    """The state after a step of a GRU, from what input and state say of its gates, each [3 h], and the state [h].

    Behind one another they are the reset gate, the update gate and the new state, as in `torch.nn.GRU`:
    r = sigmoid(a_r + b_r), z = sigmoid(a_z + b_z), n = tanh(a_n + r b_n), and the state becomes n + z (h - n).
    """

    kind: Literal["gru_gates"] = "gru_gates"


class Carry(Layer):
    """The first of two layers of one shape where the mask is 1 at a place, and the second where it is 0."""

    kind: Literal["carry"] = "carry"
    index: int = Field(ge=0, description="Which place of the mask, from 0.")
    mask: Annotated[str, Named(mask=True)] = Field(description="An input with `mask: true` and shape [T].")


class Recurrent(Block):
    """What recurrent layers have in common."""

    other_keys: ClassVar = OTHER_KEYS
    out: Positive = Field(description="Numbers of the state.")
    bias: bool = Field(True, description="Whether `ih` and `hh` have biases.")
    init: Init = Field("kaiming_uniform", description="Initial weights of both.")
    gather: bool = Field(False, description=GATHER)
    mask: Annotated[str | None, Named(mask=True)] = Field(
        None,
        description="An input with `mask: true` and shape [T]: where it is 0, the state stays as it is, so that the "
        "last one is that at the end of each sequence.",
    )


class Rnn(Recurrent):
    """h <- tanh(W_ih x_t + b_ih + W_hh h + b_hh) for each x_t of [T, d]; the state after the last of them.

    It begins with zeros, or with what a second layer in `from` makes. The layers are `NAME.ih`, for all steps at once,
    and `NAME.T.hh`, which share the parameters of the first; with `mask` also `NAME.T.kept`. Of
    `torch.nn.RNN` they are: `weight_ih_l0` is `NAME.ih.weight`, `bias_ih_l0` is `NAME.ih.bias`, `weight_hh_l0` is
    `NAME.0.hh.weight`, `bias_hh_l0` is `NAME.0.hh.bias`.
    """

    kind: Literal["rnn"] = "rnn"
    other_keys: ClassVar = {"nonlinearity": "write `activation: [{kind: relu}]`"}
    activation: Layers = Field((Tanh(),), description="Layers that make the state; `input` is the sum.")


class Gru(Recurrent):
    """A gated recurrent unit (Cho et al. 2014, arXiv 1406.1078) over a sequence [T, d]; the state after its last step.

    It begins with zeros, or with what a second layer in `from` makes. The layers are `NAME.ih`, for all steps at once,
    `NAME.T.hh`, which share the parameters of the first, and `NAME.T.gates`; with `mask` also `NAME.T.kept`.
    Weights are [3 out, ...], in the order and under the equations of `torch.nn.GRU`: `weight_ih_l0` is
    `NAME.ih.weight`, `bias_ih_l0` is `NAME.ih.bias`, `weight_hh_l0` is `NAME.0.hh.weight`, `bias_hh_l0` is
    `NAME.0.hh.bias`.
    """

    kind: Literal["gru"] = "gru"


def infer_zeros(layer: Zeros, name: str, inputs: Sequence[Shape]) -> Facts:
    """Anything -> the shape that is asked for."""
    return Facts(layer.shape, axes=(None,) * len(layer.shape), stops=True)


def zeros(b: Builder, layer: Zeros, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """[N, *shape]."""
    return b.broadcast_to(b.constant(0.0), (N, *layer.shape))


def infer_carry(layer: Carry, name: str, inputs: Sequence[Shape]) -> Facts:
    """Twice the same shape, and the mask."""
    *read, mask = inputs
    if len(read) != 2 or read[0] != read[1]:
        got = ", ".join(str(list(shape)) for shape in read)
        raise ShapeError(
            f"`{name}` reads two layers of one shape, not {got}",
            "name the two: `from: [next, before]`",
            "from" if layer.reads else None,
        )
    if len(mask) != 1 or layer.index >= mask[0]:
        raise ShapeError(
            f"`{name}` asks for place {layer.index} of `{layer.mask}`, which has shape {list(mask)}",
            f"declare it with `shape: [{layer.index + 1}]`, or a longer one",
            "mask",
        )
    return Facts(read[0], sights=(Sight(masked=True, at=layer.index),))


def carry(b: Builder, layer: Carry, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """m a + (1 - m) b, exactly a or b where m is 1 or 0."""
    new, old, mask = inputs
    length = mask.type.shape[1]
    assert isinstance(length, int)
    place = b.emit("crop", mask, before=(0, layer.index), after=(0, length - 1 - layer.index))
    shown = b.stop_gradient(b.reshape(place, (N, *(1 for _ in new.type.shape[1:]))))
    return b.add(b.mul(new, shown), b.mul(old, b.sub(1.0, shown)))


def infer_gates(layer: GruGates, name: str, inputs: Sequence[Shape]) -> Facts:
    """[3 h], [3 h] and [h] -> [h]."""
    if len(inputs) != 3 or len(inputs[2]) != 1 or inputs[0] != inputs[1] or inputs[0] != (3 * inputs[2][0],):
        got = ", ".join(str(list(shape)) for shape in inputs)
        raise ShapeError(
            f"`{name}` reads what input and state say, [3 h] each, and the state [h], not {got}",
            "name the three: `from: [input, recurrent, state]`",
            "from" if layer.reads else None,
        )
    return Facts(inputs[2])


def gates(b: Builder, layer: GruGates, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """See `GruGates`."""
    given, own, h = inputs
    width = h.type.shape[1]
    assert isinstance(width, int)
    both = b.emit("sigmoid", b.add(_part(b, given, 0, 2, width), _part(b, own, 0, 2, width)))
    reset, update = (b.emit("crop", both, before=(0, i * width), after=(0, (1 - i) * width)) for i in (0, 1))
    new = b.emit(
        "tanh",
        b.add(_part(b, given, 2, 3, width), b.mul(b.label(reset, "reset"), _part(b, own, 2, 3, width))),
    )
    return b.add(new, b.mul(b.label(update, "update"), b.sub(h, b.label(new, "new"))))


def _part(b: Builder, x: Value, first: int, end: int, width: int) -> Value:
    """Of three parts of so many numbers those from the first on."""
    return b.emit("crop", x, before=(0, first * width), after=(0, (3 - end) * width))


def rnn(layer: Rnn, inside: Inside) -> Iterator[Node]:
    """The sum of what input and state say, then the activation."""
    sequence, state = yield from _begun(layer, inside, 1)
    made: list[str] = []
    for index in range(_steps(inside)):
        token, own = yield from _said(layer, inside, index, sequence, state, 1)
        yield (total := inside.leaf(Add(name="sum"), (token, own), scope=str(index)))
        new = yield from inside.chain(layer.activation, total.name, "activation", scope=str(index))
        state = yield from _kept(inside, index, new, state)
        made.append(state)
    yield from _gathered(layer, inside, made)


def gru(layer: Gru, inside: Inside) -> Iterator[Node]:
    """The gates of each step."""
    sequence, state = yield from _begun(layer, inside, 3)
    made: list[str] = []
    for index in range(_steps(inside)):
        token, own = yield from _said(layer, inside, index, sequence, state, 3)
        yield (node := inside.leaf(GruGates(name="gates"), (token, own, state), scope=str(index)))
        state = yield from _kept(inside, index, node.name, state)
        made.append(state)
    yield from _gathered(layer, inside, made)


def _steps(inside: Inside) -> int:
    """How many elements the sequence has; one, if nobody knows."""
    shape = inside.shape(inside.input)
    return 1 if shape is None else shape[0]


def _begun(layer: Recurrent, inside: Inside, parts: int) -> Generator[Node, None, tuple[str, str]]:
    """What the inputs say, and the state before the first step.

    Raises:
        ShapeError: it reads no sequence, or more than that and a state.
    """
    shape = inside.shape(inside.input)
    if shape is not None:
        tokens(inside.name, [shape])
        mask = inside.shape(inside.beside[0]) if inside.beside else None
        if mask is not None and mask != shape[:1]:
            raise ShapeError(
                f"`{inside.name}` goes along {shape[0]} steps, and its mask `{layer.mask}` has shape {list(mask)}",
                f"a mask has one number for each step: declare it with `shape: [{shape[0]}]`",
                "mask",
            )
    if len(inside.inputs) > 2:
        raise ShapeError(
            f"`{inside.name}` reads a sequence and the state that it begins with, not {len(inside.inputs)} layers",
            "name two at most",
            "from",
        )
    yield (said := inside.leaf(_linear(layer, "ih", parts), (inside.input,)))
    if len(inside.inputs) == 2:
        given = inside.shape(inside.inputs[1])
        if given is not None and given != (layer.out,):
            raise ShapeError(
                f"`{inside.name}` has a state of {layer.out} numbers, and begins with {list(given)}",
                f"let the second layer in `from` make [{layer.out}]",
                "from",
            )
        return said.name, inside.inputs[1]
    yield (start := inside.leaf(Zeros(name="start", shape=(layer.out,)), (inside.input,)))
    return said.name, start.name


def _said(
    layer: Recurrent, inside: Inside, index: int, sequence: str, state: str, parts: int
) -> Generator[Node, None, tuple[str, str]]:
    """What input and state say in a step."""
    scope = str(index)
    yield (token := inside.leaf(Select(name="token", index=index), (sequence,), scope=scope))
    hh = _linear(layer, "hh", parts)
    yield (own := inside.leaf(hh, (state,), scope=scope, tie="0" if index else None))
    return token.name, own.name


def _kept(inside: Inside, index: int, new: str, old: str) -> Generator[Node, None, str]:
    """The state after a step: the new one, or behind the end of a sequence the old one."""
    if not inside.beside:
        return new
    (mask,) = inside.beside
    yield (
        node := inside.leaf(Carry(name="kept", index=index, mask=mask), (new, old, mask), scope=str(index))
    )
    return node.name


def _gathered(layer: Recurrent, inside: Inside, made: Sequence[str]) -> Iterator[Node]:
    if layer.gather:
        yield inside.leaf(Stack(), made, own=True)


def _linear(layer: Recurrent, name: str, parts: int) -> Linear:
    return Linear(name=name, out=parts * layer.out, bias=layer.bias, init=layer.init)


ZEROS = LayerKind("zeros", Zeros, infer_zeros, zeros, traits=lambda *_: Traits(zero=True, homogeneous=True))
CARRY = LayerKind(
    "carry", Carry, infer_carry, carry, traits=lambda *_: Traits(zero=True, homogeneous=True, sign=True)
)
GRU_GATES = LayerKind("gru_gates", GruGates, infer_gates, gates, traits=lambda *_: Traits(zero=True))
RNN = BlockKind("rnn", Rnn, rnn, several=True, own=lambda _: 4, unrolled=True)
GRU = BlockKind("gru", Gru, gru, several=True, own=lambda _: 4, unrolled=True)
RECURRENT = (ZEROS, CARRY, GRU_GATES, RNN, GRU)
