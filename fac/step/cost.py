"""What a function costs at a given batch size, counted on its ops and nothing else."""

from __future__ import annotations

from collections.abc import Container, Hashable, Set
from dataclasses import dataclass

from fac.step.ir import Function, Op, Origin, Phase, Value
from fac.step.ops import OPS
from fac.step.types import Batch, DType, numel

FLOAT_BYTES = 4
"""Of a FLOAT element, unless told otherwise: float32."""

VIEWS = frozenset({"reshape", "broadcast_to", "stop_gradient"})
"""Ops that every backend answers with another view of the same memory: nothing moves."""

SHOWING = VIEWS | {"transpose"}
"""Ops whose result is the same elements: of state, those who read it read state."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What some ops cost together.

    `macs` are the multiply-adds of contractions; elementwise work is not counted.
    `bytes` are operands read and results written, as if every op went to memory for them: a backend that
    fuses ops moves less. `words` are elements of state (feedback matrices, or forward weights where the exact
    error passes through them) that ops of phase `error` read.
    """

    macs: int = 0
    bytes: int = 0
    words: int = 0

    def __add__(self, other: Tally) -> Tally:
        """Item by item."""
        return Tally(self.macs + other.macs, self.bytes + other.bytes, self.words + other.words)


def count(function: Function, n: int, float_bytes: int = FLOAT_BYTES) -> dict[Origin, Tally]:
    """The cost per node and phase, in the order of their first op.

    Args:
        function: any function; usually a step after the passes.
        n: samples in the batch.
        float_bytes: of one FLOAT element.
    """
    state, made = set(state_inputs(function)), set[Hashable]()
    found: dict[Origin, Tally] = {}
    for op in function.ops:
        if op.kind in SHOWING and op.operands[0] in state:
            state.add(op.result)
        tally = _tally(op, n, float_bytes, state) + Tally(_common(op, n, made))
        found[op.origin] = found.get(op.origin, Tally()) + tally
    return found


def state_inputs(function: Function) -> frozenset[Value]:
    """Parameters, feedback matrices and optimiser state: inputs that are neither the batch nor scalars."""
    return frozenset(v for v in function.inputs if v.type.shape and not _of_batch(v))


def peak_bytes(
    function: Function,
    n: int,
    float_bytes: int = FLOAT_BYTES,
    *,
    in_place: bool = True,
    views: Container[str] = VIEWS,
) -> int:
    """The most memory that is live at once when the ops run in their order.

    The model: inputs (state and batch) are live throughout, any other value from its definition to its last
    use, outputs to the end; an op's operands and its result are live together. State is updated in place: ops
    of phase `update`, and values that become the next value of an input, take no memory of their own. Views
    share the memory of what they show; scalars are free. A backend that reuses an operand's memory for the
    result, or applies a gradient before the next one is made, needs less.

    Args:
        function: any function; usually a step after the passes.
        n: samples in the batch.
        float_bytes: of one FLOAT element.
        in_place: whether state is.
        views: kinds of op whose result is in the memory of the operand.
    """
    states = {v.name for v in function.inputs}
    owner: dict[Value, Value] = {}
    last: dict[Value, int] = {}
    for index, op in enumerate(function.ops):
        if op.kind in views:
            owner[op.result] = owner.get(op.operands[0], op.operands[0])
        for operand in op.operands:
            last[owner.get(operand, operand)] = index
    for _, value in function.outputs:
        last[owner.get(value, value)] = len(function.ops)
    moved = {value for name, value in function.outputs if name in states and in_place}
    placed = moved | owner.keys()
    ends: dict[int, int] = {}
    live = peak = sum(value_bytes(v, n, float_bytes) for v in function.inputs)
    for index, op in enumerate(function.ops):
        if op.result not in placed and not (in_place and op.origin.phase == Phase.UPDATE):
            size = value_bytes(op.result, n, float_bytes)
            end = last.get(op.result, index)
            ends[end] = ends.get(end, 0) + size
            live += size
            peak = max(peak, live)
        live -= ends.pop(index, 0)
    return peak


def _tally(op: Op, n: int, float_bytes: int, state: Set[Value]) -> Tally:
    macs = OPS[op.kind].macs
    touched = () if op.kind in VIEWS else (*enumerate(op.operands), (-1, op.result))
    words = 0
    if op.origin.phase == Phase.ERROR and op.kind not in SHOWING:
        words = sum(_elements(op, i, v, n) for i, v in enumerate(op.operands) if v in state)
    moved = sum(_elements(op, i, v, n) * _width(v, float_bytes) for i, v in touched)
    return Tally(macs(op, n) if macs else 0, moved, words)


def _elements(op: Op, place: int, value: Value, n: int) -> int:
    """How many elements of an operand an op reads, or of its result it writes."""
    looks = OPS[op.kind].looks
    return numel(value.type.shape, n) if looks is None or place < 0 else looks(op, place, n)


def _common(op: Op, n: int, made: set[Hashable]) -> int:
    """The multiply-adds of what other ops need too, if none of those before has made it."""
    common = OPS[op.kind].common
    if common is None:
        return 0
    key, macs = common(op, n)
    if key in made:
        return 0
    made.add(key)
    return macs


def value_bytes(value: Value, n: int, float_bytes: int = FLOAT_BYTES) -> int:
    """Of a value in memory, in a batch of n samples; scalars are free."""
    return numel(value.type.shape, n) * _width(value, float_bytes)


def _width(value: Value, float_bytes: int) -> int:
    """Bytes of an element; scalars are free."""
    if not value.type.shape:
        return 0
    return {DType.FLOAT: float_bytes, DType.INT: 8, DType.BOOL: 1}[value.type.dtype]


def _of_batch(value: Value) -> bool:
    return any(isinstance(dim, Batch) for dim in value.type.shape)
