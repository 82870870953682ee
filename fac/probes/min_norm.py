"""How far a linear network is from the solution of least norm (law of arXiv 2306.01870; derived).

X [N, k] are the samples of a batch and Y [N, C] their targets. Under gradient descent, and under fixed feedback just
as well, the rows of the first weight move within the span of the samples. So where that weight begins at zero, the
product W of all weights ends, where it fits N <= k samples, at the one solution of least norm, (X^+ Y)^T.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from fac.probes.chain import Chains, linear
from fac.program.kinds import Memory, ProbeKind, Sweeps, Unused
from fac.program.lower import kind_of
from fac.program.program import Program
from fac.spec.train import Probe
from fac.step.builder import Builder
from fac.step.ir import Phase, Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


class MinNorm(Probe):
    """Of a network of linear layers without biases: how far the product of its weights is from X^+ Y of the batch.

    The batch has to be all that it trains on.
    """

    kind: Literal["min_norm"] = "min_norm"


def build(b: Builder, probe: Any, sweeps: Sweeps) -> Iterator[tuple[str, Value]]:
    """Samples, targets and the product of the weights [C, k]."""
    program = sweeps.program
    nodes = linear(program, program.start, program.output)
    if nodes is None or _classifies(program):
        return
    with b.at("all", Phase.PROBE):
        yield "x", b.rows(sweeps.values[program.start])
        yield "y", b.rows(sweeps.targets[program.losses[0].target])
        yield "weight", Chains(program).product(b, sweeps, nodes)


def finish(probe: Any, found: Mapping[str, Array], memory: Memory) -> dict[str, float]:
    """`min_norm.distance` |W - (X^+ Y)^T| / |(X^+ Y)^T| and `min_norm.residual` |X W^T - Y| / |Y|; NaN if Y is zero."""
    import numpy as np

    if not found:
        return {}
    x, y, weight = (np.asarray(found[name], np.float64) for name in ("x", "y", "weight"))
    if not (np.isfinite(weight).all() and y.any() and x.any()):
        return dict.fromkeys(("min_norm.distance", "min_norm.residual"), float("nan"))
    least = (np.linalg.pinv(x) @ y).T
    size = np.linalg.norm(least)
    distance = np.linalg.norm(weight - least) / size if size else np.nan
    return {
        "min_norm.distance": float(distance),
        "min_norm.residual": float(np.linalg.norm(x @ weight.T - y) / np.linalg.norm(y)),
    }


def unused(probe: Any, program: Program) -> Iterator[Unused]:
    """The whole probe, where the network is not linear or its loss has classes."""
    if not program.nodes or any(node.shape is None for node in program.nodes):
        return
    if _classifies(program) or len(program.losses) > 1:
        yield Unused("kind", "with another loss than one on targets, such as `mse`", "remove it")
    elif linear(program, program.start, program.output) is None:
        yield Unused(
            "kind", "but in a chain of linear layers without biases", "remove it, or add `bias: false`"
        )


def _classifies(program: Program) -> bool:
    return bool(kind_of("fac.losses", program.losses[0].loss).classes)


MIN_NORM = ProbeKind(
    "min_norm",
    MinNorm,
    build,
    {"min_norm.distance": "distance to least norm", "min_norm.residual": "residual"},
    standard=False,
    finish=finish,
    unused=unused,
)
