"""Gradients of what several layers share: one product of the rows of all, in place of a sum of products."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping
from dataclasses import replace

from fac.step.ir import Value
from fac.step.transform import Keeps, Pass
from fac.step.types import Batch, N, Type
from fac_torch.draft import in_steps
from fac_torch.statements import Statement, is_outer


def tied(lines: list[Statement], keep: set[Value]) -> list[Statement]:
    """The statements, with a sum of products d^T h, or of sums over samples, as one over the rows of all, `stacked`.

    That is so for layers that make a vector of each sample. Those that make several, as of tokens, have so many rows
    that nothing is gained by more.
    """
    uses = Counter(value for line in lines for value in line.operands)
    uses.update(keep)
    made = {value: line for line in lines for value in line.results}
    when = {line: i for i, line in enumerate(lines)}
    inner = {v for v, line in made.items() if line.kind == "add" and uses[v] == 1}
    tops = {v for line in lines if line.kind != "add" for v in line.operands} | keep
    stacks: dict[tuple[Value, ...], Value] = {}
    found: list[Statement] = []

    def latest(term: Statement) -> int:
        """When all that it reads is there: so gradients of weight, bias and feedback have their rows in one order."""
        return max(when[made[v]] if v in made else -1 for v in term.operands)

    for line in lines:
        terms = _terms(line, inner, made) if line.kind == "add" and line.result in tops else []
        group = [made[v] for v in terms if uses[v] == 1 and v in made and _over_samples(made[v])]
        if len(group) > 1:
            grouped = {term.result for term in group}
            others = [value for value in terms if value not in grouped]
            found += _at_once(line, sorted(group, key=latest), others, stacks)
        else:
            found.append(line)
    return found


def _terms(line: Statement, inner: Container[Value], made: Mapping[Value, Statement]) -> list[Value]:
    """What a sum adds up, with the terms of sums that it alone reads in their place."""
    found: list[Value] = []
    waiting = list(line.operands)
    while waiting:
        value = waiting.pop()
        if value in inner and line.result is not None and value.type == line.result.type:
            waiting += made[value].operands
        else:
            found.append(value)
    return found


def _over_samples(line: Statement) -> bool:
    """Whether it sums products, or rows, over as many rows as there are samples."""
    if not is_outer(line) and (line.kind != "sum" or line.attributes != {"axes": (0,), "keep": False}):
        return False
    return all(len(v.type.shape) == 2 and v.type.shape[0] == N for v in line.operands)


def _at_once(
    line: Statement, group: list[Statement], others: list[Value], stacks: dict[tuple[Value, ...], Value]
) -> Iterator[Statement]:
    """What makes the result of a sum: the terms of this group as one, and then the others."""
    assert line.result is not None
    operands: list[Value] = []
    for values in zip(*(term.operands for term in group), strict=True):
        if values not in stacks:
            rows = Type((Batch(len(values)), *values[0].type.shape[1:]))
            stacks[values] = Value(f"{values[0].name}.stacked", rows)
            yield Statement("stacked", values, {}, stacks[values], group[0].origin)
        operands.append(stacks[values])
    totals = [*(Value(f"{line.result.name}.tied", line.result.type) for _ in others), line.result]
    yield replace(group[0], operands=tuple(operands), result=totals[0], origin=line.origin)
    for before, term, total in zip(totals, others, totals[1:], strict=False):
        yield replace(line, operands=(before, term), result=total)


TIE_ROWS = Pass(
    "tie_rows",
    in_steps(tied),
    Keeps.ROUNDING,
    "the gradient of what several layers share is one product of the rows of all, and no sum of products",
)
