"""Where values live: a linear scan over the statements that gives them few, reused pieces of memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from fac.step.ir import Value
from fac.step.types import Batch
from fac_torch.stacking import Inside, inside
from fac_torch.statements import Statement, is_buffered
from fac_torch.templates import TEMPLATES, Memory
from fac_torch.views import roots


@dataclass(frozen=True, slots=True)
class Place:
    """One value's piece of a slot."""

    slot: int
    before: int = 0
    """How many pieces like it lie before it there."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Places by value, and the size of each slot: (numbers, whether per sample)."""

    places: dict[Value, Place]
    slots: tuple[tuple[int, bool], ...]
    over: dict[Value, Value]
    """By value what torch allocated, and the value is written over: they have one type."""
    dropped: dict[Statement, tuple[Value, ...]]
    """By statement what torch allocated, or is a view of that, and nobody reads after it."""


def size(value: Value) -> tuple[int, bool]:
    """(numbers, whether that many per sample)."""
    batched = any(isinstance(dim, Batch) for dim in value.type.shape)
    return prod(dim.times if isinstance(dim, Batch) else dim for dim in value.type.shape), batched


def _size(value: Value, narrow: frozenset[Value]) -> tuple[int, bool]:
    """Likewise, of the numbers that a slot is counted in."""
    numbers, batched = size(value)
    return (-(-numbers // 2) if value in narrow else numbers), batched


def layout(lines: list[Statement], keep: set[Value], narrow: frozenset[Value] = frozenset()) -> Layout:
    """Give each float tensor of the statements a place.

    Args:
        lines: in their final order.
        keep: values that must stay until the end.
        narrow: values of half as many bytes; a machine that has no such type makes its slots larger.
    """
    within = inside(lines)
    shares = _shares(lines, within)
    last: dict[Value, int] = {shares.get(v, v): len(lines) for v in keep}
    for i, line in enumerate(lines):
        for value in line.operands:
            root = shares.get(value, value)
            last[root] = max(last.get(root, 0), i)
        for value in line.results:
            last.setdefault(shares.get(value, value), i)
    shared = set(shares.values())
    slots: list[tuple[int, bool]] = []
    places: dict[Value, Place] = {}
    owner: dict[Value, Value] = {}
    free: set[int] = set()
    dying: dict[int, list[Value]] = {}
    for value, i in last.items():
        dying.setdefault(i, []).append(value)
    for i, line in enumerate(lines):
        result, taken = line.result, None
        memory = TEMPLATES[line.kind].memory
        if result in within:
            whole, before = within[result].whole, within[result].before
            if whole not in places:
                places[whole] = Place(_slot(size(whole), slots, free))
            places[result] = Place(places[whole].slot, before)
        elif memory is Memory.FRESH:
            owner |= {v: v for v in line.results if v.type.shape != ()}
        elif result is not None and memory.is_told and is_buffered(result) and not line.updates:
            ends = [
                v
                for v in line.operands
                if last.get(v) == i
                and v not in shared
                and v.type == result.type
                and (v in narrow) == (result in narrow)
            ]
            over = [v for v in ends if v in places or v in owner] if memory is Memory.OVER else []
            if over and over[0] in owner:
                owner[result] = owner[over[0]]
            else:
                taken = over[0] if over else None
                slot = places[taken].slot if taken is not None else _slot(_size(result, narrow), slots, free)
                places[result] = Place(slot)
        free |= {places[v].slot for v in dying.get(i, ()) if v in places and v is not taken}
    over_torch = {value: kept for value, kept in owner.items() if value is not kept}
    return Layout(places, tuple(slots), over_torch, _dropped(lines, shares, owner, last))


def _shares(lines: list[Statement], within: Mapping[Value, Inside]) -> dict[Value, Value]:
    """For each value that is in the memory of another that one: of which it is a view, or a piece."""
    wholes = {value: place.whole for value, place in within.items()}
    return wholes | {value: wholes.get(root, root) for value, root in roots(lines).items()}


def _dropped(
    lines: list[Statement], shares: dict[Value, Value], owner: dict[Value, Value], last: dict[Value, int]
) -> dict[Statement, tuple[Value, ...]]:
    """What is in memory that torch allocated can be given back when the last of all that share it has been read."""
    names: dict[Value, list[Value]] = {}
    for line in lines:
        for value in line.results:
            kept = owner.get(shares.get(value, value))
            if kept is not None:
                names.setdefault(kept, []).append(value)
    found: dict[Statement, tuple[Value, ...]] = {}
    for values in names.values():
        end = max(last[shares.get(v, v)] for v in values)
        if end < len(lines):
            found[lines[end]] = (*found.get(lines[end], ()), *values)
    return found


def _slot(wanted: tuple[int, bool], slots: list[tuple[int, bool]], free: set[int]) -> int:
    """The free slot that fits best; else the largest free one, grown; else a new one."""
    numbers, batched = wanted
    usable = sorted(i for i in free if slots[i][1] == batched)
    fitting = [i for i in usable if slots[i][0] >= numbers]
    if fitting:
        chosen = min(fitting, key=lambda i: slots[i][0])
    elif usable:
        chosen = max(usable, key=lambda i: slots[i][0])
        slots[chosen] = wanted
    else:
        slots.append(wanted)
        return len(slots) - 1
    free.discard(chosen)
    return chosen
