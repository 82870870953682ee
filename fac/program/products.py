"""The product of a layer with its weight, found among the ops that the layer wrote."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fac.program.tensors import Tensor
from fac.step.contraction import Contraction
from fac.step.ir import Op, Value
from fac.step.ops.shapes import VIEWS
from fac.step.types import Batch, flat


def readers(ops: Iterable[Op], weight: Value) -> tuple[tuple[Op, int], ...]:
    """What reads a weight, and as which operand. Views of a weight are the weight: what reads those does."""
    views, found = {weight}, list[tuple[Op, int]]()
    for op in ops:
        if op.kind in VIEWS and op.operands[0] in views:
            views.add(op.result)
        else:
            found += [(op, place) for place, operand in enumerate(op.operands) if operand in views]
    return tuple(found)


def leading(ops: Sequence[Op], value: Value) -> tuple[Op, ...]:
    """Those of the ops that a value is made by."""
    made, found = {value}, list[Op]()
    for op in reversed(ops):
        if op.result in made:
            made.update(op.operands)
            found.append(op)
    return tuple(reversed(found))


def contracted(read: Sequence[tuple[Op, int]], weight: Tensor) -> Contraction | str:
    """The product with a weight among its `readers`; why a route can replace none, which completes "the layer ...".

    Args:
        read: see `readers`.
        weight: as `infer` says that it is multiplied.
    """
    if len(read) != 1:
        kinds = " and ".join(f"`{op.kind}`" for op, _ in read)
        return f"reads the weight by {kinds or 'nothing'}: a route through the layer replaces one product"
    ((op, place),) = read
    found = Contraction(op, 1 - place)
    problem = found.misfit()
    if problem is None and not any(isinstance(dim, Batch) for dim in found.x.type.shape):
        return f"multiplies the weight with {found.x.type}, which is the same for all samples: no error passes there"
    if problem is None and not _is(found, weight):
        said = f"the weight {list(weight.shape)}"
        if weight.reads_axis or weight.groups > 1:
            said += f", of which axis {weight.reads_axis} reads, in {weight.groups} groups"
        return f"multiplies with {found.weight.type}, where `infer` says {said}"
    return problem or found


def _is(product: Contraction, weight: Tensor) -> bool:
    """Whether the product reads what a layer says to be its weight."""
    shape, axis = product.weight.type.shape, weight.reads_axis
    return (
        (product.reads_axis, product.groups) == (axis, weight.groups)
        and shape[: axis + 1] == weight.shape[: axis + 1]
        and flat(shape) == weight.size
    )
