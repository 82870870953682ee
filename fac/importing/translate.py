"""From a graph of another framework to a network of layers, operation by operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from fac import plugins
from fac.backend import RESERVED, Call, Ref, Traced
from fac.diagnostics import SpecError
from fac.importing import arithmetic, attention, learned, noise, products, scores, shapes
from fac.importing.applied import READS
from fac.importing.bound import Bound, bound
from fac.importing.layout import Atom, Value, fresh
from fac.importing.network import Network, names
from fac.importing.noise import Noise
from fac.importing.reader import Reader
from fac.importing.scores import Scores, Shares
from fac.program.kinds import Counterpart, LayerKind, NoCounterpartError, Seen

FAMILIES = (shapes, arithmetic, learned, products, noise, attention, scores)
READERS: Mapping[str, Reader] = {op: read for family in FAMILIES for op, read in family.READERS.items()}
"""Operations that are no layer by themselves, by name."""
ALONE = "attention whose scores and shares are read by nothing else, and masks that are multiplied with"
BESIDE = (
    frozenset(op for family in (arithmetic, products, noise, scores) for op in family.READERS) | shapes.SAME
)
"""Those that read what is no tensor, too: masks that are drawn, and scores and shares of an attention."""

HIDING = shapes.SAME | {"aten.add", "aten.sub", "aten.where", "aten.masked_fill"}
"""Those that may stand between scores and their softmax."""


@dataclass(frozen=True, slots=True)
class Refused:
    """What cannot be imported, and why."""

    module: str
    type: str
    op: str
    need: str
    """What would be needed."""

    def __str__(self) -> str:
        place = f"`{self.module}`" if self.module else "the module itself"
        return f"{place} ({self.type or 'no class'}), `{self.op}`: needs {self.need}"


@dataclass
class Translation:
    """A graph on its way to a network."""

    network: Network
    values: dict[str, Any] = field(default_factory=dict)
    """What each name of the graph stands for; what could not be imported has none, or stands for something else."""
    refused: list[Refused] = field(default_factory=list)
    training: set[str] = field(default_factory=set)
    """Calls that are there in training alone."""


def translated(graph: Traced, name: str) -> Translation:
    """The layers of a graph with one input, and what of it cannot be said by layers: all of that.

    Args:
        graph: in training mode.
        name: what layers call the input.
    """
    (fed,) = graph.inputs
    keys = (key for array in graph.arrays.values() for key in (array.key, *array.also))
    network = Network(name, frozenset({name, *RESERVED, *(part for key in keys for part in names(key))}))
    network.shapes[name] = fed.shape[1:]
    own = fresh(fed.shape[1:])
    work = Translation(network, dict(graph.constants))
    work.values[fed.name] = Value(name, own, ((Atom(fed.shape[0], batch=True),), *own))
    for key, array in graph.arrays.items():
        axes = fresh(array.shape)
        work.values[key] = Value("", axes, axes, array)
    live, softened = _live(graph), _softened(graph)
    for call in graph.calls:
        try:
            args = _resolved(work.values, call.args)
        except _LostError:
            continue  # of what is refused already
        try:
            value = _read(work.network, call, args)
            if isinstance(value, Scores) and call.name not in softened:
                raise NoCounterpartError(value.otherwise)
            work.values[call.name] = value
        except NoCounterpartError as error:
            if call.name not in live:
                continue
            work.refused.append(Refused(call.place or call.module, call.type, call.op, str(error)))
            if (stand_in := _instead(network, call, fed.shape[0])) is not None:
                work.values[call.name] = stand_in
            continue
        if _draws(value, args):
            work.training.add(call.name)
    for call in graph.calls:
        if Ref(call.name) in graph.outputs and isinstance(
            work.values.get(call.name), Noise | Scores | Shares
        ):
            work.refused.append(Refused(call.place or call.module, call.type, call.op, ALONE))
    return work


def _live(graph: Traced) -> frozenset[str]:
    """The calls on which the output depends."""
    found = {ref.name for ref in graph.outputs}
    for call in reversed(graph.calls):
        if call.name in found:
            found.update(_named(call.args))
    return frozenset(found)


def _softened(graph: Traced) -> frozenset[str]:
    """The calls of whose results a softmax is taken, be it behind others that leave scores what they are."""
    found = set[str]()
    for call in reversed(graph.calls):
        if call.op == "aten.softmax" or (call.name in found and call.op in HIDING):
            found.update(_named(call.args))
    return frozenset(found)


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, Ref):
        yield value.name
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _named(item)


def _draws(value: Any, args: Mapping[str, Any]) -> bool:
    """Whether a call makes a mask, or uses one, or counts batches."""
    counts = isinstance(value, Value) and value.array is not None and value.array.statistic
    return counts or isinstance(value, Noise) or any(isinstance(arg, Noise) for arg in args.values())


class _LostError(Exception):
    """An argument is made of what is refused."""


def _instead(network: Network, call: Call, n: int) -> Value | None:
    """What stands for the result of an operation that is refused, so that what is behind it is looked at too."""
    if not call.shape or call.shape[0] != n:
        return None
    name, own = f"{call.name} is refused", fresh(call.shape[1:])
    network.shapes[name] = call.shape[1:]
    return Value(name, own, ((Atom(n, batch=True),), *own))


def _resolved(values: Mapping[str, Any], args: Mapping[str, Any]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, Ref):
            if value.name not in values:
                raise _LostError
            return values[value.name]
        return [plain(item) for item in value] if isinstance(value, list) else value

    return {name: plain(value) for name, value in args.items()}


def _read(network: Network, call: Call, args: dict[str, Any]) -> Any:
    """What an operation makes.

    Raises:
        NoCounterpartError: it cannot be said by layers.
    """
    if call.need:
        raise NoCounterpartError(call.need)
    reasons: list[str] = []
    if call.op not in BESIDE and any(isinstance(arg, Noise | Scores | Shares) for arg in args.values()):
        raise NoCounterpartError(ALONE)
    if call.op in READERS:
        found = READERS[call.op](network, call, args)
        if found is not NotImplemented:
            return _fitting(call, found)
    for counterpart in counterparts().get(call.op, ()):
        try:
            return _fitting(call, _layer(network, call, args, counterpart))
        except NoCounterpartError as error:
            reasons.append(str(error))
    raise NoCounterpartError("; or ".join(reasons) or "a layer that does that")


def _fitting(call: Call, value: Any) -> Any:
    """A value, if it has the shape that the module makes there.

    Raises:
        NoCounterpartError: it has another, as of windows that reach over the edge.
    """
    if isinstance(value, Value) and call.shape is not None and value.shape != call.shape:
        raise NoCounterpartError(f"a layer that makes {[*call.shape]} there, not {[*value.shape]}")
    return value


@cache
def counterparts() -> Mapping[str, tuple[Counterpart, ...]]:
    """By operation, what installed kinds of layers say that they are."""
    found: dict[str, tuple[Counterpart, ...]] = {}
    for kind in plugins.kinds("fac.layers"):
        for counterpart in kind.counterparts if isinstance(kind, LayerKind) else ():
            found[counterpart.op] = (*found.get(counterpart.op, ()), counterpart)
    return found


def _layer(network: Network, call: Call, args: dict[str, Any], counterpart: Counterpart) -> Value:
    # of an operation in place the argument may have another name: `dropout_(self)`, `dropout(input)`
    x = args.get(counterpart.input, args.get("self"))
    if not isinstance(x, Value) or x.array is not None:
        raise NoCounterpartError("a tensor that depends on the input of the network")
    arrays = {part: _array(args[part], part) for part in counterpart.arrays if args.get(part) is not None}
    given = {n: v for n, v in args.items() if isinstance(v, Value)}
    seen = Seen(
        {n: v for n, v in args.items() if not isinstance(v, Value)},
        {n: v.shape for n, v in given.items()},
        _axis(x),
    )
    try:
        layer = counterpart.layer(seen)
    except SpecError as error:
        told = "; ".join(finding.message for finding in error.diagnostics)
        raise NoCounterpartError(f"a layer with other settings: {told}") from None
    return READS[counterpart.reads](network, call, layer, x, arrays)


def _array(value: Any, part: str) -> Bound:
    if not isinstance(value, Value) or value.array is None:
        raise NoCounterpartError(f"a `{part}` that is an array of the module, and not computed")
    return bound(value)


def _axis(x: Value) -> Callable[[int], int]:
    def axis(index: int) -> int:
        index %= len(x.axes)
        if not x.alone or index == x.batch:
            raise NoCounterpartError("a layer that does not mix samples")
        return index - (index > x.batch)

    return axis
