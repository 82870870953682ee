"""The long form of a spec: what its short-hands stand for, written out in the spec's own vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from pydantic.fields import FieldInfo

from fac.diagnostics import Path
from fac.program.lower import lower
from fac.program.program import Node, Program, Route, Subspace
from fac.program.site import site_of
from fac.program.tensors import Role
from fac.render.blocks import Tree, globs
from fac.render.yaml import dump
from fac.spec.base import Model
from fac.spec.feedback import Learning, ThroughRoute, ToRoute
from fac.spec.feedback import Subspace as SubspaceSpec
from fac.spec.layers import ParametricLayer
from fac.spec.model import ModelSpec

DISCRIMINATORS = ("kind", "rule", "source")
"""Fields that say which member of a union a mapping is. They are never left out."""

LEADING = (*DISCRIMINATORS, "name", "through", "to", "of", "from_")
"""Fields that stand first, in this order; other required fields follow, then the rest."""

Written = Callable[[Model, str, FieldInfo], bool]


def expanded(program: Program, blocks: bool = False) -> str:
    """YAML that lowers to the same program, with `feedback` as subspaces and routes. See `expanded_data`."""
    return dump(expanded_data(program, blocks))


def expanded_data(program: Program, blocks: bool = False) -> dict[str, Any]:
    """The long form as plain data.

    Globs and short-hands become one route per layer, layers that a short-hand freezes say so,
    layers that a route names have a name, and blocks are the layers that they stand for. All else is as the spec
    has it.

    Args:
        program: without findings of the severity `error`.
        blocks: leave blocks as they are, and the routes to one layer of all copies one route, where that means the
            same: a short-hand may freeze a layer in some copies only.
    """
    if blocks and program.blocks:
        layers = _plain(program.spec.layers, _as_written)
        for node in program.nodes:
            if node.state and not node.trainable:
                layers = _frozen(layers, node.origin[1:], _staying(program, node))
        data = _ordered(program, layers, _feedback(program, Tree(program).copies))
        if _meaning(lower(ModelSpec.model_validate(data))) == _meaning(program):
            return data
    return _ordered(program, tuple(_layers(program)), _feedback(program))


def as_written(spec: ModelSpec) -> dict[str, Any]:
    """A spec as plain data, without what is left at its default."""
    return _sorted(_plain(spec, _as_written))


def _ordered(program: Program, layers: tuple[Any, ...], feedback: dict[str, Any]) -> dict[str, Any]:
    data = _plain(program.spec, _as_written)
    data["layers"] = _plain(layers, _as_written)
    if program.spec.solve is None:
        data["feedback"] = feedback
    return _sorted(data)


def _sorted(data: dict[str, Any]) -> dict[str, Any]:
    sections = ("fac", "name", "input", "inputs", "layers", "losses", "loss", "feedback")
    first = [key for key in sections if key in data]
    return {key: data[key] for key in (*first, *(key for key in data if key not in first))}


def _frozen(value: Any, path: Path, facts: Mapping[str, Any]) -> Any:
    """Plain data of layers in which the one at a path does not learn, as the facts say."""
    if not path:
        return {**value, **facts}
    first, rest = path[0], path[1:]
    if isinstance(value, Mapping):
        return {key: _frozen(item, rest, facts) if key == first else item for key, item in value.items()}
    return tuple(_frozen(item, rest, facts) if place == first else item for place, item in enumerate(value))


def _staying(program: Program, node: Node) -> dict[str, Any]:
    """What a layer says that does not learn, beyond what it and groups of the update say anyway."""
    layer = node.layer
    if node.trainable or not isinstance(layer, ParametricLayer) or not layer.trainable:
        return {}
    if all(tensor.name in program.kept for tensor in node.state if tensor.role is Role.PARAMETER):
        return {}
    said = layer.frozen()
    return {name: getattr(said, name) for name in said.model_fields_set - layer.model_fields_set} | {
        "trainable": False
    }


def _meaning(program: Program) -> object:
    """All that a program says, wherever it is written."""
    nodes = [(n.name, n.inputs, n.trainable, n.still, n.tensors, n.shared) for n in program.nodes]
    routes = sorted((replace(route, origin=()) for route in program.routes), key=attrgetter("node"))
    return nodes, routes, [replace(subspace, origin=()) for subspace in program.subspaces]


def _layers(program: Program) -> Iterator[dict[str, Any]]:
    named = {end for route in program.routes for end in (route.node, route.source, _at(program, route))}
    named |= {name for owner, nodes in program.sharing.items() for name in (owner, *(n.name for n in nodes))}
    named |= {subspace.of for subspace in program.subspaces}
    previous = program.start
    for node in program.nodes:
        # Names inside of blocks are relative, and a layer's number of its kind counts in its own scope.
        facts: dict[str, object] = {"name": node.name} if program.blocks or node.name in named else {}
        if program.blocks:
            beside = node.layer.beside
            read = node.inputs[: len(node.inputs) - len(beside)]
            if node.layer.from_ is not None or read != (previous,):
                facts["from_"] = read[0] if len(read) == 1 else read
            facts |= dict(zip(beside, node.inputs[len(read) :], strict=True))
        facts |= _staying(program, node)
        facts |= {"tie": node.tie} if node.shared else {}
        previous = node.name
        yield _plain(node.layer.model_copy(update=facts), _as_written)


def written_routes(program: Program, routes: Iterable[Route]) -> tuple[dict[str, Any], ...]:
    """Routes in the long form, as plain data: each one layer, by its full name."""
    return tuple(_plain(_route(program, route), _explicit) for route in routes)


def written_subspaces(subspaces: Iterable[Subspace]) -> tuple[dict[str, Any], ...]:
    """Subspaces in the long form, as plain data."""
    return tuple(_plain(_subspace(s), _explicit) for s in subspaces)


def _feedback(program: Program, copies: Mapping[str, int] = MappingProxyType({})) -> dict[str, Any]:
    subspaces = written_subspaces(program.subspaces)
    alike: dict[str, list[dict[str, Any]]] = {}
    for number, found in enumerate(written_routes(program, program.routes)):
        alike.setdefault(repr({**found, _end(found): ""}) if copies else str(number), []).append(found)
    routes = tuple(
        {**same[0], _end(same[0]): name}
        for same in alike.values()
        for name in globs(copies, (found[_end(found)] for found in same))
    )
    return ({"subspaces": subspaces} if subspaces else {}) | {"routes": routes}


def _end(route: Mapping[str, Any]) -> str:
    """The key that says at which layer a route stands."""
    return "through" if "through" in route else "to"


def _subspace(subspace: Subspace) -> SubspaceSpec:
    return SubspaceSpec(name=subspace.name, of=subspace.of, rank=subspace.rank, basis=subspace.basis)


def _route(program: Program, route: Route) -> ThroughRoute | ToRoute:
    if route.through:
        return ThroughRoute(through=route.node, matrix=route.matrix)
    ends = {"to": route.node, "from": route.source, "at": _at(program, route)}
    said = {
        "matrix": route.matrix,
        "combine": "add" if route.add else "replace",
        "share": route.share,
        "error_scale": "sum" if route.sums else "mean",
        "signs": route.signs,
    }
    return ToRoute.model_validate(ends | said)


def _at(program: Program, route: Route) -> str | None:
    """What `at` has to say: nothing where the error enters at the layer's own site."""
    return None if route.through or route.site == site_of(program, route.node) else route.site


