"""The functions of a compiled spec: forward, evaluate, step and probe, and what comes in the place of some steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from fac.build.accumulating import averaged, emptied, gathered, sums, updates
from fac.build.contract import made, updated
from fac.build.routing import Routing
from fac.build.trace import Trace
from fac.build.updating import clipped, masked, plan, stepping
from fac.passes import optimise
from fac.passes.common import share_common
from fac.passes.narrow import narrow
from fac.program.declared import probes_of
from fac.program.kinds import Sweeps, Updated
from fac.program.program import Program
from fac.program.tensors import Tensor
from fac.step.ir import Function, Phase, Value
from fac.step.reverse import Edits, Reverse
from fac.step.types import SCALAR


@dataclass(frozen=True, slots=True)
class Functions:
    """What a program becomes. State is read and written by name."""

    forward: Function
    evaluate: Function
    step: Function
    other: Function | None
    """The step that comes in the place of some, if there is one: that of anchors, or the one that updates."""
    every: int
    """Each step whose number, from 1, is a multiple of this is that one."""
    tensors: tuple[Tensor, ...]


def functions(program: Program) -> Functions:
    """All of them but the probe, after the passes."""
    train, other, every = program.spec.train, None, 1
    step, tensors = build_step(program, gathering=train.accumulate > 1)
    if train.accumulate > 1:
        every, (made, own) = train.accumulate, build_step(program)
        other = narrowed(program, replace(made, name="update"))
    elif train.anchor is not None and program.anchored is not None:
        anchor: Any = train.anchor
        every, (made, own) = anchor.every, build_step(program.anchored)
        other = narrowed(program, replace(made, name="anchor"))
    if other is not None:
        known = {tensor.name for tensor in tensors}
        tensors = (*tensors, *(tensor for tensor in own if tensor.name not in known))
    return Functions(
        optimise(build_forward(program), program.disabled),
        optimise(build_evaluate(program), program.disabled),
        narrowed(program, step),
        other,
        every,
        tensors,
    )


def narrowed(program: Program, step: Function) -> Function:
    """A step after the passes, in the precision that the spec asks for."""
    step, to = optimise(step, program.disabled), program.spec.train.mixed_precision
    if to is None:
        return step
    # What is rounded is said of what a step has once: feedback that learns reads the projections that errors went by.
    return optimise(narrow(share_common(step), to), program.disabled)


def build_forward(program: Program) -> Function:
    """(x, parameters) -> output."""
    trace = Trace(program, training=False)
    return trace.b.finish("forward", {"output": trace.output})


def build_evaluate(program: Program) -> Function:
    """(x, y, parameters) -> loss; hits for classification, and of how many labels; what the loss is the mean over.

    The last two where they are not the number of samples, or of their places. Of several losses all of it for each.
    """
    trace = Trace(program, training=False)
    return trace.b.finish("evaluate", trace.measured())


def build_step(
    program: Program, *, counting: bool = False, gathering: bool = False
) -> tuple[Function, tuple[Tensor, ...]]:
    """(x, y, lr, step, state) -> loss, of several also each, and the state that moves; see `routed`."""
    routing, outputs, tensors = routed(program, counting=counting, gathering=gathering)
    return routing.trace.b.finish("step", outputs), tensors


def routed(
    program: Program, *, counting: bool = False, gathering: bool = False
) -> tuple[Routing, dict[str, Value], tuple[Tensor, ...]]:
    """What the step is made of: who wrote which op, its outputs by name, and the state.

    All updates read the values from before the step.

    Args:
        program: without findings of the severity `error`.
        counting: build it, where a gradient does not exist, as far as it does: to count what it would cost.
        gathering: where an update takes the gradients of several batches, a step that only gathers them.

    Raises:
        NoDerivativeError: a gradient does not exist.
        PluginError: a kind of a plug-in returned what it must not.
    """
    trace = Trace(program, training=True)
    b = trace.b
    loss = trace.loss()
    routing = Routing(trace, loss, counting=counting)
    gradients: dict[str, Value] = {}
    for tensor in _trainable(program) if program.spec.update else ():
        gradient = routing.reverse.cotangent(trace.state[tensor.name])
        if gradient is not None:
            gradients[tensor.name] = gradient
    outputs: dict[str, Value] = {"loss": loss, **trace.several()}
    outputs |= {name: b.named(value, f"{name}.next") for name, value in trace.moved.items()}
    for name, learned in routing.learned():
        if learned.gradient:
            gradients[name] = b.named(learned.value, f"{name}.gradient")
        else:
            outputs[name] = b.named(learned.value, f"{name}.next")
    tensors, update = program.arrays, program.spec.update
    if update is None:
        # Nothing moves: what a rule solves for, no step changes.
        return routing, {"loss": loss, **trace.several()}, tensors
    by_name = {tensor.name: tensor for tensor in tensors}
    slots: list[Tensor] = []
    if program.spec.train.accumulate > 1:
        slots += (kept := sums(by_name[name] for name in gradients))
        if gathering:
            added = gathered(trace, by_name, gradients).values()
            next_ = {slot.name: b.named(v, f"{slot.name}.next") for slot, v in zip(kept, added, strict=True)}
            return routing, outputs | next_, (*tensors, *slots)
        outputs |= {
            slot.name: emptied(trace, by_name[name]) for slot, name in zip(kept, gradients, strict=True)
        }
        gradients = averaged(trace, by_name, gradients)
    lr = b.scalar("lr")
    gradients = masked(b, program, gradients)
    for name, gradient in clipped(b, update.clip, program, gradients).items():
        slots += plan(program, by_name[name]).slots(by_name[name])
        with b.at(by_name[name].owner, Phase.UPDATE):
            moved = _moved(trace, by_name[name], gradient, lr)
            outputs[name] = b.named(moved.parameter, f"{name}.next")
            for slot, value in moved.slots.items():
                outputs[f"{name}.{slot}"] = b.named(value, f"{name}.{slot}.next")
    return routing, outputs, (*tensors, *slots)


def _moved(trace: Trace, tensor: Tensor, gradient: Value, lr: Value) -> Updated:
    """What the update rule makes of a parameter, or of a feedback matrix, and of what it keeps of it."""
    b, program = trace.b, trace.program
    chosen = plan(program, tensor)
    rate = lr if chosen.lr_ratio == 1 else b.mul(lr, chosen.lr_ratio)
    own, value = chosen.slots(tensor), trace.state[tensor.name]
    how, given = stepping(b, program, chosen.rule, gradient)
    return updated(how, how(b, chosen.rule, value, given, trace.read(own), rate, updates(trace)), tensor, own)


def build_probe(program: Program) -> Function:
    """(x, y, state) -> measurements of the routed sweep against backpropagation on the same forward values."""
    trace = Trace(program, training=True)
    loss = trace.loss()
    routing = Routing(trace, loss)
    true = Reverse(trace.b, loss, Edits(), frozenset(trace.state.values()), prefix="true.")
    state = {t.name: v for t in program.arrays for v in trace.read((t,)).values()}
    sweeps = Sweeps(
        program,
        trace.values,
        trace.targets,
        state,
        routing.reverse.cotangent,
        true.cotangent,
        trace.contraction,
        routing.signals,
        cache(partial(_follower, routing)),
    )
    outputs: dict[str, Value] = {"loss": loss}
    for number, (kind, spec) in enumerate(probes_of(program)):
        for name, value in kind.build(trace.b, spec, sweeps):
            if kind.finish is None:
                outputs[name] = trace.b.named(made(kind.build, value, SCALAR, ""), name)
            else:
                found = made(kind.build, value, getattr(value, "type", SCALAR), "")
                outputs[inner(number, name)] = trace.b.named(found, name)
    return trace.b.finish("probe", outputs)


def inner(number: int, name: str) -> str:
    """What an output of the probe function is called that the probe of that number finishes."""
    return f"{number}:{name}"


def _follower(routing: Routing, name: str) -> Value | None:
    """What follows on a parameter of the network in a step; of the others only what a limit on all of them asks for."""
    trace, program = routing.trace, routing.trace.program
    trainable = {tensor.name: tensor for tensor in _trainable(program)}
    asked = trainable if program.update.clip else trainable.keys() & {name}
    found = {each: routing.reverse.cotangent(trace.state[each]) for each in trainable if each in asked}
    gradients = {each: gradient for each, gradient in found.items() if gradient is not None}
    gradients = masked(trace.b, program, gradients)
    if name not in gradients:
        return None
    gradient = clipped(trace.b, program.update.clip, program, gradients)[name]
    with trace.b.at(trainable[name].owner, Phase.UPDATE):
        lr = trace.b.constant(program.update.lr)
        return _moved(trace, trainable[name], gradient, lr).parameter


def _trainable(program: Program) -> list[Tensor]:
    """Parameters that move, those nearest to the loss first: the order in which errors arrive."""
    return [t for node in reversed(program.nodes) for t in node.tensors if t.trainable]
