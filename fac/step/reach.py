"""How far each place of a value reaches into an input: the last of its places that has a say.

For a network that is to tell what comes next. Followed op by op, without a number being computed: `fac check` asks it.

Places lie along one axis of a value, and keep their order when it is reshaped; so a `Reach` speaks of row-major order.
What an op does along that axis is one of few things: nothing, a shift, windows, or a mixture of all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import accumulate

from fac.step.ir import Function, Op, Value
from fac.step.ops.activations import ACTIVATIONS
from fac.step.ops.elementwise import ELEMENTWISE
from fac.step.ops.integers import INTEGERS
from fac.step.ops.maps import whole
from fac.step.ops.resampling import weights, windowed
from fac.step.ops.shapes import axes_of
from fac.step.ops.units import UNITS
from fac.step.types import Dim, N, Shape, numel

BATCH = 1_000_003
"""What the batch size is taken for: a prime, which no other dimension has for a factor."""

Bound = tuple[int, str]
"""The last place that is read, and the node that first read so far."""
NOTHING: Bound = (-1, "")


@dataclass(frozen=True, slots=True)
class Reach:
    """Of the numbers of a value in row-major order, `inner` at a time have one of `bounds`, in turn.

    It is that of the one among them that reaches furthest.
    """

    bounds: tuple[Bound, ...] = (NOTHING,)
    inner: int = 1
    uneven: bool = False
    """Whether others among them may not reach as far: some of them alone may read less."""
    pattern: bool = False
    """Whether numbers that the network has fixed are in it, which may hide places, as those of a mask do."""

    @property
    def even(self) -> bool:
        """Whether all numbers reach equally far."""
        return len(self.bounds) == 1


@dataclass(frozen=True, slots=True)
class At:
    """The reach of a value along one of its axes: `stride` indices at a time have one bound."""

    axis: int
    stride: int
    reach: Reach

    def moved(self, axis: int, shape: Shape) -> Reach:
        """The same of a value in which the axis is another one, or others have other sizes."""
        return replace(self.reach, inner=self.stride * _size(shape[axis + 1 :]))


def ahead(function: Function, name: str, output: Value, spared: Set[str] = frozenset()) -> tuple[str, ...]:
    """The nodes by which a place of an output is surely made of later places of an input.

    Args:
        function: any.
        name: of the input, whose places lie along its last axis.
        output: as many places, along the axis behind the batch.
        spared: nodes that are taken to mix no places.
    """
    source = next(value for value in function.inputs if value.name == name)
    start = places(source, len(source.type.shape) - 1)
    found = reaches(function, {source: start}, spared)[output]
    along = _along(found, output.type.shape)
    bounds = found.bounds
    if along is None or (along.axis, along.stride, len(bounds)) != (1, 1, len(start.bounds)):
        bounds = (bounds if found.even else (NOTHING,)) * len(start.bounds)
    return tuple(dict.fromkeys(node for place, (last, node) in enumerate(bounds) if last > place))


def places(value: Value, axis: int) -> Reach:
    """Of a value that is read: each place along an axis is made of itself."""
    size = value.type.shape[axis]
    assert isinstance(size, int)
    return Reach(tuple((place, "") for place in range(size)), _size(value.type.shape[axis + 1 :]))


def reaches(
    function: Function, start: Mapping[Value, Reach], spared: Set[str] = frozenset()
) -> Mapping[Value, Reach]:
    """The reach of every value, into inputs that have one. Where it is not known, what it is at the least."""
    found = {value: start.get(value, Reach()) for value in function.inputs}
    for op in function.ops:
        operands = [found[value] for value in op.operands]
        rule = RULES.get(op.kind, _unknown) if op.origin.node not in spared else _unknown
        made = rule(op, operands)
        pattern = made.pattern or any(reach.pattern for reach in operands)
        uneven = made.uneven or (any(reach.uneven for reach in operands) and not _mixed(op, operands))
        found[op.result] = replace(made, pattern=pattern, uneven=uneven and made.bounds != (NOTHING,))
    return found


def _mixed(op: Op, operands: Sequence[Reach]) -> bool:
    """Whether each number is made of all that have one bound, as the rows of a product are."""
    numbers, rows = operands[0], op.operands[0].type.shape
    if op.kind != "matmul" or op["ta"] or operands[1].uneven:
        return False
    return numbers.inner == _size(rows[1:]) or (numbers.even and rows[0] == N)


def _size(shape: Shape) -> int:
    return numel(shape, BATCH)


def _along(reach: Reach, shape: Shape) -> At | None:
    """The axis along which a reach changes; None if there is none, or more than one."""
    behind, turn = 1, reach.inner * len(reach.bounds)
    for axis in reversed(range(len(shape))):
        size = behind * _size((shape[axis],))
        if reach.inner % behind == 0 and size % turn == 0:
            return None if reach.even else At(axis, reach.inner // behind, reach)
        behind = size
    return None


def _most(bounds: Sequence[Bound], node: str) -> Bound:
    """The furthest, which is the doing of this node unless all reach as far."""
    last = max(bound[0] for bound in bounds)
    if all(bound[0] == last for bound in bounds):
        return bounds[0]
    return last, node


def _further(one: Bound, other: Bound) -> Bound:
    return other if other[0] > one[0] else one


def _all(op: Op, reach: Reach, *, sure: bool = True) -> Reach:
    """What is made of all numbers of a value; of nobody knows which of them, if it is not sure."""
    return Reach((_most(reach.bounds, op.origin.node),)) if sure else Reach()


def _joined(op: Op, found: Iterable[Reach]) -> Reach:
    """What is made of several, number by number: of two whose places lie along different axes, the first says it."""
    made = Reach()
    for reach in sorted(found, key=lambda reach: -len(reach.bounds)):
        if (
            not made.even
            and not reach.even
            and (made.inner, len(made.bounds)) != (reach.inner, len(reach.bounds))
        ):
            reach = _all(op, reach, sure=False)
        if made.even and reach.even:
            made = Reach((_further(made.bounds[0], reach.bounds[0]),))
        elif reach.even:
            made = replace(made, bounds=tuple(_further(bound, reach.bounds[0]) for bound in made.bounds))
        elif made.even:
            made = replace(reach, bounds=tuple(_further(bound, made.bounds[0]) for bound in reach.bounds))
        elif made.bounds is not reach.bounds:
            pairs = zip(made.bounds, reach.bounds, strict=True)
            made = replace(made, bounds=tuple(_further(*pair) for pair in pairs))
    return made


def _unknown(op: Op, operands: Sequence[Reach]) -> Reach:
    return Reach()


def _fixed(op: Op, operands: Sequence[Reach]) -> Reach:
    return Reach(pattern=True)


def _elementwise(op: Op, operands: Sequence[Reach]) -> Reach:
    return _joined(op, (_stretched(op, i, reach) for i, reach in enumerate(operands)))


def _stretched(op: Op, place: int, reach: Reach) -> Reach:
    """The reach of an operand that is broadcast to the result."""
    shape, whole = op.operands[place].type.shape, op.result.type.shape
    if reach.even or shape == whole:
        return reach
    at = _along(reach, shape)
    return _all(op, reach, sure=False) if at is None else at.moved(at.axis + len(whole) - len(shape), whole)


def _reshaped(op: Op, operands: Sequence[Reach]) -> Reach:
    return operands[0]


def _turned(op: Op, operands: Sequence[Reach]) -> Reach:
    return _mapped(op, operands[0], 0, lambda axis: axes_of(dict(op.attributes)).index(axis))


def _mapped(
    op: Op, reach: Reach, place: int, axis: Callable[[int], int | None], *, sure: bool = True
) -> Reach:
    """The reach of an operand whose axes are others in the result, or None where they are summed over."""
    if reach.even:
        return reach
    at = _along(reach, op.operands[place].type.shape)
    if at is None:
        return _all(op, reach, sure=False)
    new = axis(at.axis)
    return _all(op, reach, sure=sure) if new is None else at.moved(new, op.result.type.shape)


def _reduced(op: Op, operands: Sequence[Reach]) -> Reach:
    """Sums, means and maxima. What a pattern hides may add nothing."""
    axes = axes_of(dict(op.attributes))
    kept = [axis for axis in range(len(op.operands[0].type.shape)) if axis not in axes]
    if len(op.result.type.shape) > len(kept):
        kept = list(range(len(op.operands[0].type.shape)))
    moved = {axis: kept.index(axis) for axis in kept if axis not in axes}
    return _mapped(op, operands[0], 0, moved.get, sure=not operands[0].pattern)


def _shares(op: Op, operands: Sequence[Reach]) -> Reach:
    """A softmax: each of all along its axis."""
    axis = dict(op.attributes).get("axis", len(op.operands[0].type.shape) - 1)
    sure = not operands[0].pattern
    return _mapped(op, operands[0], 0, lambda own: None if own == axis else own, sure=sure)


def _normalised(op: Op, operands: Sequence[Reach]) -> Reach:
    axes = axes_of(dict(op.attributes))
    numbers = _mapped(op, operands[0], 0, lambda own: None if own in axes else own)
    return _joined(op, (numbers, *(_stretched(op, i, r) for i, r in enumerate(operands) if i)))


def _product(op: Op, operands: Sequence[Reach]) -> Reach:
    """Of matrices: rows of the one and columns of the other stay, and what is between is summed over."""
    made: list[Reach] = []
    for place, (reach, turned) in enumerate(zip(operands, (op["ta"], op["tb"]), strict=True)):
        rank = len(op.operands[place].type.shape)
        stays = rank - 2 if (place == 0) != bool(turned) else rank - 1
        moved = {axis: axis for axis in range(rank - 2)} | {stays: rank - 2 + place}
        made.append(_mapped(op, reach, place, moved.get, sure=not operands[1 - place].pattern))
    return _joined(op, made)


def _attended(op: Op, operands: Sequence[Reach]) -> Reach:
    """Each query, and the keys and values that it looks at; which those are under a mask, nobody knows."""
    if len(operands) > 3:
        return Reach()
    shape = op.result.type.shape
    made = [_mapped(op, operands[0], 0, lambda own: own if own == 1 else None)]
    for place in (1, 2):
        seen, at = operands[place], _along(operands[place], op.operands[place].type.shape)
        if op["causal"] and at is not None and (at.axis, at.stride) == (1, 1):
            before = replace(seen, bounds=tuple(accumulate(seen.bounds, _further)))
            made.append(replace(at, reach=before).moved(1, shape))
        else:
            made.append(_all(op, seen))
    return _joined(op, made)


def _side_by_side(op: Op, operands: Sequence[Reach]) -> Reach:
    axis, shape = op["axis"], op.result.type.shape
    assert isinstance(axis, int)
    found = [_along(r, v.type.shape) for r, v in zip(operands, op.operands, strict=True)]
    alike = len({r.bounds for r in operands}) == 1
    if alike or any(at is not None and at.axis != axis for at in found):
        joined = _joined(op, (_mapped(op, reach, i, lambda own: own) for i, reach in enumerate(operands)))
        return replace(joined, uneven=not alike)
    parts = [
        _listed(r, at, v.type.shape[axis]) for r, at, v in zip(operands, found, op.operands, strict=True)
    ]
    return Reach(tuple(bound for part in parts for bound in part), _size(shape[axis + 1 :]))


def _listed(reach: Reach, at: At | None, size: Dim) -> tuple[Bound, ...]:
    """The bound at each index along an axis."""
    assert isinstance(size, int)
    if at is None:
        return reach.bounds * size
    return tuple(reach.bounds[i // at.stride % len(reach.bounds)] for i in range(size))


def _padded(op: Op, operands: Sequence[Reach]) -> Reach:
    """Zeros, which read nothing, before and behind."""
    (reach,), shape, made = operands, op.operands[0].type.shape, op.result.type.shape
    at, changed = _along(reach, shape), _changed(op)
    if at is None and (reach.bounds == (NOTHING,) or not changed or not reach.even):
        return reach if reach.even else Reach()
    axis = changed[0] if at is None else at.axis
    if axis not in changed:
        assert at is not None
        return replace(at.moved(axis, made), uneven=True)
    before, after = ((NOTHING,) * whole(op, ends)[axis] for ends in ("before", "after"))
    bounds = (*before, *_listed(reach, at, shape[axis]), *after)
    return Reach(bounds, _size(made[axis + 1 :]), uneven=len(changed) > 1)


def _cropped(op: Op, operands: Sequence[Reach]) -> Reach:
    """Some of the places, or of the numbers at each."""
    (reach,), shape, made = operands, op.operands[0].type.shape, op.result.type.shape
    at = _along(reach, shape)
    if reach.uneven or (at is None and not reach.even):
        return Reach()
    if at is None or at.axis not in _changed(op):
        return reach if at is None else at.moved(at.axis, made)
    first, size = whole(op, "before")[at.axis], made[at.axis]
    assert isinstance(size, int)
    bounds = _listed(reach, at, shape[at.axis])[first : first + size]
    return Reach(bounds, _size(made[at.axis + 1 :]))


def _changed(op: Op) -> tuple[int, ...]:
    """The axes at whose ends something is added or left out."""
    pairs = zip(op.operands[0].type.shape, op.result.type.shape, strict=True)
    return tuple(axis for axis, (old, new) in enumerate(pairs) if old != new)


def _looked_up(op: Op, operands: Sequence[Reach]) -> Reach:
    """Rows of a table, each by its number."""
    return _joined(op, (_all(op, operands[0]), _mapped(op, operands[1], 1, lambda own: own)))


def _convolved(op: Op, operands: Sequence[Reach]) -> Reach:
    maps, kernel = op.operands
    padding = whole(op, "padding")
    settings = zip(whole(op, "stride"), whole(op, "dilation"), padding[::2], strict=True)
    taps: list[Windows] = []
    for axis, (stride, dilation, before) in enumerate(settings, 2):
        places, size = op.result.type.shape[axis], maps.type.shape[axis]
        width = kernel.type.shape[axis]
        assert isinstance(places, int)
        assert isinstance(size, int)
        assert isinstance(width, int)
        starts = (stride * place - before for place in range(places))
        taps.append([[i for k in range(width) if 0 <= (i := s + k * dilation) < size] for s in starts])
    return _joined(op, (_windows(op, operands[0], taps), _all(op, operands[1])))


def _pooled(op: Op, operands: Sequence[Reach]) -> Reach:
    sizes = [size for size in op.operands[0].type.shape[2:] if isinstance(size, int)]
    if op.kind != "max_pool2d":
        rows = weights(op.kind, op, sizes)
        return _windows(
            op, operands[0], [[[i for i, a in row.items() if a] for row in axis] for axis in rows]
        )
    settings = zip(sizes, *(whole(op, name) for name in ("kernel", "stride", "padding")), strict=True)
    return _windows(op, operands[0], [windowed(*each) for each in settings])


Windows = Sequence[Iterable[int]]
"""For each place of the result the places that it is made of."""


def _windows(op: Op, reach: Reach, windows: Sequence[Windows]) -> Reach:
    """What is made of windows of a map, along its rows and its columns."""
    at = _along(reach, op.operands[0].type.shape)
    if at is None or at.axis < 2:
        pool = op.kind != "conv2d"
        return _mapped(op, reach, 0, lambda own: own if own == 0 or pool else None)
    size = op.operands[0].type.shape[at.axis]
    bounds = _listed(reach, at, size)
    node = op.origin.node
    made = (
        _most(read, node) if (read := [bounds[i] for i in window]) else NOTHING
        for window in windows[at.axis - 2]
    )
    return Reach(tuple(made), _size(op.result.type.shape[at.axis + 1 :]))


def _families() -> Iterator[str]:
    for definition in (*ELEMENTWISE, *ACTIVATIONS, *UNITS, *INTEGERS):
        yield definition.name


Rule = Callable[[Op, Sequence[Reach]], Reach]
RULES: Mapping[str, Rule] = {
    **dict.fromkeys(_families(), _elementwise),
    **dict.fromkeys(("table", "iota"), _fixed),
    **dict.fromkeys(("sum", "mean", "max", "max_abs", "variance"), _reduced),
    **dict.fromkeys(("softmax", "log_softmax"), _shares),
    **dict.fromkeys(("matmul", "bmm"), _product),
    **dict.fromkeys(("avg_pool2d", "adaptive_avg_pool2d", "upsample2d", "max_pool2d"), _pooled),
    "normalize": _normalised,
    "reshape": _reshaped,
    "transpose": _turned,
    "broadcast_to": _elementwise,
    "concat": _side_by_side,
    "pad": _padded,
    "crop": _cropped,
    "gather": _looked_up,
    "conv2d": _convolved,
    "attend": _attended,
}
"""What ops do that are made of places. Of any other op nothing is said but the least."""
