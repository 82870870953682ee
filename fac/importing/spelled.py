"""Layers that a module spells out in arithmetic, found once the last of it is read."""

from __future__ import annotations

from math import isclose, pi, sqrt

from fac.backend import Call
from fac.importing.bound import Bound
from fac.importing.network import Network, Written
from fac.layers import Add, Erf, Gelu, Mean, Multiply, Pow, Rescaling, RmsNorm, Sqrt, Tanh
from fac.spec.layers import Layer
from fac.step.ops.units import CUBIC

ROUNDED = 1e-6
"""Relative: how far a factor that float32 has rounded may be from what is meant."""


def gelu(network: Network, call: Call, a: str, b: str, factor: float = 1.0) -> str | None:
    """X (1 + f(x)) / 2, of which `a` and `b` are the last two factors beside a number.

    F(x) is erf(x / sqrt(2)), or tanh(sqrt(2 / pi) (x + 0.044715 x^3)).
    """
    for one, other in ((a, b), (b, a)):
        x, half, none = line(network, one)
        top, scale, offset = line(network, other)
        half *= factor
        if none or not (_near(half * scale, 0.5) and _near(half * offset, 0.5)):
            continue
        if (curve := _made(network, top, Erf)) is not None and _exact(network, x, curve.reads[0]):
            return network.add(Gelu(), (x,), call).name
        if (curve := _made(network, top, Tanh)) is not None and _approximate(network, x, curve.reads[0]):
            return network.add(Gelu(approximate="tanh"), (x,), call).name
    return None


def halved(network: Network, call: Call, product: str, factor: float) -> str | None:
    """The same, where a number multiplies the product of the other two."""
    made = _made(network, product, Multiply)
    if made is None:
        return None
    a, b = made.reads
    return gelu(network, call, a, b, factor)


def _exact(network: Network, x: str, inner: str) -> bool:
    of, steep, none = line(network, inner)
    return of == x and not none and _near(steep, 1 / sqrt(2))


def _approximate(network: Network, x: str, inner: str) -> bool:
    of, steep, none = line(network, inner)
    total = _made(network, of, Add)
    if none or total is None or not _near(steep, sqrt(2 / pi)):
        return False
    return any(_cubic(network, x, *parts) for parts in (total.reads, total.reads[::-1]))


def rms(network: Network, call: Call, a: str, b: str) -> str | None:
    """X / sqrt(mean of x^2 + eps), of which `a` and `b` are x and one by the root."""
    for x, turned in ((a, b), (b, a)):
        under = _made(network, turned, Pow)
        if under is None or under.layer not in (Pow(exponent=-0.5), Pow(exponent=-1)):
            continue
        (inner,) = under.reads
        if under.layer == Pow(exponent=-1):
            root = _made(network, inner, Sqrt)
            if root is None:
                continue
            (inner,) = root.reads
        name, scale, eps = line(network, inner)
        mean = _made(network, name, Mean)
        if mean is None or scale != 1 or eps <= 0 or not _square(network, x, mean.reads[0]):
            continue
        assert isinstance(mean.layer, Mean)
        axes = mean.layer.axes
        if mean.layer.keep and isinstance(axes, tuple):
            last = axes == (len(network.shapes[x]) - 1,)
            layer = RmsNorm(axes=-1 if last else axes, eps=eps, affine=False)
            return network.add(layer, (x,), call).name
    return None


def weighted(network: Network, call: Call, norm: str, axes: tuple[int, ...], array: Bound) -> str | None:
    """Such a norm times an array of its axes, which is its weight."""
    made = _made(network, norm, RmsNorm)
    if made is None:
        return None
    assert isinstance(made.layer, RmsNorm)
    same = made.layer.axes == (-1 if axes == (len(made.shape) - 1,) else axes)
    if made.layer.affine or not same:
        return None
    layer = RmsNorm(axes=made.layer.axes, eps=made.layer.eps)
    return network.add(layer, made.reads, call, {"weight": array}).name


def _square(network: Network, x: str, name: str) -> bool:
    power, product = _made(network, name, Pow), _made(network, name, Multiply)
    if product is not None:
        return product.reads == (x, x)
    return power is not None and power.layer == Pow(exponent=2) and power.reads == (x,)


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
