"""What no order of statements can save is copied before anything moves."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from fac.step.ir import Origin, Phase, Value
from fac_torch.statements import Statement
from fac_torch.views import is_view, roots


def apart(lines: list[Statement], given_out: Container[Value]) -> list[Statement]:
    """The statements, with what is given out in memory of its own: later steps write into what it may be a view of."""
    found: list[Statement] = []
    for line in lines:
        if is_view(line) and line.result is not None and line.result in given_out:
            view = Value(f"{line.result.name}.view", line.result.type)
            found.append(replace(line, result=view))
            line = Statement("clone", (view,), {}, line.result, line.origin)
        found.append(line)
    return found


def keep_old_values(lines: list[Statement]) -> list[Statement]:
    """The statements, with copies of old values where an update would otherwise read what it or another one changed.

    That is where updates each read what the other one changes, as when two states change places, and where the
    gradient, or a factor of it, is the state itself: a kernel works piece by piece, and may read a piece again that
    it has written. Whatever else reads a state can come before the update.
    """
    shares = roots(lines)
    copies: list[Statement] = []
    kept: dict[Value, Value] = {}

    def aside(line: Statement, changed: tuple[Value, ...]) -> Statement:
        """The update, reading copies of what it reads of these states beside what it moves itself."""
        own = len(line.updates)
        operands = list(line.operands)
        for k, value in enumerate(operands[own:], own):
            if shares.get(value, value) in changed:
                if value not in kept:
                    kept[value] = Value(f"{value.name}.before", value.type)
                    origin = Origin(line.origin.node, Phase.UPDATE)
                    copies.append(Statement("clone", (value,), {}, kept[value], origin))
                operands[k] = kept[value]
        return line if tuple(operands) == line.operands else replace(line, operands=tuple(operands))

    updates = {
        i: line if line.kind == "copy" else aside(line, line.updates)
        for i, line in enumerate(lines)
        if line.updates
    }
    changer = {state: i for i, line in updates.items() for state in line.updates}
    after: dict[int, list[int]] = {i: [] for i in updates}
    before: dict[int, set[int]] = {i: set() for i in updates}
    for i, line in updates.items():
        for value in line.operands[len(line.updates) :]:
            j = changer.get(shares.get(value, value), i)
            if j != i and i not in before[j]:
                before[j].add(i)
                after[i].append(j)
    done = set[int]()

    def go(ready: list[int]) -> None:
        while ready:
            i = ready.pop()
            done.add(i)
            for j in after[i]:
                before[j].discard(i)
                if not before[j] and j not in done:
                    ready.append(j)

    go([i for i in updates if not before[i]])
    for first in updates:
        if first not in done:  # each that is left waits for another: what holds this one up reads a copy
            for i in before[first]:
                updates[i] = aside(updates[i], updates[first].updates)
            go([first])
    return [*copies, *(updates.get(i, line) for i, line in enumerate(lines))]
