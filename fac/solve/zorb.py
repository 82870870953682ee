"""ZORB: targets travel back through the inverses of layers, and each layer is one solve of least squares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from fac.program.kinds import Back, Passing, SolveKind
from fac.program.program import Node, Program
from fac.program.tensors import Tensor
from fac.solve.inverses import above, inverse, order, passed, ranged
from fac.solve.misfits import misfits
from fac.spec.solve import Solve
from fac.spec.train import Positive
from fac.step.builder import Builder
from fac.step.ir import Phase, Value
from fac.step.types import flat

if TYPE_CHECKING:
    from fac.backend import Solved, Solving

INVERSE, LOW, HIGH = "inverse", "low", "high"
EQUATIONS, TARGETS = "equations", "targets"


class Zorb(Solve):
    """Theta_l = [H_{l-1}, 1]^+ T_l, one layer after the other from the first on, on all training samples in float64.

    H_{l-1} [N, in] is what layer l reads, with the layers below solved already. T_l [N, out] is what it should make:
    the output that the loss asks for, taken back through the inverse of each layer above, which still has its initial
    weights. W_l is the transpose of the first rows of Theta_l, b_l its last. So there is no derivative, no learning
    rate and no epoch. The loss says what the output should be, by `mse` the targets, by `cross_entropy` the logits of
    the label; the distance from that is squared whichever it is.

    Ranganathan and Lewandowski, arXiv 2011.08895. Here the range that `sigmoid` and `tanh` map their targets from is
    not kept: the layer above is solved on what they make, and an affine map of all features changes no least squares
    with a bias. So the network stays one of plain layers. Targets below zero become 0 at a `relu`, and no random
    numbers below.
    """

    rule: Literal["zorb"]
    rcond: Annotated[float, Field(ge=0, lt=1)] = Field(
        1e-9,
        description="Singular values of the features up to this multiple of the largest are cut off. A larger one fits "
        "the training data less, and mostly others better.",
    )
    rows: Positive = Field(
        512,
        description="Rows of features at a time: memory grows with it, and nothing else depends on it but rounding. A "
        "sample has one row, or one for each place of a map.",
    )


def kept(spec: Zorb, program: Program) -> tuple[Tensor, ...]:
    """(W^+)^T of the layers that targets pass, and the range of what they map."""
    found: list[Tensor] = []
    for node in passed(program):
        if node.weight is not None:
            found.append(Tensor(f"{node.weight.name}.{INVERSE}", node.weight.shape, "zeros"))
        if ranged(node):
            found += (Tensor(f"{node.name}.{end}", (), "zeros") for end in (LOW, HIGH))
    return tuple(found)


def pieces(spec: Zorb, program: Program) -> tuple[str, ...]:
    """For each solve [features, targets], and for each layer that maps a range the targets of its output."""
    solves = (f"{node.name}.{EQUATIONS}" for node in order(program))
    return (*solves, *(f"{node.name}.{TARGETS}" for node in passed(program) if ranged(node)))


def write(b: Builder, spec: Zorb, passing: Passing, piece: str) -> Value:
    """The rows of a piece."""
    name, _, what = piece.rpartition(".")
    node = passing.program.by_name[name]
    if what == TARGETS:
        return b.rows(targets(b, passing, node))
    found, wanted = inverse(node), targets(b, passing, node)
    assert found is not None
    assert found.rows is not None
    with b.at(node.name, Phase.FORWARD):
        features = found.rows(b, passing.values[node.inputs[0]])
        return b.emit("concat", features, by_place(b, node, wanted), axis=1)


def by_place(b: Builder, node: Node, value: Value) -> Value:
    """[N, ...] of what a layer makes as [places, channels]."""
    axis = (node.channels or 0) + 1
    value = b.transpose(value, (*(a for a in range(len(value.type.shape)) if a != axis), axis))
    *places, channels = value.type.shape
    return b.reshape(value, (flat(tuple(places)), channels))


def targets(b: Builder, passing: Passing, node: Node) -> Value:
    """What the output of a layer should be, [N, *output], from the last targets on the way that are held."""
    value = passing.asked
    for layer in above(passing.program, node):
        found, state = inverse(layer), passing.state
        assert found is not None
        if (held := passing.held.get(f"{layer.name}.{TARGETS}")) is not None:
            value = b.reshape(held, value.type.shape)
        with b.at(layer.name, Phase.FORWARD):
            value = found.back(
                b,
                value,
                Back(
                    passing.values[layer.inputs[0]],
                    {tensor.part: state[tensor.name] for tensor in layer.state},
                    None if layer.weight is None else state[f"{layer.weight.name}.{INVERSE}"],
                    *(state.get(f"{layer.name}.{end}") for end in (LOW, HIGH)),
                ),
            )
    return value


def run(spec: Zorb, program: Program, solving: Solving, done: int) -> Iterator[Solved]:
    """One solve for each layer; nothing else changes the network.

    Raises:
        FacError: numbers are not finite, or targets are all alike where their range is mapped.
    """
    import numpy as np

    from fac.backend import Solved
    from fac.diagnostics import FacError
    from fac.solve.least_squares import LeastSquares

    for layer in passed(program):
        if layer.weight is not None:
            w = solving.read(layer.weight.name)
            matrix = np.linalg.pinv(w.reshape(layer.weight.reads, -1)).T
            solving.write({f"{layer.weight.name}.{INVERSE}": matrix.reshape(layer.weight.shape)})
    read = ""
    for number, node in enumerate(order(program)[done:], done):
        # What the first reads is cheap to make. Where there is no room for another, what is held goes on to serve.
        if number and solving.hold(node.inputs[0]):
            solving.drop(read)
            read = node.inputs[0]
        _spread(program, solving, node)
        assert node.weight is not None
        outputs, features = node.weight.reads, node.weight.writes
        kept = {tensor.name: tensor for tensor in node.tensors}
        own = kept.pop(node.weight.name)
        bias = next(iter(kept.values()), None)
        squares = LeastSquares(features, outputs, constant=bias is not None, rows=spec.rows)
        for block in solving.rows(f"{node.name}.{EQUATIONS}"):
            squares.add(block)
        for layer in above(program, node):
            solving.drop(f"{layer.name}.{TARGETS}")
        try:
            found = squares.solution(spec.rcond)
        except np.linalg.LinAlgError as error:
            raise FacError(f"the features or targets of `{node.name}` are not finite") from error
        weight = found.theta[:features].T.reshape(own.shape)
        solving.write({own.name: weight} | ({bias.name: found.theta[features]} if bias else {}))
        yield Solved(node.name, squares.rows, squares.features, outputs, found.rank, found.error)


def _spread(program: Program, solving: Solving, node: Node) -> None:
    """Set the ranges of targets on the way to a layer. Those of the lowest range that is mapped are held.

    Raises:
        FacError: targets are all alike.
    """
    import numpy as np

    from fac.diagnostics import FacError

    higher = ""
    for layer in above(program, node):
        if not ranged(layer):
            continue
        name = f"{layer.name}.{TARGETS}"
        if solving.hold(name):
            solving.drop(higher)
            higher = name
        ends = [(block.min(), block.max()) for block in solving.rows(name)]
        low, high = min(low for low, _ in ends), max(high for _, high in ends)
        if not low < high:
            raise FacError(
                f"the targets of `{layer.name}` go from {low:g} to {high:g}: nothing can be mapped onto the range of "
                "its output; look at the weights above it, which may all be zero"
            )
        solving.write({f"{layer.name}.{LOW}": np.array(low), f"{layer.name}.{HIGH}": np.array(high)})


def block(spec: Zorb, program: Program) -> int:
    """As many samples as have so many rows, where they have the most; one at least."""
    return max(1, spec.rows // max(node.places for node in order(program)))


def memory(spec: Zorb, node: Node) -> int:
    """Of the triangle, of rows as they come, wait and are taken into it, and of what singular values are found in.

    That is A, its vectors on both sides, and the 4 (in + 1)^2 numbers that LAPACK's `gesdd` works in, about: measured,
    nine squares of the features beside the triangle.
    """
    if node.weight is None:
        return 0
    features = node.weight.writes + 1
    columns = features + node.weight.reads
    return 8 * (columns * (columns + 3 * spec.rows) + 9 * features**2)


ZORB = SolveKind(
    "zorb",
    Zorb,
    lambda _, program: misfits(program),
    lambda _, program: order(program),
    kept,
    pieces,
    write,
    run,
    block,
    memory=memory,
    transports=lambda _, program: [node.name for node in passed(program) if node.weighted],
    remedy="use a larger `solve.rcond`, fewer layers, or train with `update`",
)
