"""The numbers of one initial array: one Philox stream per tensor name, so that adding a layer changes no other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from math import prod, sqrt
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fac.build.threads import one_thread
from fac.program.tensors import Columns, Constant, Entries, Products, Start, Tensor
from fac.spec.init import SCALED, Density, Normal, PerUnit, Uniform, entries

Array = NDArray[np.float64]
PIECE = 1 << 17
"""Numbers of a stream that are drawn at a time: 1 MiB in float64, whatever the array takes."""


def drawn(tensor: Tensor, init: Start, seed: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A tensor that starts by a law: the numbers of float64, rounded to the type."""
    values = np.asarray(_entries(tensor, init, seed, dtype), dtype, order="C")
    if tensor.mask is not None:
        # A stream of its own: what is kept has the values that it has without a mask.
        values[~_kept(tensor, tensor.mask, _masking(tensor.name, seed))] = 0.0
    return values


def _masking(matrix: str, seed: int) -> np.random.Generator:
    """The stream that says what is kept of a matrix."""
    return generator(seed, f"{matrix}.mask")


def _kept(tensor: Tensor, mask: PerUnit | Density, rng: np.random.Generator) -> NDArray[np.bool_]:
    if isinstance(mask, Density):
        return _pieces(tensor.shape, np.bool_, lambda n: rng.random(n) < mask.density)
    kept = np.zeros(tensor.shape, np.bool_)
    for group in by_group(kept, tensor):
        wide = np.moveaxis(group, 0, -1)
        chosen = _chosen(rng, wide[..., 0].size, len(group), mask.per_unit)
        wide[...] = _marked(chosen, len(group)).reshape(wide.shape)
    return kept


def by_group(array: NDArray[Any], tensor: Tensor) -> NDArray[Any]:
    """[groups, reads of a group, ...]: a view of the array, if it lies row by row."""
    first, *rest = tensor.shape
    return np.moveaxis(array.reshape(tensor.groups, first // tensor.groups, *rest), tensor.reads_axis + 1, 1)


def _marked(chosen: NDArray[np.int64], of: int) -> NDArray[np.bool_]:
    """[rows, of]: True at what each row has chosen."""
    found = np.zeros((len(chosen), of), np.bool_)
    np.put_along_axis(found, chosen, True, 1)
    return found


def _chosen(rng: np.random.Generator, rows: int, of: int, each: int) -> NDArray[np.int64]:
    """[rows, each]: different numbers below `of` for each row; of the first rows none is in one more than another.

    The rows take what comes in one permutation after the other. Where a row takes the end of one and goes on in the
    next, what it has stands behind the others there.
    """
    permutations = rng.random((-(-rows * each // of), of)).argsort(axis=1, kind="stable")
    for number in range(1, len(permutations) if of % each else 0):
        taken = (number * of) % each
        if taken:
            before, here = permutations[number - 1], permutations[number]
            has = np.isin(here, before[of - taken :])
            first = here[~has][: each - taken]
            permutations[number] = np.concatenate([first, here[~np.isin(here, first)]])
    return permutations.reshape(-1)[: rows * each].reshape(rows, each)


def _entries(tensor: Tensor, init: Start, seed: int, dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """Without a mask. Where each number is one of the stream, the array has the type; else it may be float64."""
    shape, rng = tensor.shape, generator(seed, tensor.name)
    match init:
        case "zeros":
            return np.zeros(shape, dtype)
        case "ones":
            return np.ones(shape, dtype)
        case Constant(value=value):
            return np.full(shape, value)
        case Columns(matrix=matrix, of=many, sets=sets):
            rows, each = shape
            found = _chosen(_masking(matrix, seed), min(sets or rows, rows), many, each)
            return found[np.arange(rows) % len(found)].astype(np.float64)
        case Entries(law=own, columns=columns):
            assert isinstance(columns.init, Columns)
            whole = _entries(replace(tensor, shape=(shape[0], columns.init.of)), own, seed)
            kept = _entries(columns, columns.init, seed).astype(np.int64)
            return np.take_along_axis(whole, kept, 1)
        case Products(law=own, sets=sets):
            rows, each = shape
            unit = _entries(replace(tensor, name=f"{tensor.name}.units", shape=(rows, 1)), own, seed)
            choice = _entries(replace(tensor, name=f"{tensor.name}.sets", shape=(sets, each)), own, seed)
            density = entries(own, tensor.fan_in, tensor.fan_out)
            assert density is not None, "see `misfit` of the operator"
            products: Array = unit * choice[np.arange(rows) % sets] / (sqrt(density.variance) or 1.0)
            return products
        case "orthogonal":
            return orthonormal_rows(rng, shape)
        case Normal(std=std):
            return _pieces(shape, dtype, lambda n: rng.standard_normal(n) * std)
        case Uniform(bound=bound):
            return _pieces(shape, dtype, lambda n: rng.uniform(-bound, bound, n))
        case str() if init in SCALED:
            law = SCALED[init]
            of = law.of(tensor.fan_in, tensor.fan_out)
            if law.normal:
                root = sqrt(of / law.parts)
                return _pieces(shape, dtype, lambda n: rng.standard_normal(n) / root)
            end = sqrt(3 * law.parts / of)
            return _pieces(shape, dtype, lambda n: rng.uniform(-end, end, n))
    raise AssertionError(f"no law for {init}")


def generator(seed: int, name: str) -> np.random.Generator:
    """The stream of a tensor of that name."""
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    return np.random.Generator(np.random.Philox(key=np.array([seed, key], np.uint64)))


def _pieces(shape: tuple[int, ...], dtype: DTypeLike, take: Callable[[int], NDArray[Any]]) -> NDArray[Any]:
    """An array of what a stream gives, some numbers at a time: the same as all at once.

    Args:
        shape: of the array.
        dtype: of the array.
        take: the next so many.
    """
    found = np.empty(prod(shape), dtype)
    for start in range(0, found.size, PIECE):
        part = found[start : start + PIECE]
        part[...] = take(len(part))
    return found.reshape(shape)


def orthonormal_rows(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Rows (or, if there are more rows than columns, columns) that are orthonormal; a row is all of the first axis."""
    rows, columns = shape[0], prod(shape[1:])
    with one_thread():
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    return (q.T if rows <= columns else q).reshape(shape)
