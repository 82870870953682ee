"""What a kind reads, found by building it alone instead of asking it: nobody has to declare it, and nobody can forget.

Each function hands the kind a builder of its own, and follows what it made back to the inputs. A kind that cannot be
built reads nothing here: why it cannot is reported when the step is built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from math import prod

from fac.program.kinds import LearningKind, Made, MatrixKind, Mode, Signals
from fac.program.lower import kind_of
from fac.program.products import contracted, leading, readers
from fac.program.program import Node, Route, Shape
from fac.program.tensors import SvdFactor, Tensor
from fac.spec.feedback import Learning
from fac.step.builder import Builder
from fac.step.contraction import Contraction, pretended, product
from fac.step.ir import Op, Value
from fac.step.ops.shapes import VIEWS
from fac.step.random import Stream
from fac.step.types import DType, N, Type

WEIGHT, STEP, SLOPE = "weight", "step", "slope"
READS, WRITES, RANK = 4, 3, 2
"""Of the small operator on which a way to learn is tried."""

FACTORS = {
    **dict.fromkeys(("mul", "dot", "matmul", "bmm", "conv2d", "conv2d_input", "conv2d_weight"), 2),
    **dict.fromkeys(("sparse_matmul", "sparse_matmul_input", "sparse_matmul_values"), 2),
    **dict.fromkeys(("div", "pick", "unpick", "gather", "scatter"), 1),
}
"""Ops whose result is zero if one of their first operands is."""
SUMS = {
    *("add", "sub", "neg", "sum", "mean", "reshape", "transpose", "broadcast_to"),
    *("maximum", "minimum", "sign", "sqrt", "abs", "round"),
    *(
        "unfold",
        "fold",
        "concat",
        "pad",
        "crop",
        "max_pool2d",
        "avg_pool2d",
        "adaptive_avg_pool2d",
        "upsample2d",
    ),
    *("avg_pool2d_input", "adaptive_avg_pool2d_input", "upsample2d_input"),
}
"""Ops whose result is zero if all their operands are."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a way to learn makes for one matrix, and of what."""

    gradient: bool
    """Whether it is a pseudo-gradient, which the update rule turns into a step, or else the next value."""
    reads: frozenset[str]
    """Of `error`, `receiver`, which is fed, `weight`, `slope` (of the loss, in a direction), and the operator's
    matrices by the last part of their names."""


@dataclass(frozen=True, slots=True)
class Factor:
    """A matrix with which an operator multiplies."""

    tensor: Tensor
    writes: int
    """How many numbers it makes of an error."""
    kept: float = 1.0
    """The share of its entries that are stored, where the others are zero."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """An operator, built alone, of what a step would hand to it."""

    b: Builder
    state: Mapping[str, Value]
    signals: Signals
    sent: Value


def ways(rule: Learning) -> LearningKind:
    """What the kind that declared `rule` can teach."""
    kind: LearningKind = kind_of("fac.learning", rule)
    return kind


def makes_gradient(rule: Learning) -> bool:
    """Whether a rule makes pseudo-gradients, which the update rule turns into steps, rather than next values."""
    return any(lesson.gradient for lesson in lessons(rule).values())


def needs_weight(rule: Learning, part: str) -> bool:
    """Whether a rule teaches a matrix (`B`, `P` or `Q`) from the forward weight, which a `to` route does not have."""
    lesson = lessons(rule).get(part)
    return lesson is not None and WEIGHT in lesson.reads


def needs_slope(rule: Learning, part: str) -> bool:
    """Whether a rule teaches a matrix from the slope of the loss at a site, which a `through` route does not have."""
    lesson = lessons(rule).get(part)
    return lesson is not None and SLOPE in lesson.reads


def lessons(rule: Learning) -> Mapping[str, Lesson]:
    """What a rule makes for each matrix that it can teach: a full `B`, or `P` or `Q` of a low-rank pair."""
    try:
        return _lessons(rule)
    except TypeError:  # a model of a plug-in need not have a hash
        return _lessons.__wrapped__(rule)


def sends_weight(route: Route) -> bool:
    """Whether the output of a route's operator is made of the forward weight."""
    built = _sent(route)
    return built is not None and built.signals.weight in leaves(built.b, built.sent)


def is_weight(route: Route) -> bool:
    """Whether a route's operator is the forward weight itself, as its `matrix` says: the exact error."""
    kind: MatrixKind = kind_of("fac.feedback", route.matrix)
    if kind.matrix is None or route.ends is None:
        return False
    b, state, signals = _given(route)
    try:
        whole = kind.matrix(b, route.matrix, route.ends, state, signals.weight)
    except Exception:
        return False
    return whole is signals.weight


