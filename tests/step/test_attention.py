"""The multiply-adds of attention, which are those of the products that it is made of."""

from __future__ import annotations

import pytest

from fac.passes import optimise
from fac.passes.decompose import decompose
from fac.step.builder import Builder
from fac.step.cost import Tally, count
from fac.step.ir import Function
from fac.step.ops import OPS
from fac.step.types import N, Type

T, S = 5, 4
FINEST = {kind for kind, definition in OPS.items() if definition.finer is None}


def macs(function: Function) -> int:
    """Of all ops, for 3 samples."""
    return sum(count(function, 3).values(), Tally()).macs


@pytest.mark.parametrize(
    "back",
    [
        (),
        ("value",),
        ("query",),
        ("key",),
        ("key", "value"),
        ("query", "key"),
        ("query", "value"),
        ("query", "key", "value"),
    ],
)
@pytest.mark.parametrize(("heads", "kv_heads", "d", "e"), [(4, 4, 3, 2), (6, 2, 2, 5)])
def test_it_costs_what_its_products_cost(
    back: tuple[str, ...], heads: int, kv_heads: int, d: int, e: int
) -> None:
    """The way back makes the shares once more in no case: those of the way there are still known."""
    b = Builder()
    shapes = {"q": (N, T, heads * d), "k": (N, S, kv_heads * d), "v": (N, S, kv_heads * e)}
    q, k, v = (b.input(name, Type(shape)) for name, shape in shapes.items())
    g, mask = b.input("g", Type((N, T, heads * e))), b.input("mask", Type((N, S)))
    settings = {"heads": heads, "kv_heads": kv_heads, "causal": False}
    found = {"y": b.emit("attend", q, k, v, mask, **settings)}
    found |= {name: b.emit(f"attend_{name}", g, q, k, v, mask, **settings) for name in back}
    function = b.finish("forward", found)
    assert macs(function) == macs(optimise(decompose(function, FINEST)))
