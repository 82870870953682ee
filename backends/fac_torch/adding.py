"""Products with what is added to them, as one call."""

from __future__ import annotations

from fac.step.ir import Value
from fac.step.transform import Keeps, Pass
from fac_torch.draft import everywhere
from fac_torch.statements import Statement, is_buffered, uses_of


def addmm(lines: list[Statement], _: set[Value]) -> list[Statement]:
    """A product whose one reader adds a vector to it becomes `addmm`."""
    uses, made = uses_of(lines), {value: line for line in lines for value in line.results}
    found: list[Statement] = []
    for line in lines:
        if line.kind == "add":
            product, bias = line.operands
            maker = made.get(product)
            if (
                maker is not None
                and maker.kind == "matmul"
                and uses[product] == 1
                and len(bias.type.shape) == 1
            ):
                line = Statement("addmm", (bias, *maker.operands), maker.attributes, line.result, line.origin)
        found.append(line)
    return found


def addcmul(lines: list[Statement], _: set[Value]) -> list[Statement]:
    """A product of numbers whose one reader adds it to others, or takes it from them: `addcmul`, if all are alike."""
    uses, made = uses_of(lines), {value: line for line in lines for value in line.results}
    found: list[Statement] = []
    for line in lines:
        if line.kind in ("add", "sub") and line.result is not None:
            places = (1, 0) if line.kind == "add" else (1,)
            for product, other in ((line.operands[k], line.operands[1 - k]) for k in places):
                maker = made.get(product)
                if maker is None or maker.kind != "mul" or uses[product] != 1 or not is_buffered(product):
                    continue
                operands = (other, *maker.operands)
                if all(value.type == line.result.type for value in operands):
                    sign = {"value": 1 if line.kind == "add" else -1}
                    line = Statement("addcmul", operands, sign, line.result, line.origin)
                    break
        found.append(line)
    return found


ADDMM = Pass(
    "addmm", everywhere(addmm), Keeps.ROUNDING, "a product and the vector that is added to it are one `addmm`"
)
ADDCMUL = Pass(
    "addcmul",
    everywhere(addcmul),
    Keeps.ROUNDING,
    "a product of numbers and what it is added to, or taken from, are one `addcmul`",
)