def made_from_weight(route: Route) -> bool:
    """Whether the forward weight has a say in a route: in its output, its learning, its start, or between steps."""
    return drawn_from_weight(route) or sends_weight(route) or any(learned(route).values())


def drawn_from_weight(route: Route) -> bool:
    """Whether the factors of a route are those of its weight, at the start or from time to time."""
    at_start = any(isinstance(tensor.init, SvdFactor) for tensor in route.tensors)
    return at_start or refresh_of(route) is not None


def learned(route: Route) -> Mapping[str, bool]:
    """What a route's operator learns, by the last part of the name of the matrix: whether from the forward weight."""
    if route.ends is None:
        return {}
    kind: MatrixKind = kind_of("fac.feedback", route.matrix)
    b, state, signals = _given(route)
    try:
        found = tuple(kind.learn(b, route.matrix, state, signals))
    except Exception:
        return {}
    return {one.tensor: signals.weight in leaves(b, one.value) for one in found}


def added(route: Route) -> frozenset[str]:
    """What of its state an operator sends besides what its `matrix` makes, by the last part of the names."""
    kind: MatrixKind = kind_of("fac.feedback", route.matrix)
    built = _sent(route)
    if built is None or kind.matrix is None or route.ends is None:
        return frozenset()
    try:
        whole = kind.matrix(built.b, route.matrix, route.ends, built.state, built.signals.weight)
    except Exception:
        return frozenset()
    more = leaves(built.b, built.sent) - leaves(built.b, whole)
    return frozenset(part for part, value in built.state.items() if value in more)


def factors(route: Route) -> tuple[Factor, ...] | None:
    """The matrices that an operator multiplies an error with, in order; None if it does anything else with it."""
    built = _sent(route)
    if built is None or route.ends is None:
        return None
    tensors = {built.state[tensor.part]: tensor for tensor in route.tensors}
    if built.signals.weight is not None and route.ends.weight is not None:
        tensors[built.signals.weight] = route.ends.weight
    made, found, value = {op.result: op for op in built.b.ops}, list[Factor](), built.sent
    while value is not built.signals.error:
        op, (n, *rest) = made.get(value), value.type.shape
        if op is None or op.kind not in ("matmul", "sparse_matmul") or n != N:
            return None
        matrix = _shown(op.operands[1], made)
        if matrix not in tensors:
            return None
        writes = prod(dim for dim in rest if isinstance(dim, int))
        reads = op.operands[0].type.shape[-1]
        assert isinstance(reads, int)
        kept = tensors[matrix].shape[-1] / reads if op.kind == "sparse_matmul" else tensors[matrix].kept
        found.insert(0, Factor(tensors[matrix], writes, kept))
        value = op.operands[0]
    return tuple(found)


def _shown(value: Value, made: Mapping[Value, Op]) -> Value:
    """What a view shows: the same numbers turned or in another shape."""
    while value in made and made[value].kind in VIEWS:
        value = made[value].operands[0]
    return value


def stays_zero(route: Route, zeros: Iterable[str]) -> bool:
    """Whether an operator sends zeros for ever, because these of its matrices are zero at the start."""
    built = _sent(route)
    if built is None or refresh_of(route) is not None:
        return False
    kind: MatrixKind = kind_of("fac.feedback", route.matrix)
    try:
        taught = tuple(kind.learn(built.b, route.matrix, built.state, built.signals))
    except Exception:
        return False
    still = {built.state[part] for part in zeros}
    while True:
        none = _vanishing(built.b, still)
        moved = {built.state.get(one.tensor) for one in taught if one.value not in none} & still
        if not moved:
            return built.sent in none
        still -= moved


def refresh_of(route: Route) -> int | None:
    """Every how many steps the factors of a route are set anew from the SVD of its weight, if ever."""
    kind: MatrixKind = kind_of("fac.feedback", route.matrix)
    return None if route.ends is None or route.ends.weight is None else kind.refresh(route.matrix)


def draws(node: Node, inputs: Iterable[Shape]) -> bool:
    """Whether a layer, given inputs of these shapes, asks for the number of the step, and so draws random numbers."""
    built = _forward(node, inputs)
    return built is not None and any(value.name == STEP for value in built[0].inputs)


