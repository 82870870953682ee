"""Laws of every kind of layer that multiplies with a weight, in networks of such layers, whatever the product is.

They hold between answers of one backend, and name what is wrong where feedback is laid out, turned or summed otherwise
than the weight that it stands for.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from fac.backend import Array
from fac.build.initial import matrix_of
from fac.plugins import kinds
from fac.program.kinds import Mode
from fac.program.lower import kind_of
from fac.program.program import Ends, Node
from fac.spec.layers import WeightedLayer
from fac.step.builder import Builder
from fac.step.types import N, Type
from fac.testing.case import Case, law, program_of
from fac.testing.evaluated import evaluated
from fac.testing.laws import DECAY, DFA, FA, UNIT, Matrices, State, mirrored, negated, same, sending, update
from fac.testing.layers import LAYERS, SHAPES
from fac.testing.nets import Data, Layers, batches, spec


def cases() -> Iterator[Case]:
    """For each network of weighted layers."""
    weighted = {kind.name for kind in kinds("fac.layers") if issubclass(kind.spec, WeightedLayer)}
    for name, layers in LAYERS.items():
        if name.split()[0] in weighted:
            shape = SHAPES.get(name, (5,))
            yield from exact_past(name, layers, shape)
            if not any("adapter" in layer for layer in layers):  # errors go two ways past each of these
                yield from in_a_chain(name, layers, shape)
    for name in ("attention", "attention cross"):
        yield from exact_past(name, LAYERS[name], SHAPES[name])


def exact_past(name: str, layers: Layers, shape: tuple[int, ...] = (5,)) -> Iterator[Case]:
    """F = W, and Q P = W^T however the factors learn, past each product of a network.

    Args:
        name: of the network, for the names of the cases.
        layers: of the network.
        shape: of a sample.
    """
    given = batches(7, 7, 3, shape=shape)
    send = partial(sending_weights, spec(layers, shape=shape))
    bp = partial(update, spec(layers, update=UNIT, shape=shape), same, given=given[:1])
    full = partial(update, spec(layers, FA, UNIT, shape), send, given=given[:1])
    yield law(f"fa with B = W is bp x {name}", full, bp)
    for learn in ("fixed", "kolen_pollack", "oja_kp", "local", "normative"):
        feedback = {"rule": "ldfa", "rank": 64, "learn": learn}
        low = partial(update, spec(layers, feedback, UNIT, shape), send, given=given[:1])
        yield law(f"ldfa with Q P = W^T is bp x {learn} x {name}", low, bp)
    followed = spec(layers, FA | {"learn": {"rule": "kolen_pollack"}}, DECAY, shape)
    yield law(
        f"fa_kp with B = W stays bp x {name}",
        partial(update, followed, send, given=given),
        partial(update, spec(layers, update=DECAY, shape=shape), same, given=given),
    )


def sending_weights(network: Data, state: State) -> State:
    """Every `through` route sends d W: B is W, or one of P and Q is 1 and the other W^T."""
    program, found = program_of(network), dict(state)
    for name, array in state.items():
        node, _, part = name.partition(".feedback.")
        weight = program.by_name[node].weight if part else None
        if weight is None:
            continue
        if part == "B":
            found[name] = state[weight.name].reshape(array.shape)
        elif part == "P":
            w = matrix_of(state[weight.name], weight)
            wide = array.shape[0] == len(w)
            found[name] = np.eye(len(w)) if wide else w.T.copy()
            found[f"{node}.feedback.Q"] = w.T.copy() if wide else np.eye(w.shape[1])
    return found


def in_a_chain(name: str, layers: Layers, shape: tuple[int, ...]) -> Iterator[Case]:
    """Of layers that each read the one before: who is fed by which matrix, and what a product of weights sends."""
    feedback = {"fa": FA, "ldfa": {"rule": "ldfa", "rank": 2, "learn": "fixed"}, "dfa": DFA}
    for rule, given in feedback.items():
        data = spec(layers, given, UNIT, shape)
        changed = partial(negated, data), partial(mirrored, data)
        yield law(f"a matrix changes what it feeds and nothing else x {rule} x {name}", *changed)
    straight = tuple(layer for layer in layers if "name" in layer or layer["kind"] == "flatten")
    bp, dfa = (spec(straight, feedback, UNIT, shape) for feedback in (None, DFA))
    jacobians = partial(sending, partial(sensitivities, dfa), False)
    one = batches(7, shape=shape)
    yield law(
        f"dfa with products of weights is bp x {name}",
        partial(update, dfa, jacobians, given=one),
        partial(update, bp, same, given=one),
    )


def sensitivities(network: Data, state: State) -> Matrices:
    """For each direct route from the loss the derivative of the output at its site, if all layers are linear.

    Tokens that share a matrix have the same one: each of them for its own output, or all of them for that of a mean.
    """
    program = program_of(network)
    at: Matrices = {}
    behind: Array = np.eye(int(np.prod(program.nodes[-1].shape or ())))
    for node in reversed(program.nodes):
        at[node.name] = behind
        behind = behind @ whole(node, state).T
    return {route.node: _shared(at[str(route.site)], route.ends) for route in program.routes if route.ends}


def _shared(whole: Array, ends: Ends) -> Array:
    """Of the derivative [outputs, numbers at the site] what the tokens of the site share, [reads, writes]."""
    if ends.copies > 1:
        return np.asarray(whole.reshape(ends.reads, ends.copies, ends.writes).sum(axis=1))
    shared: Array = whole.reshape(ends.places, ends.reads, ends.places, ends.writes)[0, :, 0]
    return shared


def whole(node: Node, state: State) -> Array:
    """A linear layer as a matrix [numbers that it reads, numbers that it makes], from what it makes of single ones."""
    (shape,) = node.reads
    size = int(np.prod(shape))
    b = Builder()
    x = b.input("x", Type((N, *shape)))
    own = {t.part: b.input(t.name, Type(t.shape)) for t in node.state}
    mode = Mode(node.name, False, 0, lambda: b.constant(0))
    y = kind_of("fac.layers", node.layer).forward(b, node.layer, [x], own, mode)
    ones = np.concatenate([np.zeros((1, size)), np.eye(size)]).reshape(-1, *shape)
    made: Array = evaluated(b, y, ones, state).reshape(size + 1, -1)
    difference: Array = made[1:] - made[0]
    return difference
