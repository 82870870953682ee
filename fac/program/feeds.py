"""What a program is fed with: the inputs of its network, and the targets of its loss."""

from __future__ import annotations

from collections.abc import Mapping

from fac.program.lower import kind_of
from fac.program.program import Program
from fac.step.feed import Feed


def inputs(program: Program) -> Mapping[str, Feed]:
    """What the network reads, by what its layers call it."""
    if program.spec.inputs is None:
        return {
            name: Feed("x", of.shape, classes=of.classes, mask=of.mask) for name, of in program.inputs.items()
        }
    return {
        name: Feed(name, of.shape, classes=of.classes, mask=of.mask, origin=f"inputs.{name}")
        for name, of in program.inputs.items()
    }


def targets(program: Program) -> tuple[Feed, ...]:
    """What the loss reads beside the output, whose shape is known."""
    loss = kind_of("fac.losses", program.spec.loss)
    shape = program.nodes[-1].shape
    assert shape is not None
    if loss.classes:
        return (Feed("y", shape[:-1], loss.name, shape[-1], origin="loss"),)
    return (Feed("y", shape, loss.name, within=loss.within, origin="loss"),)


def feeds(program: Program) -> tuple[Feed, ...]:
    """All of a batch, what the network reads first."""
    return (*inputs(program).values(), *targets(program))
