"""What the layers of a program declare, by node: one answer, be it a curve or traits. Curves are read off once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any, Literal

from fac.plugins import kinds, misuse
from fac.program.kinds import Facts, LayerKind, ProbeKind, Unsettled
from fac.program.lower import kind_of
from fac.program.program import Node, Objective, Program, Route
from fac.program.traits import UNKNOWN, Curve, Traits
from fac.spec.layers import Layer, WeightedLayer
from fac.spec.ranks import AutoRank

_CURVES: dict[Any, Curve] = {}
"""By the function that declares it and the settings: a network has hundreds of layers, and a few different ones."""


def curve_of(layer: Layer) -> Curve | None:
    """The curve of an elementwise layer; None if it is none.

    Raises:
        PluginError: what it declares is no curve, or not defined everywhere.
    """
    declare = _declaration(layer, "curve")
    if declare is None:
        return None
    key = declare, _settings(type(layer))(layer)
    try:
        found = _CURVES.get(key)
    except TypeError:  # a setting of a plug-in need not have a hash
        return _curve(declare, layer)
    if found is None:
        found = _CURVES[key] = _curve(declare, layer)
    return found


def probes_of(program: Program) -> list[tuple[ProbeKind, Any]]:
    """What is measured: what the spec asks for, or each kind that is measured where it says nothing.

    Nothing of what is solved: there are no errors to measure.
    """
    if program.spec.solve is not None:
        return []
    if program.spec.probes is None:
        return [(kind, kind.spec()) for kind in kinds("fac.probes") if kind.standard]
    return [(kind_of("fac.probes", spec), spec) for spec in program.spec.probes]


def unsettled(program: Program) -> list[tuple[Objective, Unsettled]]:
    """The losses of which only training data can tell something."""
    found = ((each, kind_of("fac.losses", each.loss).unsettled(each.loss)) for each in program.losses)
    return [(objective, of) for objective, of in found if of is not None]


def unranked(program: Program) -> tuple[Route, ...]:
    """The routes of which a training measures the rank; none of a spec that is whole, or that is solved."""
    if program.spec.solve is not None:
        return ()
    return tuple(route for route in program.routes if auto_rank(route) is not None)


def auto_rank(route: Route) -> AutoRank | None:
    """By what the rank of a route is to be measured; None of one that has a rank, or none at all.

    Raises:
        PluginError: what its kind declares is something else.
    """
    kind = kind_of("fac.feedback", route.matrix)
    found = kind.auto(route.matrix)
    if found is not None and not isinstance(found, AutoRank):
        raise misuse(kind.auto, f"returns {type(found).__name__} where an AutoRank or None is needed")
    return found


def traits_of(node: Node) -> Traits:
    """What is known of a layer. That of a curve is read off it.

    Raises:
        PluginError: what it declares are no traits.
    """
    curve = curve_of(node.layer)
    if curve is not None:
        return curve.traits
    declare = _declaration(node.layer, "traits")
    if declare is None:
        return UNKNOWN
    facts = None if node.shape is None else Facts(node.shape, node.state, node.weight, node.reads)
    traits = declare(node.layer, facts)
    if not isinstance(traits, Traits):
        raise misuse(declare, f"returns {type(traits).__name__} where Traits are needed", node.name)
    return traits


def _declaration(layer: Layer, what: Literal["curve", "traits"]) -> Callable[..., Any] | None:
    """What a kind declares; a block that cannot be written out stands in the program as it is, and declares nothing."""
    kind = kind_of("fac.layers", layer)
    return getattr(kind, what) if isinstance(kind, LayerKind) else None


def _curve(declare: Callable[[Layer], Any], layer: Layer) -> Curve:
    curve = declare(layer)
    if not isinstance(curve, Curve):
        raise misuse(declare, f"returns {type(curve).__name__} where a Curve is needed")
    if not curve.defined:
        raise misuse(declare, "returns a Curve that is not a finite number everywhere from -1e12 to 1e12")
    return curve


@cache
def _settings(model: type[Layer]) -> Callable[[Layer], Any]:
    """Reads the fields that are the kind's own."""
    own = model.model_fields.keys() - WeightedLayer.model_fields.keys()
    return attrgetter(*sorted(own)) if own else lambda _: None
