"""Which maps [N, C, H, W] lie in memory with all channels of a pixel together, and what that makes of a statement.

Convolutions and pools on a CPU are several times faster so, as long as all that they meet lies the same way: one
operand that does not makes a pool's derivative eight times slower. So the order is found once, by the flow of data, for
buffers, for the input and for state. No number depends on it: shapes stay [N, C, H, W], and kernels go by strides.
Sequences [N, C, L] that are convolved as maps [N, C, 1, L] lie as these do.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from fac.step.ir import Value
from fac.step.transform import Keeps, Pass
from fac.step.types import DType
from fac_torch.draft import Draft
from fac_torch.statements import Statement
from fac_torch.templates import TEMPLATES, Order
from fac_torch.views import roots


def maps(lines: list[Statement]) -> frozenset[Value]:
    """Values with their channels last: those that a convolution or a pool touches, and what should lie as they do."""
    alike: dict[Value, list[Value]] = {}
    found: list[Value] = []
    for line in lines:
        template = TEMPLATES[line.kind]
        values = [v for v in (*line.operands, *line.results) if _has_order(v)]
        if template.order is Order.LAST:
            found += values
        elif template.is_alike or _is_only_named_anew(line):
            for value in values:
                alike.setdefault(value, []).extend(values)
    reached = set[Value]()
    while found:
        value = found.pop()
        if value not in reached:
            reached.add(value)
            found += alike.get(value, ())
    return frozenset(reached)


def _has_order(value: Value) -> bool:
    """Whether it could lie in two ways: a tensor of one channel, or of one place, lies the same in both."""
    shape = value.type.shape
    if value.type.dtype != DType.FLOAT or len(shape) not in (3, 4):
        return False
    _, channels, *places = shape
    return channels != 1 and any(size != 1 for size in places)


def _is_only_named_anew(line: Statement) -> bool:
    """Whether a sequence [N, C, L] becomes the map [N, C, 1, L], or the other way round: a view, however it lies."""
    if line.kind != "reshape" or line.result is None:
        return False
    short, long = sorted((line.operands[0].type.shape, line.result.type.shape), key=len)
    return len(short) == 3 and long == (*short[:2], 1, short[2])


def laid_out(lines: list[Statement], last: frozenset[Value]) -> list[Statement]:
    """The statements, as the order of maps has them written.

    Rows of channels [N, H, W, C] are a view of such a map, and the other way round. A map made of rows [N, C H W] is
    written into its place; if the rows are a product that nobody else reads, the product writes it there.
    """
    uses = Counter(v for line in lines for v in line.operands)
    made = {value: line for line in lines for value in line.results}
    shares = roots(lines)
    found: list[Statement] = []
    gone = set[Statement]()
    for line in lines:
        if line.kind == "transpose":
            axes, (operand,) = line.attributes["axes"], line.operands
            end = len(operand.type.shape)
            to_rows, to_map = (0, *range(2, end), 1), (0, end - 1, *range(1, end - 1))
            wanted = (axes == to_rows and operand in last) or (axes == to_map and line.result in last)
            # Of state there are no such views: an update may work in place through a view that keeps the order.
            if wanted and shares.get(operand, operand) in made:
                line = replace(line, kind="permute")
        elif line.kind == "reshape" and line.result in last and not _is_only_named_anew(line):
            assert line.result is not None
            (rows,) = line.operands
            product = made.get(rows)
            if product is not None and uses[rows] == 1 and _makes_maps(product, line.result):
                line = replace(product, kind="matmul_map", result=line.result, origin=line.origin)
                gone.add(product)
            else:
                line = replace(line, kind="as_map")
        found.append(line)
    return [line for line in found if line not in gone]


def _makes_maps(line: Statement, value: Value) -> bool:
    """Whether it is a product [N, C H W] with a row for each of these maps."""
    return (
        line.kind == "matmul"
        and line.operands[0].type.shape[bool(line.attributes["ta"])] == value.type.shape[0]
    )


def _last(draft: Draft) -> Draft:
    if not draft.moves:
        return draft
    last = maps(draft.lines)
    return replace(draft.rewritten(laid_out(draft.lines, last)), maps=last)


CHANNELS_LAST = Pass(
    "channels_last",
    _last,
    Keeps.ROUNDING,
    "maps that convolutions and pools meet have all channels of a pixel together in memory",
)
