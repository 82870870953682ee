"""What is read of a tensor in part is looked at where it lies, and not copied, if its readers go by strides."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from fac.step.ir import Value
from fac.step.ops.maps import whole
from fac.step.transform import Keeps, Pass
from fac_torch.draft import everywhere
from fac_torch.statements import Statement
from fac_torch.templates import TEMPLATES


def in_parts(lines: list[Statement], keep: set[Value]) -> list[Statement]:
    """The statements, with each `crop` as a view of its operand if all that read it take it so.

    One row of several that is then read without its axis, as a token of a sequence is, is one view.

    Args:
        lines: each behind those that make its operands.
        keep: what is given out, which lies row by row.
    """
    found: list[Statement] = []
    rowwise: set[Value] = set(keep)
    for line in reversed(lines):
        if line.kind == "crop" and line.result not in rowwise:
            line = replace(line, kind="part")
        elif not (line.kind == "crop" or TEMPLATES[line.kind].takes_gaps or _drops_axes(line, rowwise)):
            rowwise.update(line.operands)
        found.append(line)
    parts = {line.result: line for line in found if line.kind == "part" and line.result is not None}
    return [_picked(line, parts.get(line.operands[0])) if line.operands else line for line in found[::-1]]


def _drops_axes(line: Statement, rowwise: Container[Value]) -> bool:
    """Whether it leaves axes of one row out, or adds some, of what nobody wants row by row: numbers may stay apart."""
    if line.kind != "reshape" or line.result is None or line.result in rowwise:
        return False
    shapes = (value.type.shape for value in (line.operands[0], line.result))
    one, other = ([dim for dim in shape if dim != 1] for shape in shapes)
    return one == other


def _picked(line: Statement, part: Statement | None) -> Statement:
    """What reads a part of one row without that axis: the row itself."""
    if part is None or part.result is None or line.kind != "reshape" or line.result is None:
        return line
    before, after, shape = (
        whole(part.attributes, "before"),
        whole(part.attributes, "after"),
        part.result.type.shape,
    )
    cut = [axis for axis in range(len(shape)) if before[axis] or after[axis]]
    if len(cut) != 1 or (*shape[: cut[0]], *shape[cut[0] + 1 :]) != line.result.type.shape:
        return line
    return replace(
        line, kind="row", operands=part.operands, attributes={"axis": cut[0], "index": before[cut[0]]}
    )


LOOK_AT_PARTS = Pass(
    "look_at_parts",
    everywhere(in_parts),
    Keeps.ROUNDING,
    "what is read of a tensor in part is a view of it, and no copy, where its readers go by strides",
)
