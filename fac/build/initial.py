"""Initial values, drawn on the host: one Philox stream per tensor name, so that adding a layer changes no other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod, sqrt
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fac.build.threads import one_thread
from fac.memory import require_memory
from fac.program.tensors import Columns, Constant, Entries, Products, Start, SvdFactor, Tensor
from fac.spec.init import SCALED, Density, Normal, PerUnit, Uniform, entries

Array = NDArray[np.float64]


def draw(
    tensors: Sequence[Tensor], seed: int, given: Mapping[str, NDArray[np.floating]] = MappingProxyType({})
) -> dict[str, Array]:
    """Every tensor's initial value, float64, row by row in memory.

    Equal to the bit whatever the number of threads: decompositions run in one, because libraries share out the work of
    a product according to how many there are, and add in another order then.

    Args:
        tensors: a factor of an SVD needs its weight among them.
        seed: of the run; equal seeds and names give equal values in every spec.
        given: values that are known already, by name. They stay, and factors of an SVD are those of given weights.

    Raises:
        FacError: they do not fit into memory.
    """
    require_memory(
        "the initial state", {tensor.name: tensor.shape for tensor in tensors}, np.float64().itemsize
    )
    state = {name: np.asarray(array, np.float64) for name, array in given.items()}
    with one_thread():
        for tensor in tensors:
            if tensor.name not in state and not isinstance(tensor.init, SvdFactor):
                state[tensor.name] = _draw(tensor, tensor.init, seed)
        for tensor in tensors:
            if tensor.name not in state and isinstance(tensor.init, SvdFactor):
                weight = tensor.init.weight
                state[tensor.name] = _factor(tensor, tensor.init, matrix_of(state[weight.name], weight), seed)
    return {tensor.name: np.asarray(state[tensor.name], order="C") for tensor in tensors}


def matrix_of(array: NDArray[np.floating], tensor: Tensor) -> NDArray[np.floating]:
    """A weight, or feedback in its place, as [reads, writes], in whatever shape it is kept."""
    return _by_group(array.reshape(tensor.shape), tensor).reshape(tensor.reads, -1)


def _by_group(array: NDArray[Any], tensor: Tensor) -> NDArray[Any]:
    """[groups, reads of a group, ...]: a view of the array, if it lies row by row."""
    first, *rest = tensor.shape
    return np.moveaxis(array.reshape(tensor.groups, first // tensor.groups, *rest), tensor.reads_axis + 1, 1)


def svd_pair(weight: NDArray[np.floating], rank: int) -> tuple[Array, Array]:
    """Balanced factors (P [rank, m], Q [k, rank]) with Q P the best rank-r approximation of W^T.

    W^T ~ U S V^T gives Q = U sqrt(S), P = sqrt(S) V^T (Eckart and Young 1936).
    """
    u, s, vt = np.linalg.svd(np.asarray(weight, np.float64).T, full_matrices=False)
    # Each pair of singular vectors is free in sign: the largest entry of u is made positive, on every backend.
    signs = np.sign(np.take_along_axis(u, np.abs(u).argmax(0)[None], 0))[0]
    root = np.sqrt(s[:rank])
    return (root * signs[:rank])[:, None] * vt[:rank], u[:, :rank] * (root * signs[:rank])


def _factor(tensor: Tensor, init: SvdFactor, weight: NDArray[np.floating], seed: int) -> Array:
    """P or Q, see `svd_pair`.

    A weight of zeros has no directions, and P and Q both zero would wait for each other under every rule: P then has
    orthonormal rows, and Q alone is zero.
    """
    if weight.any():
        return svd_pair(weight, init.rank)["PQ".index(init.side)]
    if init.side == "Q":
        return np.zeros(tensor.shape)
    return _orthonormal_rows(_generator(seed, tensor.name), tensor.shape)


def _draw(tensor: Tensor, init: Start, seed: int) -> Array:
    values = _entries(tensor, init, seed)
    if tensor.mask is None:
        return values
    # A stream of its own: what is kept has the values that it has without a mask.
    return np.where(_kept(tensor, tensor.mask, _masking(tensor.name, seed)), values, 0.0)


def _masking(matrix: str, seed: int) -> np.random.Generator:
    """The stream that says what is kept of a matrix."""
    return _generator(seed, f"{matrix}.mask")


def _kept(tensor: Tensor, mask: PerUnit | Density, rng: np.random.Generator) -> NDArray[np.bool_]:
    if isinstance(mask, Density):
        return rng.random(tensor.shape) < mask.density
    kept = np.zeros(tensor.shape, np.bool_)
    for group in _by_group(kept, tensor):
        wide = np.moveaxis(group, 0, -1)
        chosen = _chosen(rng, wide[..., 0].size, len(group), mask.per_unit)
        wide[...] = _marked(chosen, len(group)).reshape(wide.shape)
    return kept


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


def _entries(tensor: Tensor, init: Start, seed: int) -> Array:
    shape, rng = tensor.shape, _generator(seed, tensor.name)
    match init:
        case "zeros":
            return np.zeros(shape)
        case "ones":
            return np.ones(shape)
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
            drawn = entries(own, tensor.fan_in, tensor.fan_out)
            assert drawn is not None, "see `misfit` of the operator"
            return unit * choice[np.arange(rows) % sets] / (sqrt(drawn.variance) or 1.0)
        case "orthogonal":
            return _orthonormal_rows(rng, shape)
        case Normal(std=std):
            return rng.standard_normal(shape) * std
        case Uniform(bound=bound):
            return _uniform(rng, bound, shape)
        case str() if init in SCALED:
            law = SCALED[init]
            of = law.of(tensor.fan_in, tensor.fan_out)
            if law.normal:
                return rng.standard_normal(shape) / sqrt(of / law.parts)
            return _uniform(rng, sqrt(3 * law.parts / of), shape)
    raise AssertionError(f"no law for {init}")


def _generator(seed: int, name: str) -> np.random.Generator:
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    return np.random.Generator(np.random.Philox(key=np.array([seed, key], np.uint64)))


def _uniform(rng: np.random.Generator, bound: float, shape: tuple[int, ...]) -> Array:
    return rng.uniform(-bound, bound, shape)


def _orthonormal_rows(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Rows (or, if there are more rows than columns, columns) that are orthonormal; a row is all of the first axis."""
    rows, columns = shape[0], prod(shape[1:])
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    return (q.T if rows <= columns else q).reshape(shape)
