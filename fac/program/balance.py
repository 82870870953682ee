"""What hidden layers are balanced against in layer-wise feedback, and why some are not (after arXiv 2306.01870).

Let G be the gradients of a hidden layer under the routing, E the error that enters at the value H, and only positively
1-homogeneous layers lie between the two. By Euler's theorem <W, G> + <b, g> = <E, H>. If the one product d F brings
that error, E = d F, the right side is <F, J> with J = d^T H. Where F stands for the weight above, J is its gradient.
Of what an operator adds to d its gradient knows nothing, and the right side is taken as it stands. A route of
`error_scale: sum` sends N d F, N being the samples of the batch: N is a factor of the right side, and of what follows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from fac.program.declared import traits_of
from fac.program.lower import kind_of
from fac.program.program import Node, Program, Route
from fac.program.reading import added, is_weight, learned, multiplies, refresh_of, sends_weight
from fac.program.tensors import Tensor


class Why(Enum):
    """What keeps a law from a layer: the first seven the balance, the others what would be conserved."""

    NOT_HOMOGENEOUS = auto()
    NO_PRODUCT = auto()
    READ_TWICE = auto()
    JOINED = auto()
    SEVERAL_ERRORS = auto()
    UNKNOWN_MATRIX = auto()
    SHARED = auto()
    DIRECT = auto()
    SIGNS = auto()
    MOVES = auto()
    FROZEN = auto()


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, and the names of what is to blame: of nodes, or of kinds of operators and of rules."""

    why: Why
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Balance:
    """A hidden layer, where its error enters, and what it is balanced against."""

    node: Node
    site: Node
    """Whose output is H."""
    above: Node | None = None
    """The layer whose weight has J for its gradient; None beside a direct route from elsewhere."""
    route: Route | None = None
    """Which brings the error; None if the exact pass does."""
    faults: tuple[Reason, ...] = ()
    """Why the two sides differ; empty if they do not."""
    partner: Tensor | None = None
    """What moves so that something is conserved; None if nothing is."""
    square: bool = True
    """Whether that is |partner|^2 / 2, or else <F, partner>."""
    void: Reason | None = None
    """Why nothing is conserved although the two sides are equal."""


def hidden(program: Program) -> list[Node]:
    """Weighted nodes, and tables that whole numbers are looked up in, that learn and have weighted nodes above them.

    What a table makes is linear in it, as what a weight makes of vectors with a single 1.
    """
    return [node for node in program.nodes if node.learns and node.name in program.crossing and _linear(node)]


def _linear(node: Node) -> bool:
    """Whether it is a weight or a table that makes what the layer makes, but for a bias."""
    return node.weighted or (node.parametric and kind_of("fac.layers", node.layer).classes is not None)


def balances(program: Program) -> Iterator[Balance]:
    """One for each of the `hidden` nodes.

    Args:
        program: without findings of the severity `error`.
    """
    through, brought = defaultdict[str, list[Route]](list), defaultdict[str, list[Route]](list)
    for route in program.routes:
        if route.through:
            through[route.node].append(route)
        elif route.site is not None:
            brought[route.site].append(route)
    for node in hidden(program):
        balance = _entry(program, node, through, brought)
        if not balance.faults:
            balance = _conserved(program, balance)
        yield balance


def weight_of(node: Node) -> Tensor:
    """What a weighted node contracts its input with."""
    assert node.weight is not None
    return node.weight


