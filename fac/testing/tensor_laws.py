"""What a layer says of its tensors, held against the layer: which one it multiplies with, and which ones it moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

from fac.build.contract import moved
from fac.build.transport import connecting
from fac.plugins import PluginError
from fac.program.kinds import Made
from fac.program.tensors import Role
from fac.spec.layers import ParametricLayer, WeightedLayer
from fac.step.builder import Builder
from fac.step.reverse import Edits, Reverse
from fac.testing.alone import IT, Alone, node, past
from fac.testing.case import require
from fac.testing.evaluated import near

FAR = 1e3
"""How much larger the numbers are of which a statistic has to move that those of size 1 leave where it is."""


def check_tensors(alone: Alone) -> None:
    """The weight, and no other tensor, is what feedback can replace; statistics, and no others, move, in training.

    Raises:
        AssertionError: something that the layer says of its tensors does not hold.
    """
    name = alone.kind.name
    node(alone.kind, alone.layer, alone.shapes)
    with told():
        alone.said(Builder())
    _modelled(alone)
    if alone.weight:
        g = alone.rng.standard_normal(alone.facts.shape)
        exact = near(alone.routed(g), alone.error(alone.x, g))
        require(exact, f"`{name}` with feedback F = W passes on another error than by backpropagation")
    unnamed = ", ".join(f"`{tensor}`" for tensor in _unnamed(alone))
    require(
        not unnamed,
        f"`{name}` multiplies with {unnamed}, and does not name it as the weight: feedback cannot replace it. Where "
        "there are several, make a block of layers with one weight each",
    )
    _moved(alone)
    b = Builder()
    with told():
        _, said = alone.said(b, training=False)
    still = sorted(said.state) if isinstance(said, Made) else []
    require(not still, f"`{name}` moves {still} where `mode.training` is false: frozen, and in evaluation")


@contextmanager
def told() -> Iterator[None]:
    """What a kind must not do ends in an AssertionError, which says where it does that."""
    try:
        yield
    except PluginError as error:
        raise AssertionError(f"{error.fact}: {error.help}") from error


def _modelled(alone: Alone) -> None:
    """The model of a spec is that of a layer with what `infer` says: checks ask it where no shape is known."""
    name, layer = alone.kind.name, alone.layer
    parametric = any(tensor.role is Role.PARAMETER for tensor in alone.facts.tensors)
    require(
        not parametric or isinstance(layer, ParametricLayer),
        f"`{name}` has parameters, and its model is no ParametricLayer: nobody could freeze it",
    )
    weighted = isinstance(layer, WeightedLayer)
    if alone.weight:
        require(weighted, f"`{name}` has the weight `{alone.weight}`, and its model is no WeightedLayer")
    else:
        require(not weighted, f"the model of `{name}` is a WeightedLayer, and `infer` names no weight")


def _unnamed(alone: Alone) -> tuple[str, ...]:
    """What connects units on the way of an error past the layer, where feedback F stands in the place of its weight."""
    b, edits = Builder(), Edits()
    if alone.weight:
        way, read, y = alone.contraction(b)
        f = b.input("F", way.matrix(b).type)
        edits = past(way, lambda _: f)
    else:
        read, y = alone.built(b)
    tensors = {v: v.name for v in b.inputs if v.name in alone.state and v.name != alone.weight}
    loss = b.sum(b.mul(y, y), range(len(y.type.shape)))
    # Where nothing has a derivative, nothing is passed.
    sent = Reverse(b, loss, edits, frozenset(tensors), counting=True).cotangent(read)
    it = node(alone.kind, alone.layer, alone.shapes)
    found = set(chain(*connecting(b, () if sent is None else (sent,), tensors, lambda _: it).values()))
    return tuple(name for name in tensors.values() if name in found)


def _moved(alone: Alone) -> None:
    """In training: all statistics, and nothing else, to values of their shapes."""
    b, name = Builder(), alone.kind.name
    _, said = alone.said(b)
    with told():
        following = moved(alone.kind.forward, said, alone.facts.tensors, IT)
    for tensor in alone.facts.tensors:
        if tensor.role is Role.STATISTIC:
            before, value = alone.state[tensor.name], following[tensor.part]
            still = all(near(alone.of(b, value, scale * alone.x), before) for scale in (1, FAR))
            require(
                not still, f"`{name}` says that `{tensor.part}` is a statistic, and leaves it where it is"
            )
