"""What a program is fed with: the inputs of its network, and the targets of its loss."""

from __future__ import annotations

from collections.abc import Mapping

from fac.diagnostics import dotted
from fac.program.lower import kind_of
from fac.program.program import Objective, Program
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
    """What losses read beside outputs, whose shapes are known; those that several share once."""
    found: dict[str, Feed] = {}
    for objective in program.losses:
        found.setdefault(objective.target, target(program, objective))
    return tuple(found.values())


def target(program: Program, objective: Objective) -> Feed:
    """What one loss reads beside its output, whose shape is known."""
    loss, shape = kind_of("fac.losses", objective.loss), program.by_name[objective.of].shape
    assert shape is not None
    name, origin = objective.target, dotted(objective.origin)
    if not loss.classes:
        return Feed(name, shape, loss.name, within=loss.within, origin=origin)
    axis = program.class_axis(objective.of)
    assert axis is not None
    places, ignored = (*shape[:axis], *shape[axis + 1 :]), loss.ignored(objective.loss)
    return Feed(name, places, loss.name, shape[axis], ignored=ignored, origin=origin)


def feeds(program: Program) -> tuple[Feed, ...]:
    """All of a batch, what the network reads first."""
    return (*inputs(program).values(), *targets(program))
