"""Layers that a module spells out in arithmetic, found once the last of it is read."""

from __future__ import annotations

from math import isclose, pi, sqrt

from fac.backend import Call
from fac.importing.layout import Value
from fac.importing.network import Network, Written
from fac.layers import Add, Gelu, Pow, Rescaling, Tanh
from fac.spec.layers import Layer
from fac.step.ops.units import CUBIC

ROUNDED = 1e-6
"""Relative: how far a factor that float32 has rounded may be from what is meant."""


def gelu(network: Network, call: Call, a: Value, b: Value) -> Value | None:
    """X (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, of which `a` and `b` are the last two factors."""
    for one, other in ((a, b), (b, a)):
        x, half, none = line(network, one.node)
        top, scale, offset = line(network, other.node)
        tanh = _made(network, top, Tanh)
        if none or tanh is None or not (_near(half * scale, 0.5) and _near(half * offset, 0.5)):
            continue
        inner, steep, none = line(network, tanh.reads[0])
        sum_ = _made(network, inner, Add)
        if none or sum_ is None or not _near(steep, sqrt(2 / pi)):
            continue
        if any(_cubic(network, x, *parts) for parts in (sum_.reads, sum_.reads[::-1])):
            written = network.add(Gelu(approximate="tanh"), (x,), call)
            return Value(written.name, one.own, one.axes)
    return None


def _cubic(network: Network, x: str, plain: str, bent: str) -> bool:
    """Whether two summands are x and 0.044715 x^3."""
    cube, factor, offset = line(network, bent)
    power = _made(network, cube, Pow)
    return (
        plain == x
        and not offset
        and _near(factor, CUBIC)
        and power is not None
        and power.layer == Pow(exponent=3)
        and power.reads == (x,)
    )


def line(network: Network, name: str) -> tuple[str, float, float]:
    """Of which layer it is a multiple, by what factor, and what is added."""
    scale, offset = 1.0, 0.0
    while (by := network.layers.get(name)) is not None and isinstance(by.layer, Rescaling):
        scale, offset = scale * by.layer.scale, offset + scale * by.layer.offset
        (name,) = by.reads
    return name, scale, offset


def _made(network: Network, name: str, kind: type[Layer]) -> Written | None:
    found = network.layers.get(name)
    return found if found is not None and isinstance(found.layer, kind) else None


def _near(a: float, b: float) -> bool:
    return isclose(a, b, rel_tol=ROUNDED)
