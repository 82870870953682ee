"""What the layers of a program declare, by node: one answer, be it a curve or traits. Curves are read off once."""

from __future__ import annotations

from typing import Any

from fac.program.kinds import Facts
from fac.program.lower import kind_of
from fac.program.program import Node
from fac.program.traits import UNKNOWN, Curve, Traits
from fac.spec.layers import Layer

_CURVES: dict[Any, Curve | None] = {}
"""By the function that declares it and the settings: a network has hundreds of layers, and a few different ones."""


def curve_of(layer: Layer) -> Curve | None:
    """The curve of an elementwise layer; None if it is none, or not defined everywhere."""
    declare = kind_of("fac.layers", layer).curve
    if declare is None:
        return None
    own = type(layer).model_fields.keys() - Layer.model_fields.keys()
    key = declare, *((name, repr(getattr(layer, name))) for name in sorted(own))
    if key not in _CURVES:
        curve: Curve = declare(layer)
        _CURVES[key] = curve if curve.defined else None
    return _CURVES[key]


def traits_of(node: Node) -> Traits:
    """What is known of a layer. That of a curve is read off it."""
    curve = curve_of(node.layer)
    if curve is not None:
        return Traits(zero=curve.f(0.0) == 0, homogeneous=curve.homogeneous, sign=curve.keeps_positive)
    declare = kind_of("fac.layers", node.layer).traits
    if declare is None:
        return UNKNOWN
    facts = None if node.shape is None else Facts(node.shape, node.tensors, node.contraction)
    traits: Traits = declare(node.layer, facts)
    return traits
