"""Which maps [N, C, H, W] lie in memory with all channels of a pixel together, and what that makes of a statement.

Convolutions and pools on a CPU are several times faster so, as long as all that they meet lies the same way: one
operand that does not makes a pool's derivative eight times slower. So the order is found once, by the flow of data, for
buffers, for the input and for state. No number depends on it: shapes stay [N, C, H, W], and kernels go by strides.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from fac.step.ir import Value
from fac.step.types import DType
from fac_torch.statements import Statement
from fac_torch.templates import TEMPLATES, Order
from fac_torch.views import roots

TO_ROWS, TO_MAP = (0, 2, 3, 1), (0, 3, 1, 2)


def maps(lines: list[Statement]) -> frozenset[Value]:
    """Values with their channels last: those that a convolution or a pool touches, and what should lie as they do."""
    alike: dict[Value, list[Value]] = {}
    found: list[Value] = []
    for line in lines:
        template = TEMPLATES[line.kind]
        values = [v for v in (*line.operands, *line.results) if _has_order(v)]
        if template.order is Order.LAST:
            found += values
        elif template.is_alike:
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
    """Whether it could lie in two ways: a tensor of one channel, or of one pixel, lies the same in both."""
    _, *sizes = value.type.shape if len(value.type.shape) == 4 else (0, 1)
    return value.type.dtype == DType.FLOAT and sizes[0] != 1 and sizes[1:] != [1, 1]


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
            wanted = (axes == TO_ROWS and operand in last) or (axes == TO_MAP and line.result in last)
            # Of state there are no such views: an update may work in place through a view that keeps the order.
            if wanted and shares.get(operand, operand) in made:
                line = replace(line, kind="permute")
        elif line.kind == "reshape" and line.result in last:
            line = replace(line, kind="as_map")
            product = made.get(line.operands[0])  # [N, C H W]
            if product is not None and product.kind == "matmul" and uses[line.operands[0]] == 1:
                line = replace(product, kind="matmul_map", result=line.result, origin=line.origin)
                gone.add(product)
        found.append(line)
    return [line for line in found if line not in gone]
