"""What is known of the rows of `fac compare` before any training: what a rule needs, and what a loss is measured in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fac.program.lower import kind_of
from fac.program.program import Program
from fac.program.reading import learned
from fac.spec.base import written

BYTES = 256


@dataclass(frozen=True, slots=True)
class Needs:
    """What a rule needs to bring errors, or targets, to where they are wanted."""

    backward_ratio: float | None
    """Multiply-adds of everything but the forward pass, as a share of those of backprop on the same network under the
    same update rule; None where there is no such pass."""
    backward_macs: int | None
    """How many these are in a step; None likewise."""
    words: int | None
    """Elements of feedback matrices, or of weights in their place, that errors read in a step; None likewise."""
    transport: Literal["yes", "in anchors", "no"]
    """Whether forward weights have a say in what is brought: always, or in the steps of anchors alone."""
    fixed: bool
    """Whether errors pass a feedback matrix that nothing teaches."""


def needs_of(program: Program) -> Needs:
    """Those of a program without findings of the severity `error`."""
    from fac.build.costs import cost
    from fac.build.transport import transport

    solve = program.spec.solve
    if solve is not None:
        passed = kind_of("fac.solve", solve).transports(solve, program)
        return Needs(None, None, None, "yes" if passed else "no", fixed=False)
    counted, other = cost(program, program.spec.train.batch), program.anchored
    found: Literal["yes", "in anchors", "no"] = "yes" if transport(program).layers(program) else "no"
    if found == "no" and other is not None and transport(other).layers(other):
        found = "in anchors"
    fixed = any(route.tensors and not learned(route) for route in program.routes)
    step = counted.step
    return Needs(counted.backward_ratio, step.backward_macs, step.total.words, found, fixed)


def by_byte(program: Program) -> bool:
    """Whether the loss is the mean over bytes of a text of what each costs, in nats, and of nothing else."""
    data, loss = program.spec.data, program.spec.loss
    facts = None if data is None else kind_of("fac.data", data).known(data)
    if facts is None or loss is None or not facts.next or facts.whole != BYTES:
        return False
    return bool(kind_of("fac.losses", loss).classes) and written(loss).keys() == {"kind"}
