"""Attention and its derivatives: one kernel for the three of them, which reads what the way there has kept."""

from __future__ import annotations

from dataclasses import replace

from fac.step.ir import Value
from fac.step.transform import Keeps, Pass
from fac.step.types import Type
from fac_torch.draft import everywhere
from fac_torch.statements import Statement

BACK = ("attend_query", "attend_key", "attend_value")


def looking(lines: list[Statement], _: set[Value]) -> list[Statement]:
    """The statements, with those derivatives that belong to one attention as one of them.

    A kernel makes all three, or what nobody needs of them in vain: of queries without keys there is seldom an error.
    """
    ahead: dict[object, Statement] = {}
    groups: dict[tuple[Statement, Value], list[Statement]] = {}
    for line in lines:
        if line.kind == "attend":
            ahead[_of(line, line.operands)] = line
        elif line.kind in BACK and (attention := ahead.get(_of(line, line.operands[1:]))) is not None:
            groups.setdefault((attention, line.operands[0]), []).append(line)
    found: dict[Statement, Statement | None] = {}
    for (attention, _error), group in groups.items():
        if attention not in found:
            found[attention] = _keeping(attention)
        kept = found[attention]
        assert kept is not None
        found |= dict.fromkeys(group)
        found[group[0]] = _back(group, kept.results)
    return [line for line in (found.get(line, line) for line in lines) if line is not None]


def _keeping(line: Statement) -> Statement:
    """The same attention, by a kernel that gives out what its derivatives read, too."""
    assert line.result is not None
    heads, (n, queries, _) = line.attributes["heads"], line.result.type.shape
    assert isinstance(heads, int)
    logsum = Value(f"{line.result.name}.logsum", Type((n, heads, queries)))
    return replace(line, kind="attend_with_logsum", also=(logsum,))


def _back(group: list[Statement], kept: tuple[Value, ...]) -> Statement:
    """One statement for a group, with a name for what nobody reads."""
    first, by_kind = group[0], {line.kind: line.result for line in group}
    results: list[Value] = []
    for kind, operand in zip(BACK, first.operands[1:4], strict=True):
        result = by_kind.get(kind)
        results.append(Value(f"{first.origin.node}.{kind}", operand.type) if result is None else result)
    return replace(
        first,
        kind="attend_back",
        operands=(*first.operands, *kept),
        result=results[0],
        also=tuple(results[1:]),
    )


def _of(line: Statement, operands: tuple[Value, ...]) -> object:
    return operands, tuple(sorted(line.attributes.items()))


ATTENTION_BACK = Pass(
    "attention_back",
    everywhere(looking),
    Keeps.ROUNDING,
    "the three derivatives of an attention are one kernel, which reads what the one of the way there has kept",
)
