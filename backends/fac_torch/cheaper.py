"""The same numbers from smaller products and maps. Exact but for the order in which numbers are added.

The step IR says what is meant, and stays as it is. Here it is computed another way where that saves reading large maps
once more, or a convolution. No other order is chosen for what would only be moved about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from fac.step.ir import Function, Op, Value
from fac.step.transform import Keeps, Pass
from fac.step.types import Type, flat

SLOPES = frozenset({"relu_input", "leaky_relu_input", "tanh_input", "sigmoid_input"})
"""g f'(.), with the derivative read off the output: their second operand."""
SPREAD = {2, 3}
"""Axes of a map along which a pool moves numbers."""


def cheaper(function: Function) -> Function:
    """The function, with the same results."""
    made: dict[Value, Op] = {}
    pools: dict[object, Value] = {}
    kernels: dict[object, Value] = {}
    reads = Counter(v for op in function.ops for v in op.operands)
    reads.update(value for _, value in function.outputs)
    ops: list[Op] = []
    for op in function.ops:
        for new in _cheaper(op, made, pools, kernels, reads):
            ops.append(new)
            made[new.result] = new
            if new.kind == "max_pool2d":
                pools[new.operands, new.attributes] = new.result
            elif new.kind == "conv2d_weight":
                kernels[new.operands, new.attributes] = new.result
    return replace(function, ops=tuple(ops))


def _cheaper(
    op: Op,
    made: dict[Value, Op],
    pools: dict[object, Value],
    kernels: dict[object, Value],
    reads: Counter[Value],
) -> Iterator[Op]:
    """The ops that make the result of this one: itself, mostly."""
    if op.kind in SLOPES and reads[op.operands[0]] == 1:
        yield from _before_the_pool(op, made, pools)
    elif op.kind == "sum" and _made_by("unpick", op.operands[0], made) and _axes(op) >= SPREAD:
        # Each number went to some place of its channel, so the sum over places is that of the numbers.
        yield replace(op, operands=made[op.operands[0]].operands[:1])
    elif op.kind == "conv2d_weight":
        yield from _projected(op, made, kernels)
    else:
        yield op


def _before_the_pool(op: Op, made: dict[Value, Op], pools: dict[object, Value]) -> Iterator[Op]:
    """A slope at the numbers that a max pool chose, which are its result, before they go to their places.

    Elsewhere the error is zero, whatever the slope is, if it is finite: a map that is not has lost its training anyway.
    """
    error, output = op.operands
    spread = made.get(error)
    index = made.get(spread.operands[1]) if spread is not None and spread.kind == "unpick" else None
    if spread is None or index is None or index.kind != "max_pool2d_index" or index.operands != (output,):
        yield op
        return
    chosen = pools.get(((output,), index.attributes))
    if chosen is None:
        yield op
        return
    few = Value(f"{op.result.name}.chosen", chosen.type)
    yield replace(op, operands=(spread.operands[0], chosen), result=few)
    yield replace(spread, operands=(few, spread.operands[1]), result=op.result, origin=op.origin)


def _projected(op: Op, made: dict[Value, Op], kernels: dict[object, Value]) -> Iterator[Op]:
    """What a kernel past which P d is sent learns is P times what that learns past which d is: no convolution.

    A product of matrices would gain little by it, as its gradient exists for no other reason; that of a convolution
    exists for the update.
    """
    projected, x = op.operands
    rows = _source(_source(projected, "transpose", (0, 3, 1, 2), made), "reshape", None, made)
    product = made.get(rows) if rows is not None else None
    if product is None or product.kind != "matmul" or product["ta"] or not product["tb"]:
        yield op
        return
    error, p = product.operands
    source = _source(_source(error, "reshape", None, made), "transpose", (0, 2, 3, 1), made)
    whole = kernels.get(((source, x), op.attributes))
    if source is None or whole is None or op["groups"] != 1:
        yield op
        return
    channels, *window = whole.type.shape
    name, matrix = op.result.name, Type((channels, flat(tuple(window))))
    gradient = Value(f"{name}.whole", matrix)
    small = Value(f"{name}.rows", Type((p.type.shape[0], matrix.shape[1])))
    yield Op("reshape", (whole,), (("shape", matrix.shape),), gradient, op.origin)
    yield Op("matmul", (p, gradient), (("ta", False), ("tb", False)), small, op.origin)
    yield Op("reshape", (small,), (("shape", op.result.type.shape),), op.result, op.origin)


def _source(
    value: Value | None, kind: str, axes: tuple[int, ...] | None, made: dict[Value, Op]
) -> Value | None:
    """What such an op made this value of."""
    op = made.get(value) if value is not None else None
    if op is None or op.kind != kind or (axes is not None and op["axes"] != axes):
        return None
    return op.operands[0]


def _made_by(kind: str, value: Value, made: dict[Value, Op]) -> bool:
    return value in made and made[value].kind == kind


def _axes(op: Op) -> set[object]:
    axes = op["axes"]
    assert isinstance(axes, tuple)
    return set(axes)


CHEAPER_MAPS = Pass(
    "cheaper_maps",
    cheaper,
    Keeps.ROUNDING,
    "slopes below a max pool, sums of spread errors and what pairs learn past a kernel are computed of fewer numbers",
)
