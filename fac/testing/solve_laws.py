"""What a rule that solves says and does, held against small networks that it can solve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fac.backend import STEP, Array, Solved
from fac.pipeline import compiled, emit, find_backend, lowered
from fac.program.kinds import SolveKind
from fac.program.lower import kind_of
from fac.program.program import Program
from fac.testing.case import compare, require
from fac.testing.nets import Data, Layers, conv2d, linear, mlp, spec
from fac.training.dataset import Split
from fac.training.solving import Solving

SAME = 1e-9
"""Relative to the largest entry: what blocks of another size make differs by rounding, which solves enlarge."""
MAP: tuple[int, ...] = (2, 6, 5)
NETS: dict[str, tuple[Layers, tuple[int, ...]]] = {
    "a linear layer": ((linear("out", 3),), (5,)),
    "relu": (mlp(9, 7, 3), (5,)),
    "tanh": (mlp(9, 7, 6, 3, activation={"kind": "tanh"}), (5,)),
    "a frozen layer": ((linear("fc1", 9), linear("fc2", 7, trainable=False), linear("out", 3)), (5,)),
    "convolutions": (
        (
            conv2d("conv1", 4, (2, 3)),
            {"kind": "tanh"},
            conv2d("conv2", 4, 2),
            {"kind": "relu"},
            {"kind": "flatten"},
            linear("out", 3),
        ),
        MAP,
    ),
}
LOSSES = ("mse", "cross_entropy")


def check_solve(kind: SolveKind, settings: Any) -> None:
    """Hold a rule against every network above that it can solve, with squares and with labels.

    - It solves the layers that it says, once each and in that order, and leaves every other parameter as it was.
    - What it says of a solve is so: rows are places of all samples, the rank is not above the features.
    - Blocks of any size, and rows that are made anew in the place of held ones, give the same.
    - What was interrupted and goes on ends where it would have, to the bit.

    Raises:
        AssertionError: one of these does not hold, or it can solve none of the networks.
    """
    tried = 0
    for layers, shape in NETS.values():
        for loss in LOSSES:
            program = solvable(layers, shape, loss, settings)
            if next(iter(kind.misfits(settings, program)), None) is None:
                tried += 1
                _check(kind, settings, program)
    require(tried > 0, f"`{kind.name}` can solve none of the networks, not even a linear layer")


def solvable(layers: Layers, shape: Sequence[int], loss: str, settings: Any) -> Program:
    """A network that is solved by a rule of these settings."""
    return lowered(solved_spec(layers, shape, loss, settings.model_dump(by_alias=True)))


def solved_spec(layers: Layers, shape: Sequence[int], loss: str, settings: Data) -> Data:
    """The spec of one."""
    of = spec(layers, shape=tuple(shape), loss=loss, solve=settings)
    return {name: value for name, value in of.items() if name not in ("feedback", "update")}


def data(shape: Sequence[int], labels: bool, n: int = 60, outputs: int = 3) -> Split:
    """Samples, with labels or targets that a linear network comes near to."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, *shape))
    z = x.reshape(n, -1) @ rng.standard_normal((x[0].size, outputs)) + 0.5 * rng.standard_normal((n, outputs))
    return Split(x, z.argmax(1) if labels else z)


def _check(kind: SolveKind, settings: Any, program: Program) -> None:
    (objective,) = program.losses
    split = data(next(iter(program.inputs.values())).shape, kind_of("fac.losses", objective.loss).classes)
    order = kind.order(settings, program)
    names = {slot.name for slot in kind.kept(settings, program)} & {tensor.name for tensor in program.arrays}
    require(not names, f"`{kind.name}` keeps {sorted(names)}, which are parameters")

    whole, before = _opened(program, split), _state(_opened(program, split))
    found = list(_solved(whole, 0))
    after = _state(whole)
    told = [solved.node for solved in found]
    require(
        told == [node.name for node in order],
        f"`{kind.name}` says that it solves {[node.name for node in order]}, and solves {told}",
    )
    own = {tensor.name for node in order for tensor in node.tensors}
    moved = sorted(name for name in before if name not in own and (before[name] != after[name]).any())
    require(not moved, f"`{kind.name}` changes {moved}, of layers that it does not solve")
    for solved, node in zip(found, order, strict=True):
        require(
            solved.rows == len(split) * node.places,
            f"`{kind.name}` says that `{node.name}` has {solved.rows} rows, and there are {len(split) * node.places}",
        )
        require(
            0 <= solved.rank <= solved.features,
            f"`{kind.name}` says that {solved.features} features have the rank {solved.rank}",
        )
    for what, other in {
        "blocks of one sample": _opened(program, split, block=1),
        "blocks of seven samples": _opened(program, split, block=7),
        "one block": _opened(program, split, block=len(split)),
        "no room to hold rows": _opened(program, split, room=0),
    }.items():
        list(_solved(other, 0))
        _same(_state(other), after, SAME, f"`{kind.name}` finds something else with {what}")
    for done in range(1, len(order)):
        begun = _opened(program, split)
        for _, _ in zip(range(done), _solved(begun, 0), strict=False):
            pass
        going = _opened(program, split, state=_state(begun))
        rest = [solved.node for solved in _solved(going, done)]
        require(rest == told[done:], f"`{kind.name}` goes on after {done} layers with {rest}")
        _same(
            _state(going), after, 0, f"`{kind.name}` ends elsewhere if it is interrupted after {done} layers"
        )


def _opened(
    program: Program, split: Split, *, block: int = 0, room: int | None = None, state: Any = None
) -> Solving:
    session = emit(program, find_backend("reference"), "float64", made=compiled(program)).open(
        state, device="cpu"
    )
    solution = session.compiled.solution
    assert solution is not None
    found = Solving(session, split, replace(solution, block=block or solution.block))
    found.room = found.room if room is None else room
    return found


def _solved(solving: Solving, done: int) -> Iterator[Solved]:
    return solving.solution.run(solving, done)


def _state(solving: Solving) -> dict[str, Array]:
    return {name: array for name, array in solving.session.state().items() if name != STEP}


def _same(found: dict[str, Array], wanted: dict[str, Array], tolerance: float, what: str) -> None:
    try:
        compare(found, wanted, tolerance)
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from None
