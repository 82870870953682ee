"""inverse_rl.py: which cost does an expert minimise? The cost is learned from its inputs and estimated states.

Observer-based inverse reinforcement learning with a history stack (after Town, Morrison and Kamalapurkar, arXiv
2210.16299). The "feedback matrix" is the gain K of the expert, u = -K x; no error goes back to any layer by it. Names:
n states, m inputs, p = n (n + 1) / 2 products of states. The unknown W holds the upper triangles of S and Q (p each,
rows first), then r_2, ..., r_m: r_1 is known, as a cost times a number has the same expert.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fac.plugin import (
    Builder,
    FacError,
    Facts,
    Layer,
    LayerKind,
    Mode,
    Node,
    Passing,
    Phase,
    Program,
    Shape,
    ShapeError,
    Solve,
    Solved,
    SolveKind,
    Solving,
    State,
    Unsolvable,
    Value,
)

Array = NDArray[np.float64]
Number = Annotated[float, Field(allow_inf_nan=False)]
Matrix = Annotated[tuple[tuple[Number, ...], ...], Field(min_length=1)]
Above = Annotated[float, Field(gt=0, allow_inf_nan=False)]
EQUATIONS, FADE = "equations", 1e-6


def unknowns(n: int, m: int) -> int:
    """Of S, Q and R without r_1."""
    return n * (n + 1) + m - 1


# -- rows -----------------------------------------------------------------------------------------------------------


class CostRows(Layer):
    """(x^, u) [n + m] to the rows [1 + m, n (n + 1) + m - 1] of Sigma; Sigma W is asked to be Sigma_u.

    With sigma(x) = (x_i^2, 2 x_i x_j) for i <= j and G its Jacobian [p, n], the first row is Bellman's,
    (G (A x^ + B u), sigma(x^), u_2^2, ..., u_m^2), and the others say that no other input is cheaper,
    (B^T G^T, 0, 2 diag(u) but for its first column).
    """

    kind: Literal["cost_rows"] = "cost_rows"
    a: Matrix = Field(description="A [n][n] of the plant.")
    b: Matrix = Field(description="B [n][m].")


def inferred(layer: CostRows, name: str, inputs: Sequence[Shape]) -> Facts:
    """Shapes, and what is wrong with those of the plant."""
    n, m = len(layer.a), len(layer.b[0])
    for field, rows, columns in (("a", layer.a, n), ("b", layer.b, m)):
        if len(rows) != n or any(len(row) != columns for row in rows):
            raise ShapeError(
                f"`{field}` of `{name}` has to be {n} rows of {columns} numbers",
                "write one row for each state",
                field,
            )
    if tuple(inputs) != ((n + m,),):
        raise ShapeError(
            f"`{name}` reads {n} states and {m} inputs in one vector", f"write `input: {{shape: [{n + m}]}}`"
        )
    return Facts((1 + m, unknowns(n, m)))


def factors(a: Array, b: Array) -> tuple[Array, Array, Array]:
    """L, R [2, n + m, k] and M [n + m, m k] such that the rows of z = (x^, u) are sum_i (z L_i) (z R_i), and z M."""
    (n, m), k = b.shape, unknowns(*b.shape)
    i, j = np.triu_indices(n)
    p, one = len(i), np.eye(n + m)
    # d sigma along v is f (v_i x_j + x_i v_j): f (2 x_i) (v_i) on the diagonal, and 2 (v_i x_j + x_i v_j) off it.
    f = np.where(i == j, 1.0, 2.0)
    along = np.hstack([a, b]).T  # z -> A x^ + B u
    left, right, linear = np.zeros((2, n + m, k)), np.zeros((2, n + m, k)), np.zeros((n + m, m, k))
    left[0, :, :p], right[0, :, :p] = f * along[:, i], one[:, j]
    left[1, :, :p], right[1, :, :p] = f * one[:, i], along[:, j]
    left[0, :, p : 2 * p], right[0, :, p : 2 * p] = f * one[:, i], one[:, j]
    left[0, :, 2 * p :] = right[0, :, 2 * p :] = one[:, n + 1 :]
    for column in range(m):
        linear[:, column, :p] = f * (b[i, column] * one[:, j] + one[:, i] * b[j, column])
        if column:
            linear[n + column, column, 2 * p + column - 1] = 2
    return left, right, linear.reshape(n + m, m * k)


def rows(b: Builder, layer: CostRows, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """Products with known matrices."""
    (z,) = inputs
    left, right, linear = factors(np.array(layer.a), np.array(layer.b))

    def product(matrix: Array) -> Value:
        return b.matmul(z, b.array(matrix))

    bellman = b.add(*(b.mul(product(one), product(other)) for one, other in zip(left, right, strict=True)))
    n, m = len(layer.a), len(layer.b[0])
    both = b.concat(bellman, product(linear), axis=1)
    return b.reshape(both, (z.type.shape[0], 1 + m, unknowns(n, m)))


# -- the history stack ----------------------------------------------------------------------------------------------


class HistoryStack(Solve):
    """W' = (Sigma^T Sigma + eps I)^-1 Sigma^T (Sigma_u - Sigma W), Sigma the rows of a few samples, well chosen.

    Samples arrive in the order of time. A second stack fills with them; once full, a sample takes the place of that
    whose loss lowers the condition number of Sigma^T Sigma + eps I most, if any does. Its samples become those that W
    is moved by, and it begins anew, once it is full and `purge` seconds are over or its condition is below `condition`:
    so estimates of the first seconds, where the observer is wrong still, are left behind.
    """

    rule: Literal["history_stack"]
    samples: Annotated[int, Field(ge=1)] = Field(14, description="In each stack.")
    every: Above = Field(0.05, description="Seconds from one sample to the next.")
    step: Above = Field(0.01, description="Of the integration of W, in seconds.")
    epsilon: Above = Field(1e-3, description="eps, beside the squares of the singular values of Sigma.")
    purge: Above = Field(
        2.0, description="Seconds after which a full stack is taken over, whatever its condition."
    )
    condition: Above = Field(1e5, description="Below it a full stack is taken over at once.")


class Stack:
    """Samples of `height` rows each, whose condition number is kept low."""

    def __init__(self, samples: int, height: int, features: int, epsilon: float) -> None:
        self.rows = np.zeros((samples, height, features))
        self.targets = np.zeros((samples, height))
        self.ridge = epsilon * np.eye(features)
        self.clear()

    def clear(self) -> None:
        """None is in it."""
        self.filled, self.condition = 0, np.inf

    @property
    def full(self) -> bool:
        """Whether a sample can only replace another."""
        return self.filled == len(self.rows)

    def add(self, rows: Array, targets: Array) -> None:
        """Take a sample in, or leave it."""
        if not self.full:
            self.rows[self.filled], self.targets[self.filled] = rows, targets
            self.filled += 1
            if self.full:
                self.condition = float(self._conditions(self._gram().sum(0)[None])[0])
            return
        grams = self._gram()
        without = grams.sum(0) - grams
        found = self._conditions(without + rows.T @ rows)
        best = int(np.argmin(found))
        if found[best] < self.condition:
            self.rows[best], self.targets[best], self.condition = rows, targets, float(found[best])

    def _gram(self) -> Array:
        return np.asarray(np.swapaxes(self.rows, 1, 2) @ self.rows)

    def _conditions(self, grams: Array) -> Array:
        values = np.linalg.eigvalsh(grams + self.ridge)
        return np.asarray(values[:, -1] / values[:, 0])


def estimates(
    spec: HistoryStack, w: Array, rows: Array, targets: Array
) -> Iterator[tuple[Array, Array, Array]]:
    """W, and the stack Sigma [samples * height, features] and Sigma_u that move it, after each sample.

    Args:
        spec: settings.
        w: [features], where it starts.
        rows: [samples, height, features], in the order of time.
        targets: [samples, height].
    """
    _, height, features = rows.shape
    waiting = Stack(spec.samples, height, features, spec.epsilon)
    sigma, wanted = np.zeros((0, features)), np.zeros(0)
    pull, aim, since = np.zeros((features, features)), np.zeros(features), 0.0
    steps = round(spec.every / spec.step)
    for row, target in zip(rows, targets, strict=True):
        waiting.add(row, target)
        since += spec.every
        if waiting.full and (since >= spec.purge or waiting.condition < spec.condition):
            sigma, wanted = waiting.rows.reshape(-1, features).copy(), waiting.targets.ravel().copy()
            inverse = np.linalg.inv(sigma.T @ sigma + waiting.ridge)
            pull, aim, since = inverse @ sigma.T @ sigma, inverse @ sigma.T @ wanted, 0.0
            waiting.clear()
        for _ in range(steps):
            w = w + spec.step * (aim - pull @ w)
        yield w, sigma, wanted


# -- the solve rule -------------------------------------------------------------------------------------------------


def solved_node(program: Program) -> Node:
    """The layer whose weight is W."""
    return program.by_name[program.output]


def misfits(spec: HistoryStack, program: Program) -> Iterator[Unsolvable]:
    """What W needs around it: rows below, squares above, samples in the order of their plant."""
    node = solved_node(program)
    below = program.by_name.get(node.inputs[0]) if len(node.inputs) == 1 else None
    at = (*node.origin, "kind" if node.layer.name is None else "name")
    if [getattr(node.layer, field, None) for field in ("kind", "out", "bias")] != ["linear", 1, False]:
        message = (
            f"W is the weight of a linear layer with one output and no bias, and the output is `{node.name}`"
        )
        yield Unsolvable(at, message, "end with `{kind: linear, out: 1, bias: false}`")
    elif below is None or not isinstance(below.layer, CostRows):
        message = f"`{node.name}` does not read rows of a cost"
        yield Unsolvable(at, message, "put `cost_rows` below it, and nothing else")
    else:
        for field in ("a", "b"):
            known, drawn = getattr(below.layer, field), getattr(program.spec.data, field, None)
            if drawn is not None and known != drawn:
                message = f"`{field}` of `{below.name}` is another than that of `data`: its rows are of another plant"
                yield Unsolvable(
                    (*below.origin, field), message, "write the same matrix, by an anchor `&a` and `*a`"
                )
    every = getattr(program.spec.data, "every", spec.every)
    if every != spec.every:
        message = f"samples come every {every:g} s, and `every` says {spec.every:g} s"
        yield Unsolvable(("solve", "every"), message, f"write `every: {every:g}`")
    steps = spec.every / spec.step
    if abs(steps - round(steps)) > 1e-9 or round(steps) < 1 or spec.step >= 2:
        message = f"{spec.every:g} s are no whole number of steps of {spec.step:g} s, below 2 s each"
        yield Unsolvable(("solve", "step"), message, "let `step` divide `every`")


def write(b: Builder, spec: HistoryStack, passing: Passing, piece: str) -> Value:
    """[N (1 + m), features + 1]: rows, and what they should come to."""
    node = solved_node(passing.program)
    with b.at(node.name, Phase.FORWARD):
        both = b.concat(passing.values[node.inputs[0]], passing.asked, axis=2)
        height, features = passing.program.by_name[node.inputs[0]].shape or (0, 0)
        return b.reshape(both, (both.type.shape[0], height * (features + 1)))


def run(spec: HistoryStack, program: Program, solving: Solving, done: int) -> Iterator[Solved]:
    """Follow W from its initial value to the end of the samples."""
    node = solved_node(program)
    assert node.weight is not None
    features = node.weight.writes
    for _ in range(1 - done):
        found = np.concatenate(list(solving.rows(f"{node.name}.{EQUATIONS}")))
        found = found.reshape(len(found), -1, features + 1)
        rows, targets = found[..., :-1], found[..., -1]
        start = solving.read(node.weight.name).reshape(-1)
        ((w, sigma, wanted),) = deque(estimates(spec, start, rows, targets), maxlen=1)
        if not len(sigma):
            raise FacError(
                f"{len(rows)} samples fill no stack of {spec.samples}: nothing is learned; use a longer `duration` or "
                "fewer `samples`"
            )
        solving.write({node.weight.name: w.reshape(node.weight.shape)})
        error = float(np.mean((rows @ w - targets) ** 2))
        height = rows.shape[1]
        known = informed(sigma, wanted, height)
        says = [
            f"products of states span {known.products} of {known.all_products} directions"
            + ("" if known.products == known.all_products else ", too few: the states do not move enough"),
            f"{known.rank} of {features} unknowns are told apart: "
            + ("one cost has this expert" if known.rank == features else "other costs have the same expert"),
            f"{known.outside:.1g} of what the rows should come to is in none of their directions",
        ]
        if hasattr(program.spec.data, "expert"):
            k, q, r = distances(program.spec.data, w)
            says.append(f"the gain is {k:.2g} from the expert's, its cost {q:.2g} (Q) and {r:.2g} (R)")
        yield Solved(node.name, len(sigma), features, 1, known.rank, error, tuple(says))


@dataclass(frozen=True, slots=True)
class Informed:
    """What a stack tells of the cost."""

    products: int
    """Rank of sigma(x^) over its samples; all of them, and the states span all directions, too."""
    all_products: int
    rank: int
    """Of Sigma: below the number of unknowns, several costs have the same expert."""
    outside: float
    """Part of Sigma_u that is not in the range of Sigma, of its length."""


def informed(sigma: Array, wanted: Array, height: int) -> Informed:
    """Ranks to a relative 1e-6: what the observer still errs by is no direction.

    Args:
        sigma: [samples * height, features].
        wanted: [samples * height].
        height: 1 + m.
    """
    p = (sigma.shape[1] - (height - 2)) // 2
    products = sigma[::height, p : 2 * p]
    outside = wanted - sigma @ np.linalg.lstsq(sigma, wanted, FADE)[0]
    return Informed(
        int(np.linalg.matrix_rank(products, tol=FADE * np.linalg.norm(products, 2))),
        p,
        int(np.linalg.matrix_rank(sigma, tol=FADE * np.linalg.norm(sigma, 2))),
        float(np.linalg.norm(outside) / max(float(np.linalg.norm(wanted)), 1e-300)),
    )


# -- how far it is --------------------------------------------------------------------------------------------------


def costs(w: Array, r_1: float, n: int, m: int) -> tuple[Array, Array, Array]:
    """S [n, n], Q [n, n] and the diagonal of R [m], which W says."""
    i, j = np.triu_indices(n)
    s, q = np.zeros((2, n, n))
    s[i, j] = s[j, i] = w[: len(i)]
    q[i, j] = q[j, i] = w[len(i) : 2 * len(i)]
    return s, q, np.concatenate([[r_1], w[2 * len(i) :]])


def distances(plant: Any, w: Array) -> tuple[float, float, float]:
    """|K^ - K|, |Q^ - Q|, |R^ - R| in Frobenius norm, K^ = R^^-1 B^T S^.

    A cost may be far away while its gain is not: then both have the same expert.
    """
    has, (k, _) = plant.arrays, plant.expert
    s, q, r = costs(w, has["r"][0], *has["b"].shape)
    gain = (has["b"].T @ s) / r[:, None]
    return (
        float(np.linalg.norm(gain - k)),
        float(np.linalg.norm(q - has["q"])),
        float(np.linalg.norm(r - has["r"])),
    )


KINDS = (
    LayerKind("cost_rows", CostRows, inferred, rows),
    SolveKind(
        "history_stack",
        HistoryStack,
        misfits,
        lambda _, program: (solved_node(program),),
        lambda *_: (),
        lambda _, program: (f"{solved_node(program).name}.{EQUATIONS}",),
        write,
        run,
        lambda *_: 512,
        remedy="excite the plant for longer, or use a smaller `epsilon`",
    ),
)
