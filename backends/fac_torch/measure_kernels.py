"""Kernels of what probes measure: cosines, ratios of norms and shares of energy.

This file travels with every written artifact, as `kernels.py` does, which gives all of this out. What is measured must
not depend on scales: squares of the numbers as they are may overflow, or be lost. Where the host need not wait to read
sums of squares, and these are neither, they are taken as they are; else of tensors over their magnitude.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

Tensor = torch.Tensor
Product = Callable[[Tensor, Tensor], Tensor]
LEAST = {t: torch.finfo(t).tiny / torch.finfo(t).eps ** 2 for t in (torch.float32, torch.float64)}
"""A sum of squares from here on lacks nothing that counts: what vanishes when it is squared is nothing beside it."""
MOST = {t: torch.finfo(t).max ** 0.5 for t in (torch.float32, torch.float64)}
"""Up to here the square of a sum of squares is a number."""


def dot(a: Tensor, b: Tensor) -> Tensor:
    """The sum of all a * b."""
    return torch.dot(a.reshape(-1), b.reshape(-1))


def cosine(xs: Sequence[Tensor], ys: Sequence[Tensor], floor: float) -> Tensor:
    """<x, y> / (|x| |y|) over all entries of all pairs, as if stacked: a scalar.

    NaN if x is zero or |y| no larger than the floor.
    """
    found, seen = _cosines(xs, ys, floor, dot)
    return torch.where(seen, found, math.nan)


def sample_cosine(xs: Sequence[Tensor], ys: Sequence[Tensor], floor: float) -> Tensor:
    """The mean over samples of their cosines; see `sample_cosines`."""
    return sample_cosines(xs, ys, floor)[0]


def sample_cosine_sd(xs: Sequence[Tensor], ys: Sequence[Tensor], floor: float) -> Tensor:
    """Their standard deviation; see `sample_cosines`."""
    return sample_cosines(xs, ys, floor)[1]


def sample_cosines(xs: Sequence[Tensor], ys: Sequence[Tensor], floor: float) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over samples [N, ...] of their cosines, pairs stacked. Scalars.

    Left out are samples of which x is zero or |y| no larger than the floor; NaN if none is left.
    """
    rows, others = ([x.reshape(len(x), -1) for x in side] for side in (xs, ys))
    found, seen = _cosines(rows, others, floor, _by_row)
    count = seen.sum().to(found.dtype)
    mean = torch.where(seen, found, 0.0).sum() / count
    off = torch.where(seen, found - mean, 0.0)
    return mean, (dot(off, off) / count).sqrt()


def norm_ratio(x: Tensor, y: Tensor) -> Tensor:
    """|x| / |y|, a scalar, whatever their squares do; NaN if y is zero."""
    (_, unit, xx), (_, other, yy) = (_sized([side], dot) for side in (x, y))
    return torch.where(yy == 0, math.nan, (unit / other) * (xx / torch.where(yy == 0, 1.0, yy)).sqrt())


def captured_energy(p: Tensor, ds: Sequence[Tensor]) -> Tensor:
    """The share of all |d|^2, d [places, m], in the row space of P [r, m]: a scalar in [0, 1]; NaN if d is zero."""
    ((basis,), _), (ds, _, squares) = _scaled([p], _by_row), _sized(ds, dot)
    onto = torch.linalg.pinv(basis)
    held = [d @ onto @ basis for d in ds]
    return torch.where(squares == 0, math.nan, (_total(dot, held, held) / squares).clamp(max=1.0))


def _by_row(a: Tensor, b: Tensor) -> Tensor:
    """[N, 1]."""
    return (a * b).sum(1, keepdim=True)


def _cosines(
    xs: Sequence[Tensor], ys: Sequence[Tensor], floor: float, product: Product
) -> tuple[Tensor, Tensor]:
    """The cosines, and where they are defined: of everything, or of rows [N, 1]."""
    (xs, _, xx), (ys, unit, yy) = (_sized(side, product) for side in (xs, ys))
    sizes, lengths = xx.sqrt(), yy.sqrt()
    seen = (xx > 0) & (yy > 0) & (unit * lengths > floor)
    quotient = _total(product, xs, ys) / torch.where(seen, sizes * lengths, 1.0)
    return quotient.clamp(-1.0, 1.0), seen  # rounding can lift it above 1


def _sized(xs: Sequence[Tensor], product: Product) -> tuple[Sequence[Tensor], Tensor | float, Tensor]:
    """Tensors over a unit, the unit, and the sum of their squares."""
    found = _total(product, xs, xs)
    if _is_plain(found):
        return xs, 1.0, found
    xs, unit = _scaled(xs, product)
    return xs, unit, _total(product, xs, xs)


def _total(product: Product, xs: Sequence[Tensor], ys: Sequence[Tensor]) -> Tensor:
    return sum((product(x, y) for x, y in zip(xs[1:], ys[1:], strict=True)), start=product(xs[0], ys[0]))


def _is_plain(squares: Tensor) -> bool:
    """Whether such sums are numbers to go on with, as far as the host need not wait to know."""
    if squares.device.type != "cpu":
        return False
    low, high = squares.aminmax()
    return LEAST[squares.dtype] <= low.item() and high.item() <= MOST[squares.dtype]


def _scaled(xs: Sequence[Tensor], product: Product) -> tuple[list[Tensor], Tensor]:
    """Tensors, as if stacked or row by row, over the power of two below their largest magnitude; 1 where all is zero.

    A power of two changes no digit: what is measured of tensors as they are, and of these, is equal to the bit.
    """
    along = None if product is dot else (1,)
    magnitudes = [x.abs().amax() if along is None else x.abs().amax(along, keepdim=True) for x in xs]
    largest = magnitudes[0]
    for magnitude in magnitudes[1:]:
        largest = torch.maximum(largest, magnitude)
    unit = torch.where(largest == 0, 1.0, largest / (2 * torch.frexp(largest).mantissa))
    return [x / unit for x in xs], unit