def _as_written(model: Model, name: str, field: FieldInfo) -> bool:
    return name in model.model_fields_set or getattr(model, name) != _default(field)


def _explicit(model: Model, name: str, field: FieldInfo) -> bool:
    """Whoever asks for the long form wants to see sources and learning rules, default or not."""
    value = getattr(model, name)
    shown = isinstance(value, Learning) or name in ("from_", "of")
    return shown or field.is_required() or value != _default(field)


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True)


def _plain(value: Any, written: Written) -> Any:
    """Models as dicts by alias, of those fields that are `written`; tuples and mappings item by item."""
    if isinstance(value, tuple):
        return tuple(_plain(item, written) for item in value)
    if isinstance(value, Mapping):
        return {key: _plain(item, written) for key, item in value.items()}
    if not isinstance(value, Model):
        return value
    fields: Mapping[str, FieldInfo] = type(value).model_fields
    names = sorted(fields, key=lambda name: (_place(name), not fields[name].is_required()))
    return {
        fields[name].alias or name: _plain(getattr(value, name), written)
        for name in names
        if name in DISCRIMINATORS or written(value, name, fields[name])
    }


def _place(name: str) -> int:
    """Before all else stands what kind of thing a mapping is, what it is called, and where it stands."""
    return LEADING.index(name) if name in LEADING else len(LEADING)
