"""Mixed precision in tensors of the narrower type: products of rounded numbers by kernels that hardware has for them.

What a step computes is said by its ops `round_to` (`fac.passes.narrow`). Here a product and the rounding of its result
become one statement, and what only holds rounded numbers gets memory of the narrower type, if a product reads it. Where
a machine has no such products that memory is of the session's type (`kernels.narrow_type`), and the kernels round: one
module for both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from fac.step.ir import Value
from fac.step.transform import Keeps, Pass
from fac.step.types import DType
from fac_torch.draft import Draft
from fac_torch.statements import SLOTS, Statement, is_outer, uses_of
from fac_torch.views import is_view

PRODUCTS = {"matmul": "narrow_matmul", "addmm": "narrow_addmm"}
MATRIX = 3
"""Axes of what products of matrices read: of matrices, and of tokens [N, T, C] that are shown as one."""
CHOOSING = frozenset({"relu", "relu_input", "neg"})
"""Elementwise kinds that only choose among the numbers of their operands, or turn signs, in whatever type."""


def narrowed(draft: Draft) -> Draft:
    """Products that are rounded in one statement each, and memory of the narrower type around them."""
    if not draft.moves or all(line.kind != "round_to" for line in draft.lines):
        return draft
    found = draft.rewritten(_updated(_rounded(draft.lines)))
    narrow = _wanted(found.lines)
    if not narrow:
        return found
    return replace(found.rewritten(_widened(found.lines, narrow)), narrow=narrow)


def _rounded(lines: list[Statement]) -> list[Statement]:
    """A product of rounded numbers, whose one reader rounds it: one statement in the place of that reader."""
    uses, made = uses_of(lines), {value: line for line in lines for value in line.results}
    fits = _fitting(lines)
    found = []
    for line in lines:
        if line.kind == "round_to":
            (exact,) = line.operands
            maker = made.get(exact)
            if (
                maker is not None
                and maker.kind in PRODUCTS
                and uses[exact] == 1
                and fits.issuperset(maker.operands)
            ):
                attributes = {**maker.attributes, **line.attributes}
                line = Statement(PRODUCTS[maker.kind], maker.operands, attributes, line.result, maker.origin)
        found.append(line)
    return found


def _updated(lines: list[Statement]) -> list[Statement]:
    """An update takes the factors of a gradient that it alone reads, as `marked.factored`: its tiles are rounded."""
    uses, made = uses_of(lines), {value: line for line in lines for value in line.results}
    found = []
    for line in lines:
        at = len(line.updates)
        product = made.get(line.operands[at]) if line.kind in SLOTS else None
        if product is not None and _is_rounded_outer(product) and uses[line.operands[at]] == 1:
            operands = (*line.updates, *product.operands, *line.operands[at + 1 :])
            attributes = {**line.attributes, "to": product.attributes["to"]}
            line = replace(line, kind=f"{line.kind}_outer", operands=operands, attributes=attributes)
        found.append(line)
    return found


def _fitting(lines: Iterable[Statement]) -> set[Value]:
    """Values whose numbers all are of the narrower type, in kinds of statements that any type does for."""
    fits: set[Value] = set()
    for line in lines:
        floats = [v for v in line.operands if v.type.dtype is DType.FLOAT]
        made = line.kind in ("round_to", *PRODUCTS.values())
        chosen = _chooses(line) and bool(floats) and fits.issuperset(floats)
        if line.result is not None and not line.updates and (made or chosen) and not _is_map(line.result):
            fits.add(line.result)
    return fits


def _is_map(value: Value) -> bool:
    """[N, C, H, W]: how that lies in memory is chosen by what convolutions want, which are in the session's type."""
    return len(value.type.shape) > MATRIX


def _wanted(lines: list[Statement]) -> frozenset[Value]:
    """Those that a product makes or reads, by itself or by what is chosen from them, and what that is chosen from."""
    fits, wanted = _fitting(lines), set[Value]()
    for line in reversed(lines):
        if _multiplies(line):
            wanted.update(fits.intersection((*line.operands, *line.results)))
        elif _chooses(line) and line.result in wanted:
            wanted.update(fits.intersection(line.operands))
    return frozenset(wanted)


def _chooses(line: Statement) -> bool:
    return line.kind in CHOOSING or is_view(line)


def _is_rounded_outer(line: Statement) -> bool:
    return line.kind == PRODUCTS["matmul"] and is_outer(line)


def _multiplies(line: Statement) -> bool:
    return line.kind in PRODUCTS.values() or (line.kind.endswith("_outer") and "to" in line.attributes)


def _widened(lines: list[Statement], narrow: frozenset[Value]) -> list[Statement]:
    """Who computes otherwise reads the same numbers in the type of the session, made once, where they come to be."""
    wide: dict[Value, Value] = {}
    readers: list[Statement] = []
    for line in lines:
        if not _multiplies(line) and not (line.result in narrow and line.kind != "round_to"):
            asked = [v for v in line.operands if v in narrow]
            wide |= {v: Value(f"{v.name}.wide", v.type) for v in asked if v not in wide}
            if asked:
                line = replace(line, operands=tuple(wide.get(v, v) for v in line.operands))
        readers.append(line)
    found: list[Statement] = []
    for line in readers:
        found.append(line)
        if line.result is not None and line.result in wide:
            made = wide[line.result]
            found.append(Statement("widen", (line.result,), {}, made, line.origin))
    return found


NARROW_PRODUCTS = Pass(
    "narrow_products",
    narrowed,
    Keeps.ROUNDING,
    "with mixed precision a product and its rounding are one call, on tensors of that type where it pays",
)
