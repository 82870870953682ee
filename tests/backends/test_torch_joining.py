"""Sums of parts among zeros, as one copy where they fill the whole, and as they are where not."""

from __future__ import annotations

from itertools import accumulate

import pytest

from fac.step.builder import Builder
from fac.step.types import Batch, N, Type
from fac_torch.joining import joined
from fac_torch.lowering import drafted
from fac_torch.passes import written

WIDTH = 9


def kinds(parts: list[tuple[int, int]], axis: int = 2, twice: bool = False) -> list[str]:
    """The statements for a sum of parts (start, size) of [N, 9, 9] along an axis; read twice on its way if so told."""
    b = Builder()
    b.input("x", Type((N,)))
    padded = []
    for place, (start, size) in enumerate(parts):
        shape: list[int | Batch] = [N, WIDTH, WIDTH]
        shape[axis] = size
        before, after = [0, 0, 0], [0, 0, 0]
        before[axis], after[axis] = start, WIDTH - start - size
        part = b.input(f"a{place}", Type(tuple(shape)))
        padded.append(b.emit("pad", part, before=tuple(before), after=tuple(after)))
    *first, total = accumulate(padded, b.add)
    outputs = {"y": total} | ({"first": first[-1]} if twice else {})
    function = b.finish("forward", outputs)
    return [line.kind for line in written(function, (), moves=False).lines]


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("parts", [[(0, 4), (4, 2), (6, 3)], [(6, 3), (0, 4), (4, 2)], [(5, 4), (0, 5)]])
def test_parts_that_fill_the_whole_are_copied(parts: list[tuple[int, int]], axis: int) -> None:
    assert kinds(parts, axis) == ["concat"]


@pytest.mark.parametrize("parts", [[(0, 4), (5, 4)], [(0, 5), (4, 5)], [(1, 4), (5, 4)], [(0, 4), (4, 4)]])
def test_parts_with_a_gap_or_that_overlap_are_added(parts: list[tuple[int, int]]) -> None:
    assert kinds(parts) == ["pad", "pad", "add"]


def test_a_sum_that_somebody_else_reads_stays_beside_the_whole() -> None:
    assert kinds([(0, 4), (4, 2), (6, 3)], twice=True) == ["pad", "pad", "add", "concat"]


def test_a_part_of_two_wholes_is_copied_into_both() -> None:
    b = Builder()
    b.input("x", Type((N,)))
    left, *others = (b.input(name, Type((N, size))) for name, size in (("l", 4), ("a", 5), ("b", 5)))
    shared = b.emit("pad", left, before=(0, 0), after=(0, 5))
    wholes = [b.add(shared, b.emit("pad", other, before=(0, 4), after=(0, 0))) for other in others]
    made = written(b.finish("forward", {"y": wholes[0], "z": wholes[1]}), (), moves=False).lines
    assert [(line.kind, line.operands) for line in made] == [("concat", (left, o)) for o in others]


def test_a_long_sum_takes_no_stack() -> None:
    b = Builder()
    x = b.input("x", Type((N, 2)))
    total = x
    for _ in range(5000):
        total = b.add(total, x)
    lines = drafted(b.finish("forward", {"y": total}), (), moves=False).lines
    assert joined(lines, {total}) == lines