def multiplies(node: Node) -> bool:
    """Whether a weighted node reads its weight by one product alone, so that feedback can go through it."""
    built = _forward(node, node.reads)
    if built is None or node.weight is None:
        return False
    b, output = built
    weight = next(value for value in b.inputs if value.name == node.weight.name)
    return isinstance(contracted(readers(leading(b.ops, output), weight), node.weight), Contraction)


def leaves(b: Builder, value: Value) -> frozenset[Value]:
    """What a value is made of and no op of the builder makes."""
    made = {op.result: op for op in b.ops}
    stack, seen = [value], set[Value]()
    while stack:
        value = stack.pop()
        if value not in seen:
            seen.add(value)
            stack += made[value].operands if value in made else ()
    return frozenset(seen - made.keys())


@cache
def _lessons(rule: Learning) -> Mapping[str, Lesson]:
    kind: LearningKind = kind_of("fac.learning", rule)
    found: dict[str, Lesson] = {}
    for teach in (kind.full, kind.read, kind.write):
        b = Builder()
        shapes = {"B": (READS, WRITES), "P": (RANK, READS), "Q": (WRITES, RANK)}
        state = {part: b.input(part, Type(shape)) for part, shape in shapes.items()}
        signals = _signals(b, READS, WRITES, Tensor(WEIGHT, (READS, WRITES), "launay", WRITES, READS))
        signals = replace(signals, ahead=_ahead(b))
        try:
            said = None if teach is None else teach(b, rule, state, signals)
        except Exception:
            continue
        if said is not None:
            found[said.tensor] = Lesson(said.gradient, frozenset(leaf.name for leaf in leaves(b, said.value)))
    return found


def _sent(route: Route) -> _Sent | None:
    if route.ends is None:
        return None
    kind: MatrixKind = kind_of("fac.feedback", route.matrix)
    b, state, signals = _given(route)
    try:
        return _Sent(b, state, signals, kind.apply(b, route.matrix, state, signals))
    except Exception:
        return None


def _forward(node: Node, inputs: Iterable[Shape]) -> tuple[Builder, Value] | None:
    """What a layer writes in training, given inputs of these shapes, and its output; None if it cannot be built."""
    b = Builder()
    state = {tensor.part: b.input(tensor.name, Type(tensor.shape)) for tensor in node.state}
    mode = Mode(node.name, True, 0, _number(b))
    kind = kind_of("fac.layers", node.layer)
    try:
        given = [b.input(f"input.{i}", Type((N, *shape), kind.dtype)) for i, shape in enumerate(inputs)]
        made = kind.forward(b, node.layer, given, state, mode)
    except Exception:
        return None
    return b, made.value if isinstance(made, Made) else made


def _number(b: Builder) -> Callable[[], Value]:
    """What makes the number of the step an input, once."""
    return cache(lambda: b.scalar(STEP, DType.INT))


def _ahead(b: Builder) -> Callable[[Builder, Value], Value]:
    """What stands for the slope of the loss in any direction: an input."""
    slope = cache(lambda: b.input(SLOPE, Type((N, 1))))
    return lambda *_: slope()


def _vanishing(b: Builder, zeros: Iterable[Value]) -> set[Value]:
    """What is zero because these values are. Of ops that are not listed nothing is known."""
    found = set(zeros)
    for op in b.ops:
        zero = [operand in found for operand in op.operands]
        if any(zero[: FACTORS.get(op.kind, 0)]) or (op.kind in SUMS and all(zero)):
            found.add(op.result)
    return found


def _given(route: Route) -> tuple[Builder, dict[str, Value], Signals]:
    """What a step would hand to the operator of a route."""
    b, ends = Builder(), route.ends
    assert ends is not None
    signals = _signals(b, ends.reads, ends.writes, ends.weight)
    own = {} if signals.weight is None else {signals.weight.name: signals.weight}
    # State is found by its name in a step too, so that a matrix which calls itself like the weight is the weight.
    state = {t.part: own.get(t.name) or b.input(t.name, Type(t.shape)) for t in route.tensors}
    return b, state, signals


def _signals(b: Builder, reads: int, writes: int, weight: Tensor | None) -> Signals:
    error, receiver = b.input("error", Type((N, reads))), b.input("receiver", Type((N, writes)))
    stream = Stream(0, "", _number(b))
    if weight is None:
        return Signals(error, pretended(receiver, reads), None, None, stream, _ahead(b))
    own = b.input(weight.name, Type((reads, writes)))
    return Signals(error, product(receiver, own), own, weight, stream)
