"""Tensors side by side, and tensors with rows added or left out at their ends: each the derivative of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fac.step.ir import Attribute, Op, Value
from fac.step.ops.base import Attributes, OpDef, Vjp
from fac.step.ops.maps import whole
from fac.step.types import Batch, Dim, DType, Type, TypeRuleError, numel

if TYPE_CHECKING:
    from fac.step.builder import Builder


def concat(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The operands one behind the other along `axis`, which is not the batch.

    Raises:
        TypeRuleError: not of FLOAT, or of different sizes along another axis; or there is no such axis.
    """
    axis, shapes = axis_of(attributes), [x.shape for x in operands]
    others = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    sizes = [shape[axis] for shape in shapes if 0 <= axis < len(shape)]
    fixed = [size for size in sizes if isinstance(size, int)]
    if (
        len(others) != 1
        or not fixed
        or len(fixed) < len(shapes)
        or any(x.dtype != DType.FLOAT for x in operands)
    ):
        raise TypeRuleError(f"{' and '.join(map(str, operands))} do not stand side by side along axis {axis}")
    return Type((*shapes[0][:axis], sum(fixed), *shapes[0][axis + 1 :]))


def axis_of(attributes: Attributes | Op) -> int:
    """The axis along which tensors stand side by side."""
    axis = attributes["axis"]
    assert isinstance(axis, int)
    return axis


def others(op: Op, place: int) -> dict[str, Attribute]:
    """How much stands before and behind an operand of a `concat`."""
    axis, rank = axis_of(op), len(op.result.type.shape)
    sizes = [size for x in op.operands if isinstance(size := x.type.shape[axis], int)]
    found = {"before": sum(sizes[:place]), "after": sum(sizes[place + 1 :])}
    return {name: tuple(size if i == axis else 0 for i in range(rank)) for name, size in found.items()}


def part(place: int) -> Vjp:
    """What of g stands where the operand did."""

    def vjp(b: Builder, op: Op, g: Value) -> Value:
        return b.emit("crop", g, **others(op, place))

    return vjp


def padded(b: Builder, op: Op) -> Value:
    """Each operand among zeros where the others stand, added up."""
    total, *rest = (b.emit("pad", x, **others(op, place)) for place, x in enumerate(op.operands))
    for among in rest:
        total = b.add(total, among)
    return total


def pad(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The operand with `before[i]` zeros before and `after[i]` behind it along axis i.

    Raises:
        TypeRuleError: not of FLOAT; not a number for each axis; some for the batch.
    """
    return _ended(operands[0], attributes, 1)


def crop(operands: tuple[Type, ...], attributes: Attributes) -> Type:
    """The operand without its first `before[i]` and last `after[i]` rows along axis i.

    Raises:
        TypeRuleError: nothing is left; see also `pad`.
    """
    return _ended(operands[0], attributes, -1)


def _ended(x: Type, attributes: Attributes, sign: int) -> Type:
    before, after = whole(attributes, "before"), whole(attributes, "after")
    if x.dtype == DType.FLOAT and len(before) == len(after) == len(x.shape) and min((*before, *after)) >= 0:
        dims = tuple(
            _grown(dim, sign * (first + last))
            for dim, first, last in zip(x.shape, before, after, strict=True)
        )
        if all(isinstance(dim, Batch) or dim > 0 for dim in dims):
            return Type(dims)
    raise TypeRuleError(f"the ends {before} and {after} do not go with {x}")


def _grown(dim: Dim, by: int) -> Dim:
    """The dimension with that many more; 0, which is none, if it is the batch."""
    if isinstance(dim, Batch):
        return 0 if by else dim
    return dim + by


def inverse(kind: str) -> Vjp:
    """The same ends, by the other op."""
    return lambda b, op, g: b.emit(kind, g, before=op["before"], after=op["after"])


ENDS = frozenset({"before", "after"})

PARTS = (
    OpDef("concat", concat, part, frozenset({"axis"}), selects=True, finer=padded),
    OpDef("pad", pad, (inverse("crop"),), ENDS, selects=True),
    OpDef(
        "crop",
        crop,
        (inverse("pad"),),
        ENDS,
        looks=lambda op, place, n: numel(op.result.type.shape, n),
        selects=True,
    ),
)