def _entry(
    program: Program,
    node: Node,
    through: Mapping[str, Sequence[Route]],
    brought: Mapping[str, Sequence[Route]],
) -> Balance:
    """Go up to where the error enters."""
    site, faults = node, []
    curved = [] if traits_of(node).homogeneous else [node.name]
    above: Node | None = None
    arriving: Sequence[Route] = ()
    while True:
        if site.name in program.heads:  # its loss adds its part, whatever comes from above
            faults.append(Reason(Why.SEVERAL_ERRORS, (site.name,)))
        arriving = brought.get(site.name, ())
        readers = program.readers.get(site.name, ())
        if arriving:
            if len(readers) == 1 and _reads_error(program, arriving[0], readers[0]):
                above = readers[0]
            break
        if len(readers) != 1:
            faults.append(Reason(Why.READ_TWICE, (site.name,)))
            break
        (reader,) = readers
        if len(reader.inputs) - len(reader.layer.beside) != 1:
            faults.append(Reason(Why.JOINED, (reader.name,)))
            break
        if not traits_of(reader).homogeneous:
            curved.append(reader.name)
        if reader.weighted:
            above, arriving = reader, through.get(reader.name, ())
            if not multiplies(reader):
                faults.append(Reason(Why.NO_PRODUCT, (reader.name,)))
            break
        site = reader
    if len(arriving) > 1 or any(route.add for route in arriving):
        faults.append(Reason(Why.SEVERAL_ERRORS, (site.name,)))
    if curved:
        faults.append(Reason(Why.NOT_HOMOGENEOUS, tuple(curved)))
    # Their gradients are sums over layers, and the two sides are those of one.
    shared = [n.name for n in (node, above) if n is not None and n.owner in program.sharing]
    if shared:
        faults.append(Reason(Why.SHARED, tuple(shared)))
    unknown = [kind.name for r in arriving if (kind := kind_of("fac.feedback", r.matrix)).matrix is None]
    if unknown:
        faults.append(Reason(Why.UNKNOWN_MATRIX, tuple(unknown)))
    return Balance(node, site, above, arriving[0] if arriving else None, tuple(faults))


def _reads_error(program: Program, route: Route, reader: Node) -> bool:
    """Whether a direct route brings what a `through` route at the reader would: the last hidden layer of DFA.

    Of a map it does not: a kernel is one matrix for all places, a direct route has rows and columns for each of them.
    Targets and signs are no errors of the reader, whatever their shape.
    """
    if route.signs or program.of_targets(route.source):
        return False
    source = None if route.source in program.subspace else program.root(route.source)
    ends, weight = route.ends, reader.weight
    return (
        ends is not None
        and weight is not None
        and source == reader.name
        and traits_of(reader).affine
        and (ends.reads, ends.writes) == (weight.reads, weight.writes)
        and multiplies(reader)
    )


def _conserved(program: Program, balance: Balance) -> Balance:
    """What takes the other side of the balance for its gradient, if anything does."""
    route, above, square = balance.route, balance.above, True
    kind = None if route is None else kind_of("fac.feedback", route.matrix)
    if route is not None and kind is not None and not is_weight(route):
        taught = {
            part: way
            for part, rule in kind.learning(route.matrix).items()
            if (way := kind_of("fac.learning", rule)).teaches
        }
        if refresh_of(route):
            return replace(balance, void=Reason(Why.MOVES, ("refresh",)))
        # A kind may also learn by itself, by no rule of the spec.
        turning = sends_weight(route) and not kind.signs(route.matrix)
        more = added(route)
        if turning or learned(route).keys() - taught.keys() - more or (more and not taught):
            return replace(balance, void=Reason(Why.MOVES, (kind.name,)))
        if taught and route.ends is not None and route.ends.shared is not None:
            alike = (
                r.node for r in program.routes if r.ends is not None and r.ends.prefix == route.ends.prefix
            )
            return replace(balance, void=Reason(Why.SHARED, tuple(dict.fromkeys(alike))))
        if taught:
            follower = next((t for t in route.tensors if t.part in taught and taught[t.part].follows), None)
            names = tuple(dict.fromkeys(way.name for way in taught.values()))
            void = None if follower else Reason(Why.MOVES, names)
            return replace(balance, partner=follower, void=void)
        if above is None:
            return replace(balance, void=Reason(Why.SIGNS if route.signs else Why.DIRECT, (route.source,)))
        square = False
    assert above is not None
    if not above.weight_learns:
        return replace(balance, void=Reason(Why.FROZEN, (above.name,)))
    return replace(balance, partner=weight_of(above), square=square)
