"""The order of statements: what frees memory first, and each update as soon as nobody needs the old value."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from heapq import heapify, heappop, heappush

from fac.step.feed import fed
from fac.step.ir import Phase, Value
from fac.step.transform import Keeps, Pass
from fac_torch.aside import keep_old_values
from fac_torch.draft import in_steps
from fac_torch.statements import Statement, is_buffered
from fac_torch.templates import TEMPLATES, Memory
from fac_torch.views import roots


def schedule(lines: list[Statement]) -> list[Statement]:
    """A topological order in which errors and gradients die early, so that few buffers hold them all.

    A statement waits for those that make its operands, and an update also for every other reader of the state that it
    changes, or of a view of that: a feedback line of a layer precedes its update line. Of the statements that may run,
    small gradients and what feedback matrices learn come first, then updates; the others keep the order of the
    function.
    """
    lines = keep_old_values(lines)
    followers, waiting = _dependencies(lines)
    urgency = _urgency(lines)
    ready = [(*urgency[i], i) for i, count in enumerate(waiting) if count == 0]
    heapify(ready)
    order: list[Statement] = []
    while ready:
        *_, i = heappop(ready)
        order.append(lines[i])
        for j in followers[i]:
            waiting[j] -= 1
            if waiting[j] == 0:
                heappush(ready, (*urgency[j], j))
    assert len(order) == len(lines)
    return order


def _dependencies(lines: list[Statement]) -> tuple[list[list[int]], list[int]]:
    """Which statements follow each one, and how many each one waits for."""
    made = {value: i for i, line in enumerate(lines) for value in line.results}
    shares = roots(lines)
    readers: dict[Value, list[int]] = {}
    for i, line in enumerate(lines):
        for value in dict.fromkeys(shares.get(v, v) for v in line.operands):
            readers.setdefault(value, []).append(i)
    followers: list[list[int]] = [[] for _ in lines]
    waiting = [0] * len(lines)
    for i, line in enumerate(lines):
        before = {made[v] for v in line.operands if v in made}
        before |= {j for v in line.updates for j in readers[v] if j != i}
        waiting[i] = len(before)
        for j in before:
            followers[j].append(i)
    return followers, waiting


def _urgency(lines: list[Statement]) -> list[tuple[int, int]]:
    """What reads an error that was just made, then updates (a large one drives the error out of the cache).

    What a matrix learns from weights alone could run at any time: it goes where its layer's gradients are made.
    """
    made = {v for line in lines for v in line.results}
    batch: set[Value] = {v for line in lines for v in line.operands if v not in made and fed(v)}
    place: dict[str, int] = {}
    found: list[tuple[int, int]] = []
    for i, line in enumerate(lines):
        if batch.intersection(line.operands) and line.result is not None:
            batch.update(line.results)
        if line.origin.phase is Phase.GRADIENT:
            place.setdefault(line.origin.node, i)
        if line.updates:
            found.append((1, i))
        elif line.result is not None and line.result not in batch and line.result.type.shape == ():
            found.append((0, i))  # a number such as a scaled learning rate, which updates wait for
        elif line.origin.phase is Phase.LEARN and line.result not in batch:
            found.append((2, place.get(line.origin.node, i)))
        else:
            found.append((0 if line.origin.phase in (Phase.LEARN, Phase.GRADIENT) else 2, i))
    return found


def written_through(lines: list[Statement], _: set[Value]) -> list[Statement]:
    """An elementwise op whose result is only copied into a state writes there at once, if nobody reads it later."""
    copies = {line.operands[1]: line for line in lines if line.kind == "copy"}
    uses = Counter(value for line in lines for value in line.operands)
    shares = roots(lines)
    last = {
        shares.get(value, value): i
        for i, line in enumerate(lines)
        for value in (line.operands[1:] if line.kind == "copy" else line.operands)
    }
    direct: dict[Statement, Statement] = {}
    for i, line in enumerate(lines):
        copy = copies.get(line.result) if line.result is not None else None
        # A scalar is a result of Python's own arithmetic, which writes nowhere.
        if copy is None or not is_buffered(copy.operands[1]) or uses[copy.operands[1]] != 1:
            continue
        if TEMPLATES[line.kind].memory is not Memory.OVER:
            continue
        state = copy.operands[0]
        if last.get(state, -1) <= i:
            direct[line] = direct[copy] = replace(line, updates=(state,))
    return [direct.get(line, line) for line in lines if not (line.kind == "copy" and line in direct)]


def assert_old_values(lines: list[Statement]) -> None:
    """All updates of a step read the values from before the step."""
    changed: set[Value] = set()
    shares = roots(lines)
    for line in lines:
        stale = changed.intersection(shares.get(v, v) for v in line.operands)
        assert not stale, f"`{line.kind}` reads `{next(iter(stale)).name}` after its update"
        changed.update(line.updates)


WRITE_THROUGH = Pass(
    "write_through",
    in_steps(written_through),
    Keeps.BITS,
    "an elementwise op whose result is only copied into a state writes there at once",
)
