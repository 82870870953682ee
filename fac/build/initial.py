"""Initial values of the whole state, each array drawn on the host when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fac.backend.boundary import held
from fac.build.drawing import Array, by_group, drawn, generator, orthonormal_rows
from fac.build.threads import one_thread
from fac.memory import require_memory
from fac.program.tensors import SvdFactor, Tensor

if TYPE_CHECKING:
    from fac.backend import Precision


def draw(
    tensors: Sequence[Tensor],
    seed: int,
    given: Mapping[str, NDArray[np.floating]] = MappingProxyType({}),
    precision: Precision = "float64",
) -> Drawn:
    """Every tensor's initial value.

    Args:
        tensors: a factor of an SVD needs its weight among them.
        seed: of the run; equal seeds and names give equal values in every spec.
        given: values that are known already, by name. They stay, and factors of an SVD are those of given weights.
        precision: of the arrays: numbers are those of float64, rounded.

    Raises:
        FacError: they do not fit into memory.
    """
    shapes = {tensor.name: tensor.shape for tensor in tensors}
    require_memory("the initial state", shapes, np.dtype(precision).itemsize)
    return Drawn({tensor.name: tensor for tensor in tensors}, seed, given, precision)


class Drawn(Mapping[str, NDArray[Any]]):
    """Initial values by name, row by row in memory, each drawn whenever it is asked for, and not kept.

    Who takes them elsewhere one after the other never has two of them in memory, nor the numbers of one in float64
    where it wants float32. All of them in float64 were three times what a training takes.

    Equal to the bit whatever the number of threads: decompositions run in one, because libraries share out the work of
    a product according to how many there are, and add in another order then.
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        seed: int,
        given: Mapping[str, NDArray[np.floating]],
        precision: Precision,
    ) -> None:
        self.tensors, self.seed, self.given, self.precision = tensors, seed, given, precision
        self.pairs: dict[tuple[str, int], tuple[Array, Array]] = {}
        """The factors that were made last: P and Q of one weight are asked for one after the other."""

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def __contains__(self, name: object) -> bool:
        return name in self.tensors  # what a Mapping does by itself draws

    def __getitem__(self, name: str) -> NDArray[Any]:
        """The array of that name.

        Raises:
            FacError: a number of it is more than the precision reaches.
        """
        tensor = self.tensors[name]
        if name in self.given:
            return held(name, np.asarray(self.given[name], np.float64), self.precision)
        if isinstance(tensor.init, SvdFactor):
            return held(name, self._factor(tensor, tensor.init), self.precision, copy=False)
        with np.errstate(over="ignore"):
            found = drawn(tensor, tensor.init, self.seed, np.dtype(self.precision))
        ends = (found.min(initial=0.0), found.max(initial=0.0))
        if not np.isfinite(ends).all():  # `held` says where, and needs the numbers that were too large
            held(name, drawn(tensor, tensor.init, self.seed, np.dtype(np.float64)), self.precision)
        return found

    def _factor(self, tensor: Tensor, init: SvdFactor) -> Array:
        """P or Q, see `svd_pair`.

        A weight of zeros has no directions, and P and Q both zero would wait for each other under every rule: P then
        has orthonormal rows, and Q alone is zero.
        """
        of = (init.weight.name, init.rank)
        if of not in self.pairs:
            wide = Drawn(self.tensors, self.seed, self.given, "float64")
            weight = matrix_of(wide[init.weight.name], init.weight)
            if not weight.any():
                if init.side == "Q":
                    return np.zeros(tensor.shape)
                return orthonormal_rows(generator(self.seed, tensor.name), tensor.shape)
            with one_thread():
                self.pairs = {of: svd_pair(weight, init.rank)}
        return self.pairs[of]["PQ".index(init.side)].copy()


def matrix_of(array: NDArray[np.floating], tensor: Tensor) -> NDArray[np.floating]:
    """A weight, or feedback in its place, as [reads, writes], in whatever shape it is kept."""
    return by_group(array.reshape(tensor.shape), tensor).reshape(tensor.reads, -1)


def svd_pair(weight: NDArray[np.floating], rank: int) -> tuple[Array, Array]:
    """Balanced factors (P [rank, m], Q [k, rank]) with Q P the best rank-r approximation of W^T.

    W^T ~ U S V^T gives Q = U sqrt(S), P = sqrt(S) V^T (Eckart and Young 1936).
    """
    u, s, vt = np.linalg.svd(np.asarray(weight, np.float64).T, full_matrices=False)
    # Each pair of singular vectors is free in sign: the largest entry of u is made positive, on every backend.
    signs = np.sign(np.take_along_axis(u, np.abs(u).argmax(0)[None], 0))[0]
    root = np.sqrt(s[:rank])
    return (root * signs[:rank])[:, None] * vt[:rank], u[:, :rank] * (root * signs[:rank])
