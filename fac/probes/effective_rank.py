"""How many directions a matrix has, in three definitions side by side; s are its singular values.

    roy_vetterli     exp(-sum p ln p), p = s / sum s          Roy and Vetterli 2007
    participation    (sum s^2)^2 / sum s^4
    stable           sum s^2 / max s^2

1 <= stable <= participation <= roy_vetterli <= rank; all are n of n equal singular values, whatever their size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from fac.probes.learning import gradient, learners, unused, update
from fac.program.kinds import Memory, ProbeKind, Sweeps, Unused
from fac.program.program import Node, Program
from fac.spec.train import Probe
from fac.step.builder import Builder
from fac.step.ir import Phase, Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

DEFINITIONS = ("roy_vetterli", "participation", "stable")
TRAJECTORY = "trajectory"
DEFAULT = 10
"""Gradients of a trajectory where there are as many."""
BLOCK = 1 << 16
"""Numbers of each row that are multiplied at a time in float64; the rows are kept as they came."""


class EffectiveRank(Probe):
    """Per weighted layer: the effective rank of its error, gradient and update, in three definitions.

    `error`: the routed error of a batch, [places, reads], not centred. `gradient`: that of the weight, as the matrix
    [reads, writes]. `update`: what a step adds to the weight, by the update rule. `trajectory`: of the gradients of the
    last `window` measurements, each a row; undefined until there are so many, also after a resume. They are kept in
    memory, in the precision of the run. Training measures after each epoch. The singular values are computed on the
    host in float64, which takes about 0.2 s for a gradient of 512 x 784.
    """

    kind: Literal["effective_rank"] = "effective_rank"
    of: tuple[Literal["error", "gradient", "update", "trajectory"], ...] = Field(
        ("error", "gradient", "update"), description="Of which matrices."
    )
    window: Annotated[int, Field(gt=1)] | None = Field(
        None,
        description="How many gradients make a trajectory, 2 or more. Default: 10, or all of fewer epochs.",
    )


def window(probe: Any, epochs: int) -> int:
    """How many gradients make a trajectory in a training of so many epochs."""
    return max(2, min(DEFAULT, epochs)) if probe.window is None else int(probe.window)


def build(b: Builder, probe: Any, sweeps: Sweeps) -> Iterator[tuple[str, Value]]:
    """The matrices `NODE.error`, `NODE.gradient`, `NODE.update` and `NODE.trajectory`."""
    for node in learners(sweeps.program):
        with b.at(node.name, Phase.PROBE):
            for of in probe.of:
                matrix = _matrix(b, sweeps, node, of)
                if matrix is not None:
                    yield f"{node.owner}.{of}", matrix


def _matrix(b: Builder, sweeps: Sweeps, node: Node, of: str) -> Value | None:
    if of == "error":
        error = sweeps.routed(sweeps.values[node.name])
        return None if error is None else _rows(b, sweeps, node.name, error)
    return update(b, sweeps, node) if of == "update" else gradient(b, sweeps, node)


def _rows(b: Builder, sweeps: Sweeps, name: str, error: Value) -> Value:
    """[places, channels], where the layer lays its output out as its product does, or else [N, all]."""
    product = sweeps.contraction(name)
    same = product.op.result.type.shape == error.type.shape
    return product.rows(b, error) if same else b.rows(error)


def finish(probe: Any, found: Mapping[str, Array], memory: Memory) -> dict[str, float]:
    """`NODE.error.rank.stable` and so on; `trajectory.rank.stable` is that of all gradients of a step as one row."""
    import numpy as np

    told: dict[str, float] = {}
    for name, matrix in found.items():
        if not name.endswith(f".{TRAJECTORY}"):
            told |= _named(name, ranks(singular_values(matrix)))
    if TRAJECTORY not in probe.of:
        return told
    rows = {name: array for name, array in found.items() if name.endswith(f".{TRAJECTORY}")}
    kept, rows_needed = memory.kept, window(probe, memory.epochs)
    kept[memory.step] = {name: np.array(array).ravel() for name, array in rows.items()}
    while len(kept) > rows_needed:
        del kept[next(iter(kept))]
    for name, stacked in {**{name: [name] for name in rows}, TRAJECTORY: list(rows)}.items():
        whole = len(kept) == rows_needed
        told |= _named(name, ranks(_from_rows(kept, stacked) if whole else np.zeros(1)))
    return told


def _from_rows(kept: Mapping[int, Mapping[str, Array]], names: list[str]) -> Array:
    """Singular values of [window, numbers of all these], by the Gram matrix of its few rows."""
    import numpy as np

    largest = max(float(np.abs(row[name]).max(initial=0)) for row in kept.values() for name in names)
    if not np.isfinite(largest) or largest == 0:
        return np.zeros(1)
    parts = (
        np.array([row[name][at : at + BLOCK] for row in kept.values()], np.float64) / largest
        for name in names
        for at in range(0, next(iter(kept.values()))[name].size, BLOCK)
    )
    squares: Array = np.linalg.eigvalsh(sum(part @ part.T for part in parts))
    # What rounding makes of zero is some epsilons of the largest, the root of which would count as a direction.
    squares[squares < squares.max() * len(squares) * 4 * np.finfo(float).eps] = 0
    return np.sqrt(squares)


def singular_values(matrix: Array) -> Array:
    """Those of a matrix over its largest entry, in float64; a single 0 if it is zero or not finite."""
    import numpy as np

    values = np.asarray(matrix, np.float64)
    largest = float(np.abs(values).max(initial=0))
    if not np.isfinite(largest) or largest == 0:
        return np.zeros(1)
    return np.asarray(np.linalg.svd(values / largest, compute_uv=False))


def ranks(s: Array) -> dict[str, float]:
    """The three definitions, of singular values in any order; NaN where all are zero."""
    import numpy as np

    if not s.max() > 0:
        return dict.fromkeys(DEFINITIONS, float("nan"))
    s = s[s > 0] / s.max()
    p, squares = s / s.sum(), s * s
    values = np.exp(-(p * np.log(p)).sum()), squares.sum() ** 2 / (squares**2).sum(), squares.sum()
    return dict(zip(DEFINITIONS, map(float, values), strict=True))


def _named(name: str, found: Mapping[str, float]) -> dict[str, float]:
    return {f"{name}.rank.{definition}": value for definition, value in found.items()}


def unused_settings(probe: Any, program: Program) -> Iterator[Unused]:
    """All of it where no weight learns or nothing is named, and the window of what is no trajectory."""
    yield from unused(probe, program)
    if not probe.of:
        yield Unused("of", "where it names nothing", "name what to measure, or remove the probe")
    if TRAJECTORY not in probe.of:
        yield Unused("window", "where `of` has no `trajectory`", "remove it, or add `trajectory` to `of`")
    elif (epochs := program.spec.epochs) is not None and (rows := window(probe, epochs)) > epochs:
        yield Unused(
            "of",
            f"where `train.epochs` is {epochs}: it takes {rows} gradients, and each epoch ends with one",
            f"train for {rows} epochs or more"
            + (f", or set a `window` of at most {epochs}" if epochs > 1 else ""),
            probe.of.index(TRAJECTORY),
        )


def keeps(probe: Any, program: Program) -> int:
    """The numbers of the gradients of a trajectory."""
    if TRAJECTORY not in probe.of:
        return 0
    weights = (node.weight for node in learners(program))
    numbers = sum(prod(weight.shape) for weight in weights if weight is not None)
    return window(probe, program.spec.train.epochs) * numbers


EFFECTIVE_RANK = ProbeKind(
    "effective_rank",
    EffectiveRank,
    build,
    {
        f"{of}.rank.{definition}": f"{of} rank, {definition.replace('_', '-')}"
        for of in ("error", "gradient", "update", TRAJECTORY)
        for definition in DEFINITIONS
    },
    standard=False,
    finish=finish,
    unused=unused_settings,
    keeps=keeps,
)
