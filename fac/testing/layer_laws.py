"""What a layer says by its curve or its traits, held against what it makes, and against its derivative."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fac.program.declared import traits_of
from fac.program.kinds import LayerKind
from fac.program.lower import kind_of
from fac.program.program import Shape
from fac.program.traits import Curve, Traits
from fac.spec.adapters import Lora
from fac.testing.alone import SAMPLES, Alone, node
from fac.testing.case import require
from fac.testing.evaluated import near
from fac.testing.inverse_laws import check_inverse
from fac.testing.layout_laws import check_layout
from fac.testing.sight_laws import check_sights
from fac.testing.tensor_laws import check_tensors

MANY = 4000
"""Samples over which a mean square is taken."""
SAMPLED = 0.1
"""Relative, by how much such a mean may differ from what is expected: five deviations where half is dropped."""
FELT = 1e-9
"""Absolute: what is more than rounding."""
SLOPES = 1e-6
"""Absolute: derivatives by differences of the fourth order."""


def check_layer(kind: LayerKind, layer: Any, shapes: Sequence[Shape]) -> None:
    """Hold what a layer says against the layer: of its tensors and axes, and by its curve or traits.

    See `check_declarations`.

    Raises:
        AssertionError: something that it says does not hold.
    """
    require(kind.curve is None or kind.traits is None, f"`{kind.name}` has a curve, and traits beside it")
    alone = Alone(kind, layer, shapes)
    check_tensors(alone)
    check_layout(Alone(kind, layer, shapes))
    check_sights(Alone(kind, layer, shapes))
    if kind.classes is None:
        _stops(Alone(kind, layer, shapes))
    check_inverse(Alone(kind, layer, shapes, training=False))
    _lora(kind, layer, shapes)
    if kind.curve is not None:
        _curve(kind.name, kind.curve(layer), alone)
    elif kind.traits is not None:
        _traits(kind.name, kind.traits(layer, alone.facts), alone)


def _lora(kind: LayerKind, layer: Any, shapes: Sequence[Shape]) -> None:
    """The layers of low rank have a weight alone each, that of the last is zero, and they make what the layer makes."""
    branch = kind.lora(layer, Lora(kind="lora", rank=2))
    if branch is None:
        return
    made = tuple(shapes)
    for part in (branch.down, branch.factor, branch.up):
        facts = kind_of("fac.layers", part).infer(part, "part", made)
        alone = () if part is branch.factor else (facts.weight,)
        require(facts.tensors == alone, f"`lora` of `{kind.name}` has layers with more than a weight")
        made = (facts.shape,)
    same = made == (kind.infer(layer, "it", shapes).shape,)
    require(same, f"`lora` of `{kind.name}` makes {list(made[0])}, which is not what the layer makes")
    require(facts.weight.zero, f"`lora` of `{kind.name}` changes the layer before anything is learned")


def declared(kind: LayerKind, layer: Any, shapes: Sequence[Shape] = ((6,),)) -> Traits:
    """What a kind says of itself, be it by a curve or by traits."""
    return traits_of(node(kind, layer, shapes))


def is_homogeneous(kind: LayerKind, layer: Any, shapes: Sequence[Shape] = ((6,),)) -> bool:
    """Whether 3 x gives 3 y; for a layer with weights see `Traits.homogeneous`.

    Args:
        kind: of the layer.
        layer: its settings.
        shapes: of the samples that it reads; where there are several, of one size.
    """
    alone = Alone(kind, layer, shapes)
    x = alone.x
    if kind.classes is not None:  # three times the number of a word is another word
        return bool(alone.facts.tensors) and near(alone.output(x, others=3), 3 * alone.output(x))
    others = 0 if alone.weight else 1
    equal = near(alone.output(3 * x, others=others), 3 * alone.output(x, others=others))
    if alone.weight:
        equal = equal and near(alone.output(x, 3, 3), 3 * alone.output(x))
    return equal


def _stops(alone: Alone) -> None:
    name, goes = alone.kind.name, alone.passes
    require(
        goes or alone.facts.stops,
        f"`{name}` passes no error to what it reads, and does not say that it stops it",
    )
    require(
        not (goes and alone.facts.stops),
        f"`{name}` says that it stops errors, and passes them to what it reads",
    )


def _curve(name: str, curve: Curve, alone: Alone) -> None:
    require(curve.defined, f"the curve of `{name}` is not a finite number everywhere from -1e12 to 1e12")
    x = np.concatenate([0 * alone.x[:1], alone.x, 4 * alone.x])
    values = np.vectorize(curve.f, otypes=[float])(x)
    require(near(alone.output(x), values), f"`{name}` makes other numbers than its curve")
    far = np.concatenate([1e2 * alone.x, 1e6 * alone.x])
    values = np.vectorize(curve.f, otypes=[float])(far)
    require(near(alone.output(far), values), f"`{name}` makes other large numbers than its curve")
    slopes = np.vectorize(curve.slope, otypes=[float])(x)
    sent = alone.error(x, np.ones(alone.facts.shape))
    worst = np.argmax(np.abs(sent - slopes))
    at, said, does = (float(array.flat[worst]) for array in (x, slopes, sent))
    require(
        abs(does - said) <= SLOPES,
        f"the curve of `{name}` has the slope {said:.6g} at {at:.3g}, and it {does:.6g}",
    )


def _traits(name: str, traits: Traits, alone: Alone) -> None:
    x, facts = alone.x, alone.facts
    homogeneous = not traits.homogeneous or is_homogeneous(alone.kind, alone.layer, alone.shapes)
    require(homogeneous, f"`{name}` says that it is homogeneous, and is not")
    if traits.zero:
        made = [alone.output(0 * x, biases=0)]
        made += [alone.output(x, weights=0, biases=0)] if alone.weight else []
        require(not any(map(np.any, made)), f"`{name}` says that it makes zeros of zeros, and does not")
    if traits.sign:
        least = alone.output(np.abs(x), turned=False).min()
        require(
            least >= 0,
            f"`{name}` says that it leaves numbers that are not negative so, and makes {least:.3g}",
        )
    low, high = traits.bounds
    for scale in (1, 1e3) if alone.kind.classes is None else (1,):
        made_of = alone.output(scale * x)
        require(
            bool(low <= made_of.min() and made_of.max() <= high),
            f"`{name}` says that it stays between {low:.3g} and {high:.3g}, and does not",
        )
    if traits.affine:
        axis = 1 if facts.channels is None else facts.channels % len(facts.shape) + 1
        weight, channels = alone.matrix() if alone.weight else np.zeros((1, 0)), np.moveaxis(x, axis, -1)
        made_of = np.moveaxis(alone.output(x) - alone.output(0 * x), axis, -1)
        fits = weight.shape[1] == channels.shape[-1]
        # Of a map or of tokens: at each place W times its channels.
        require(fits and near(made_of, channels @ weight.T), f"`{name}` says that it is W x + b, and is not")
    if traits.parts > 1:
        _parts(name, traits.parts, alone)
    if traits.unit is not None:
        square = float(np.mean(alone.started().output(1e3 * x) ** 2))
        require(
            abs(square - 1) <= 1e-3, f"`{name}` says that it normalises, and its mean square is {square:.3g}"
        )
    if traits.averages is not None:
        _averages(name, traits.averages, alone.started(training=False))
    if traits.centred is not None:
        _centred(name, traits, alone)
    if traits.value is not None:
        require(
            near(alone.output(-x), -alone.output(x)) and near(alone.output(3 * x), 3 * alone.output(x)),
            f"`{name}` says by its `value` that it is linear, and is not",
        )
        many = alone.rng.standard_normal((MANY, *alone.shapes[0]))
        found = np.mean(alone.output(many) ** 2) / (len(alone.shapes) * np.mean(many**2))
        _measured(name, "value", traits.value, float(found))
    if traits.error is not None:
        many = alone.rng.standard_normal((MANY, *alone.shapes[0]))
        g = alone.rng.standard_normal(facts.shape)
        found = np.sum(alone.error(many, g) ** 2) / (MANY * np.sum(g**2))
        _measured(name, "error", traits.error, float(found))


def _averages(name: str, said: float, alone: Alone) -> None:
    """By averages as they start: the same factor for what is read and for errors, small or large."""
    g = alone.rng.standard_normal(alone.facts.shape)
    for x in (1e-2 * alone.x, 1e2 * alone.x):
        made, sent = alone.output(x) ** 2, alone.error(x, g) ** 2
        require(
            near(made, said * x**2) and near(sent, said * np.broadcast_to(g**2, sent.shape)),
            f"`{name}` says that its first averages multiply squares by {said:.6g}, and they do not",
        )


def _centred(name: str, traits: Traits, alone: Alone) -> None:
    """What shares a mean: a number that is moved moves all that are normalised with it, and no others."""
    x = alone.x.copy()
    before = alone.output(x)
    x.flat[0] += 1
    moved = np.abs(alone.output(x) - before) > FELT
    assert traits.centred is not None
    said = traits.centred * (SAMPLES if traits.channels else 1)
    require(
        moved.sum() == (0 if said == 1 else said),
        f"`{name}` says that {said} numbers share a mean, and one moves {moved.sum()}",
    )
    everywhere = near(alone.output(alone.x + 3), before)
    require(
        everywhere, f"`{name}` says that it subtracts a mean, and 3 more in each number changes what it makes"
    )
    if traits.channels:
        others = [*range(1, alone.x.ndim - 1)]
        shift = np.expand_dims(alone.rng.standard_normal(alone.x.shape[1]), others)
        require(
            near(alone.output(alone.x + shift), before) and not moved[:, 1:].any(),
            f"`{name}` says that its means are of channels, and they are not",
        )


def _parts(name: str, parts: int, alone: Alone) -> None:
    """What reads several things as one makes the same of them apart, beside a mask that leaves nothing out."""
    (*places, width), *beside = alone.shapes
    apart = Alone(alone.kind, alone.layer, [*[(*places, width // parts)] * parts, *beside])
    x, masks = alone.x[0], [np.ones(shape) for shape in beside]
    require(
        near(apart.made_of([*np.split(x, parts, -1), *masks]), alone.made_of([x, *masks])),
        f"`{name}` says that it reads {parts} parts, and makes something else of them",
    )


def _measured(name: str, word: str, said: float, found: float) -> None:
    require(
        abs(found - said) <= SAMPLED * abs(said),
        f"`{name}` says that its `{word}` is {said:.3g}, and it is about {found:.3g}",
    )
