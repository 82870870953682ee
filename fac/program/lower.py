"""ModelSpec -> Program. Total: whatever is wrong stays in the program as it was written, and checks report it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from fac import plugins
from fac.diagnostics import Path
from fac.plugins import PluginError, misuse
from fac.program import bounds
from fac.program.adapters import Written, written
from fac.program.ends import ends_of
from fac.program.freezing import frozen
from fac.program.globs import Names, is_glob
from fac.program.kinds import BlockKind, Facts, ShapeError
from fac.program.program import Ends, Fault, Node, Program, Route, Shape, Subspace, Unmatched
from fac.program.scopes import Scope
from fac.program.site import site_of
from fac.program.tensors import Role, Tensor
from fac.program.ties import settled, tied
from fac.spec.base import Model
from fac.spec.feedback import Routing, ShortHand, ThroughRoute, ToRoute
from fac.spec.feedback import Subspace as SubspaceSpec
from fac.spec.layers import Layer, ParametricLayer
from fac.spec.model import ModelSpec


def kind_of(group: str, spec: Model) -> Any:
    """The installed kind that declared the model of `spec`."""
    return _kind(group, type(spec))


@cache
def _kind(group: str, model: type[Model]) -> Any:
    # The nearest one: the model of a plug-in may be made from that of another kind.
    by_spec = {kind.spec: kind for kind in plugins.kinds(group)}
    return next(by_spec[base] for base in model.__mro__ if base in by_spec)


def lower(spec: ModelSpec) -> Program:
    """Resolve names, shapes, sites and short-hands.

    Raises:
        SpecError: it stands for more layers or routes than memory holds, or takes too long to resolve (FAC111).
    """
    network = _network(spec, adapters=True)
    routing = _Written(network)
    sections = spec.feedback if isinstance(spec.feedback, tuple) else (spec.feedback,)
    for index, section in enumerate(sections):
        base: Path = ("feedback", index) if isinstance(spec.feedback, tuple) else ("feedback",)
        if isinstance(section, ShortHand):
            routing.expand(section, base)
        else:
            routing.take(section, base)
    program = replace(
        network,
        nodes=settled(network.nodes, routing.frozen),
        subspaces=tuple(routing.subspaces),
        routes=tuple(routing.routes),
        unmatched=tuple(routing.unmatched),
    )
    program = replace(program, routes=_named(program))
    _few_groups(program)
    return program


def without_adapters(program: Program) -> Program:
    """The network of a program as it stands in its spec before adapters are written out, and with exact errors.

    What weights it has is another matter: see `fac.importing.adapting.merged`.
    """
    network = _network(program.spec, adapters=False)
    return replace(network, nodes=settled(network.nodes, set()))


# -- the network -------------------------------------------------------------------------------------------------


def _network(spec: ModelSpec, adapters: bool) -> Program:
    """The program but for its routing."""
    kind_of_layer = partial(kind_of, "fac.layers")
    bounds.few_layers(spec.layers, kind_of_layer)
    network = Program(spec, ())
    counts = {name: of.classes for name, of in network.inputs.items() if of.classes is not None}
    top = Scope.top(
        {name: of.shape for name, of in network.inputs.items()},
        network.start,
        kind_of_layer,
        partial(node_of, counts=counts),
    )
    chain = tuple(top.chain(spec.layers, top.input, "layers"))
    found = Written(chain, tuple(top.writing.blocks), top.writing.around, ())
    if adapters:
        found = written(
            chain,
            top.writing.blocks,
            top.writing.around,
            spec.adapters,
            kind_of_layer,
            top.writing.make,
            top.writing.shapes,
        )
    nodes = tied(found.nodes, kind_of_layer)
    network = Program(spec, nodes, blocks=found.blocks, scopes=found.scopes, adapted=found.adapted)
    _few_groups(network)
    return replace(network, nodes=frozen(network))


def node_of(
    kind: Any,
    layer: Layer,
    name: str,
    inputs: tuple[str, ...],
    shapes: Mapping[str, Shape | None],
    origin: Path,
    scope: str = "",
    counts: Mapping[str, int] = MappingProxyType({}),
) -> Node:
    """The node of a layer that is no block; without a shape where that of an input is unknown, or where it misfits.

    `counts` says how many whole numbers inputs hold; where that is needed and not known there is no shape either.
    """
    untold = kind.classes is not None and getattr(layer, kind.classes) is None
    if untold and inputs[0] in counts:
        layer, untold = layer.model_copy(update={kind.classes: counts[inputs[0]]}), False
    trainable = not isinstance(layer, ParametricLayer) or layer.trainable
    node = partial(Node, name, layer, inputs, origin=origin, trainable=trainable, scope=scope)
    known = [shape for shape in map(shapes.get, inputs) if shape is not None]
    if len(known) < len(inputs) or untold:
        return node(shape=None)
    try:
        facts = kind.infer(layer, name, known)
        _meant(kind, name, facts)
    except ShapeError as error:
        return node(shape=None, fault=Fault(str(error), error.help, error.field))
    except PluginError as error:
        return node(shape=None, fault=Fault(error.fact, error.help, plugin=True))
    return node(
        shape=facts.shape,
        tensors=facts.tensors,
        weight=facts.weight,
        reads=tuple(known),
        channels=None if facts.channels is None else facts.channels % len(facts.shape),
        axes=axes_of(facts, known),
        stops=facts.stops,
        sights=facts.sights,
    )


def axes_of(facts: Facts, read: Sequence[Shape]) -> tuple[int | None, ...] | None:
    """Of what it reads first, for each axis of its output; the same ones, if nothing is said and there are as many."""
    if facts.axes is not None or not read or len(read[0]) != len(facts.shape):
        return facts.axes
    return tuple(range(len(facts.shape)))


def reading(node: Node, shapes: Sequence[Shape]) -> Node:
    """The node if it read these shapes. A block that nothing came of stays what it is."""
    kind, known = kind_of("fac.layers", node.layer), dict(zip(node.inputs, shapes, strict=True))
    if isinstance(kind, BlockKind):
        return node
    return node_of(kind, node.layer, node.name, node.inputs, known, node.origin)


def _meant(kind: Any, name: str, facts: object) -> None:
    """Refuse what is no description of a layer.

    Raises:
        PluginError: a shape that is none, or tensors that are not called after the node.
    """
    if not isinstance(facts, Facts) or not all(isinstance(tensor, Tensor) for tensor in facts.tensors):
        raise misuse(kind.infer, f"returns {type(facts).__name__} where Facts are needed", name)
    for what, shape in {name: facts.shape, **{t.name: t.shape for t in facts.tensors}}.items():
        if not isinstance(shape, tuple) or not all(type(dim) is int and dim > 0 for dim in shape):
            raise misuse(
                kind.infer, f"says the shape {shape!r} of `{what}`: a tuple of sizes is needed", name
            )
    if facts.channels is not None and not -len(facts.shape) <= facts.channels < len(facts.shape):
        problem = f"says that channels lie along axis {facts.channels} of {list(facts.shape)}"
        raise misuse(kind.infer, f"{problem}: there is no such axis", name)
    named = [f"{name}.{t.part}" for t in facts.tensors]
    if [t.name for t in facts.tensors] != named or len(set(named)) < len(named):
        found = ", ".join(f"`{t.name}`" for t in facts.tensors)
        problem = f"calls its tensors {found}: each needs a name of its own such as `{name}.weight`"
        raise misuse(kind.infer, problem, name)
    for tensor in facts.tensors:
        if tensor.role is Role.STATISTIC and tensor.trainable:
            problem = f"says that `{tensor.name}` is a statistic and trainable: updates move parameters"
            raise misuse(kind.infer, problem, name)
    if facts.weight is None:
        return
    own = next((t for t in facts.tensors if t.name == facts.weight.name), None)
    if own is None:
        raise misuse(kind.infer, f"says the weight `{facts.weight.name}`, which is none of its tensors", name)
    if own.size != facts.weight.size or len(facts.weight.shape) < 2:
        problem = (
            f"says the weight `{own.name}` {list(facts.weight.shape)}, and the tensor {list(own.shape)}: "
        )
        raise misuse(kind.infer, f"{problem}the same numbers as [reads, ...] are needed", name)


# -- the routing -------------------------------------------------------------------------------------------------


@dataclass
class _Written:
    """What the sections of `feedback` say, one after the other. All see the network as it stands in the file."""

    program: Program
    routes: list[Route] = field(default_factory=list)
    subspaces: list[Subspace] = field(default_factory=list)
    unmatched: list[Unmatched] = field(default_factory=list)
    frozen: set[str] = field(default_factory=set)
    matches: int = 0

    @property
    def most(self) -> int:
        """How many routes there may be."""
        return max(bounds.MAX_ROUTES, 3 * len(self.program.nodes))

    def expand(self, section: ShortHand, origin: Path) -> None:
        """Add what a short-hand stands for."""
        self._count(1 + sum(map(is_glob, section.globs)), origin)
        kind = kind_of("fac.rules", section)
        expansion = kind.expand(section, self.program)
        names = _nameable(self.program, kind.direct)
        if not section.globs:
            self.unmatched.append(Unmatched((*origin, "nodes"), "", kind.direct))
        for index, glob in enumerate(section.globs):
            if glob != "*" and not names.matching(glob):
                one = isinstance(section.nodes, str)
                path: Path = (*origin, "nodes") if one else (*origin, "nodes", index)
                self.unmatched.append(Unmatched(path, glob, kind.direct))
        self.frozen.update(expansion.frozen)
        self.subspaces += (_subspace(self.program, s, origin) for s in expansion.subspaces)
        self._add(expansion.routes, origin)

    def take(self, section: Routing, base: Path) -> None:
        """Add a long form."""
        for index, subspace in enumerate(section.subspaces):
            self.subspaces.append(_subspace(self.program, subspace, (*base, "subspaces", index)))
        exact = {side: {getattr(route, side, None) for route in section.routes} for side in ("through", "to")}
        for index, route in enumerate(section.routes):
            origin: Path = (*base, "routes", index)
            name = "through" if isinstance(route, ThroughRoute) else "to"
            glob: str = getattr(route, name)
            if not is_glob(glob):
                self._add((route,), origin)
                continue
            self._count(1, origin)
            matched = _nameable(self.program, name == "to").matching(glob)
            # a route that names a layer counts there before one that means it among others, unless that one adds
            adds = isinstance(route, ToRoute) and route.combine == "add"
            names = [node for node in matched if adds or node not in exact[name]]
            if not names:
                self.unmatched.append(Unmatched((*origin, name), glob, name == "to", bool(matched)))
            self._add((route.model_copy(update={name: node}) for node in names), origin)

    def _add(self, routes: Iterable[ThroughRoute | ToRoute], origin: Path) -> None:
        for route in routes:
            self.routes.append(_route(self.program, route, origin))
            if len(self.routes) > self.most:
                message = f"up to here the spec stands for more than {self.most:,} routes"
                raise bounds.too_large(origin, message, "name fewer layers")

    def _count(self, globs: int, origin: Path) -> None:
        self.matches += globs * len(self.program.nodes)
        if self.matches > bounds.MAX_MATCHES:
            message = (
                f"up to here there are too many globs and short-hands for {len(self.program.nodes):,} layers"
            )
            raise bounds.too_large(origin, message, "write fewer")


def _few_groups(program: Program) -> None:
    """Refuse what would take too long to match, before anybody does."""
    matches = 0
    first = {group.match: i for i, group in reversed(tuple(enumerate(program.groups)))}
    for glob, index in sorted(first.items(), key=itemgetter(1)):
        matches += program.array_names.near(glob)
        if matches > bounds.MAX_MATCHES:
            message = (
                f"up to here there are too many globs for the parameters of {len(program.nodes):,} layers"
            )
            raise bounds.too_large(("update", "groups", index, "match"), message, "write fewer")


def selected(program: Program, globs: Sequence[str], *, direct: bool = False) -> list[Node]:
    """The weighted nodes that one of the globs names, in the order of the network.

    Args:
        program: whose nodes they are.
        globs: as the `nodes` of a short-hand.
        direct: all nodes with parameters, for rules that bring errors to layers (`RuleKind.direct`).
    """
    names = _nameable(program, direct)
    named = {name for glob in globs for name in names.matching(glob)}
    return [node for node in (program.parametric if direct else program.weighted) if node.name in named]


def _nameable(program: Program, direct: bool) -> Names:
    """The names that a glob may mean: feedback goes through weights, and to parameters."""
    return program.parametric_names if direct else program.weighted_names


def _subspace(program: Program, spec: SubspaceSpec, origin: Path) -> Subspace:
    subspace = Subspace(spec.name, program.meant(spec.of), spec.rank, spec.basis, origin)
    dim = program.width(subspace.of)
    if dim is None:
        return subspace
    p = Tensor(f"{spec.name}.feedback.P", (spec.rank, dim), "orthogonal", dim, spec.rank, Role.FEEDBACK)
    return replace(subspace, tensors=(p,))


def _route(program: Program, spec: ThroughRoute | ToRoute, origin: Path) -> Route:
    if isinstance(spec, ThroughRoute):
        return Route(spec.through, True, spec.through, spec.matrix, origin)
    at = program.meant(spec.at) if spec.at else None
    site = at if at in program.by_name else None if at else site_of(program, spec.to)
    source, add = program.meant(spec.from_), spec.combine == "add"
    sums = spec.error_scale == "sum"
    return Route(
        spec.to, False, source, spec.matrix, origin, site, add, spec.share, signs=spec.signs, sums=sums
    )


@dataclass
class _Prefixes:
    """What the state of routes is called: after the layer whose parameters those of its node are.

    A second route there counts on, `fc1.feedback.2.B`, but for those of layers that share their parameters: routes that
    say the same at several of them are one matrix.
    """

    program: Program
    known: dict[str, list[tuple[object, set[str]]]] = field(default_factory=dict)
    """For each such layer what its routes say, and at which nodes."""

    def of(self, route: Route, ends: Ends | None, *, shared: bool) -> str:
        """The prefix of a route, the ends of which have none yet; `shared` if it has rows of what others have, too."""
        if ends is not None and shared:
            # Of whoever reads an error in the same way, whichever layers they feed.
            owner = self._owner(self.program.root(route.source) or "")
            return self._numbered(owner, (route.source, route.matrix, ends.reads), None)
        said = (
            route.through,
            self._owner(route.source),
            route.matrix,
            ends and replace(ends, prefix="", places=1, copies=1, step=None, summed=1, mask=None),
        )
        return self._numbered(self._owner(route.node), said, route.node)

    def _numbered(self, owner: str, said: object, at: str | None) -> str:
        """That of the first matrix there of which the same is said; not of one that has a route at that layer."""
        routes = self.known.setdefault(owner, [])
        number = next((i for i, (s, nodes) in enumerate(routes) if s == said and at not in nodes), None)
        if number is None:
            number = len(routes)
            routes.append((said, set()))
        if at is not None:
            routes[number][1].add(at)
        return f"{owner}.feedback.{number + 1}" if number else f"{owner}.feedback"

    def _owner(self, name: str) -> str:
        node = self.program.by_name.get(name)
        return name if node is None else node.owner


def _named(program: Program) -> tuple[Route, ...]:
    """Give each route its ends and its state."""
    ends = [ends_of(program, route, "") for route in program.routes]
    tried = _Prefixes(program)
    groups: dict[str, list[int]] = {}
    for index, (route, known) in enumerate(zip(program.routes, ends, strict=True)):
        if (
            known is not None
            and not route.through
            and kind_of("fac.feedback", route.matrix).shared(route.matrix)
        ):
            groups.setdefault(tried.of(route, known, shared=True), []).append(index)
    # Who has nobody to share with has a matrix of its own.
    sharing = {index: routes for routes in groups.values() if len(routes) > 1 for index in routes}
    prefixes, named = _Prefixes(program), list[Route]()
    for index, (route, known) in enumerate(zip(program.routes, ends, strict=True)):
        prefix = prefixes.of(route, known, shared=index in sharing)
        if known is None:
            named.append(route)
            continue
        widths = (other.writes for i in sharing.get(index, ()) if (other := ends[i]) is not None)
        own = replace(known, prefix=prefix, shared=max(widths, default=None))
        kind = kind_of("fac.feedback", route.matrix)
        tensors = () if kind.misfit(route.matrix, own) else kind.tensors(route.matrix, own)
        named.append(replace(route, ends=own, tensors=tensors))
    return tuple(named)
