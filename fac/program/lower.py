"""ModelSpec -> Program. Total: whatever is wrong stays in the program as it was written, and checks report it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from math import prod
from typing import Any

from fac import plugins
from fac.diagnostics import Path
from fac.program.kinds import ShapeError
from fac.program.program import INPUT, Ends, Fault, Node, Program, Route, Shape, Subspace
from fac.program.site import site_of
from fac.program.tensors import Role, Tensor
from fac.spec.base import Model
from fac.spec.feedback import Routing, ShortHand, ThroughRoute, ToRoute
from fac.spec.feedback import Subspace as SubspaceSpec
from fac.spec.layers import Layer, WeightedLayer
from fac.spec.model import ModelSpec


def kind_of(group: str, spec: Model) -> Any:
    """The installed kind that declared the model of `spec`."""
    return next(kind for kind in plugins.kinds(group) if isinstance(spec, kind.spec))


def lower(spec: ModelSpec) -> Program:
    """Resolve names, shapes, sites and short-hands."""
    program = Program(spec, tuple(_nodes(spec)))
    sections = spec.feedback if isinstance(spec.feedback, tuple) else (spec.feedback,)
    for index, section in enumerate(sections):
        base: Path = ("feedback", index) if isinstance(spec.feedback, tuple) else ("feedback",)
        if isinstance(section, ShortHand):
            program = _expand(program, section, base)
        else:
            program = _explicit(program, section, base)
    return replace(program, routes=_named(program))


# -- the network -------------------------------------------------------------------------------------------------


def _nodes(spec: ModelSpec) -> Iterable[Node]:
    shapes: dict[str, Shape | None] = {INPUT: spec.input.shape}
    previous, counts = INPUT, Counter[str]()
    for index, layer in enumerate(spec.layers):
        kind = kind_of("fac.layers", layer)
        counts[kind.name] += 1
        name = layer.name or f"{kind.name}_{counts[kind.name]}"
        node = _node(kind, layer, name, layer.reads or (previous,), shapes, ("layers", index))
        shapes.setdefault(name, node.shape)
        previous = name
        yield node


def _node(
    kind: Any, layer: Layer, name: str, inputs: tuple[str, ...], shapes: dict[str, Shape | None], origin: Path
) -> Node:
    trainable = not isinstance(layer, WeightedLayer) or layer.trainable
    node = Node(name, layer, inputs, None, origin, trainable=trainable)
    known = [shape for shape in map(shapes.get, inputs) if shape is not None]
    if len(known) < len(inputs):
        return node
    try:
        facts = kind.infer(layer, name, known)
    except ShapeError as error:
        return replace(node, fault=Fault(str(error), error.help, error.field))
    tensors = tuple(replace(t, trainable=trainable) for t in facts.tensors)
    return replace(node, shape=facts.shape, tensors=tensors, contraction=facts.contraction)


# -- the routing -------------------------------------------------------------------------------------------------


def _expand(program: Program, section: ShortHand, origin: Path) -> Program:
    expansion = kind_of("fac.rules", section).expand(section, program)
    unmatched = tuple(
        ((*origin, "nodes") if isinstance(section.nodes, str) else (*origin, "nodes", index), glob)
        for index, glob in enumerate(section.globs)
        if not _matches(program, glob) and glob != "*"
    )
    program = replace(
        program,
        nodes=tuple(replace(n, trainable=False) if n.name in expansion.frozen else n for n in program.nodes),
        subspaces=program.subspaces + tuple(_subspace(program, s, origin) for s in expansion.subspaces),
        unmatched=program.unmatched + unmatched,
    )
    program = replace(program, nodes=tuple(map(_frozen, program.nodes)))
    return replace(
        program, routes=program.routes + tuple(_route(program, r, origin) for r in expansion.routes)
    )


def _frozen(node: Node) -> Node:
    return (
        node
        if node.trainable
        else replace(node, tensors=tuple(replace(t, trainable=False) for t in node.tensors))
    )


def _explicit(program: Program, section: Routing, base: Path) -> Program:
    subspaces = tuple(_subspace(program, s, (*base, "subspaces", i)) for i, s in enumerate(section.subspaces))
    program = replace(program, subspaces=program.subspaces + subspaces)
    routes: list[Route] = []
    unmatched: list[tuple[Path, str]] = []
    for index, route in enumerate(section.routes):
        origin: Path = (*base, "routes", index)
        field = "through" if isinstance(route, ThroughRoute) else "to"
        glob = route.through if isinstance(route, ThroughRoute) else route.to
        names = _matches(program, glob) if _is_glob(glob) else [glob]
        if not names:
            unmatched.append(((*origin, field), glob))
        routes += [_route(program, route.model_copy(update={field: name}), origin) for name in names]
    return replace(
        program, routes=program.routes + tuple(routes), unmatched=program.unmatched + tuple(unmatched)
    )


def _is_glob(name: str) -> bool:
    return any(c in name for c in "*?[")


def _matches(program: Program, glob: str) -> list[str]:
    return [node.name for node in program.weighted if fnmatchcase(node.name, glob)]


def selected(program: Program, globs: Sequence[str]) -> list[Node]:
    """The weighted nodes that one of the globs names, in the order of the network."""
    return [node for node in program.weighted if any(fnmatchcase(node.name, glob) for glob in globs)]


def _subspace(program: Program, spec: SubspaceSpec, origin: Path) -> Subspace:
    subspace = Subspace(spec.name, spec.of, spec.rank, spec.basis, origin)
    dim = program.dim(spec.of)
    if dim is None:
        return subspace
    p = Tensor(f"{spec.name}.feedback.P", (spec.rank, dim), "orthogonal", dim, spec.rank, Role.FEEDBACK)
    return replace(subspace, tensors=(p,))


def _route(program: Program, spec: ThroughRoute | ToRoute, origin: Path) -> Route:
    if isinstance(spec, ThroughRoute):
        return Route(spec.through, True, spec.through, spec.matrix, origin)
    site = spec.at if spec.at in program.by_name else None if spec.at else site_of(program, spec.to)
    return Route(spec.to, False, spec.from_, spec.matrix, origin, site, spec.combine == "add")


def _named(program: Program) -> tuple[Route, ...]:
    """Give each route its ends and its state. A second route at one node counts on: `fc1.feedback.2.B`."""
    counts, routes = Counter[str](), list[Route]()
    for route in program.routes:
        counts[route.node] += 1
        prefix = f"{route.node}.feedback"
        if counts[route.node] > 1:
            prefix += f".{counts[route.node]}"
        ends = _ends(program, route, prefix)
        if ends is None:
            routes.append(route)
            continue
        kind = kind_of("fac.feedback", route.matrix)
        tensors = () if kind.misfit(route.matrix, ends) else kind.tensors(route.matrix, ends)
        routes.append(replace(route, ends=ends, tensors=tensors))
    return tuple(routes)


def _ends(program: Program, route: Route, prefix: str) -> Ends | None:
    node = program.by_name.get(route.node)
    if node is None or not node.weighted or node.shape is None:
        return None
    if route.through:
        weight = next(t for t in node.tensors if t.name == f"{node.name}.{node.contraction}")
        return Ends(prefix, weight.shape[0], prod(weight.shape[1:]), weight)
    reads = program.dim(route.source)
    site = None if route.site is None else program.by_name[route.site]
    if reads is None or site is None or site.shape is None:
        return None
    return Ends(prefix, reads, prod(site.shape))
