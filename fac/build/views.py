"""What happens inside of a network, as functions of a batch: outputs of layers, errors, gradients."""

from __future__ import annotations

from collections.abc import Iterator

from fac.backend import Compiled, Reading, View
from fac.build.alone import alone
from fac.build.routing import Routing
from fac.build.trace import Trace
from fac.passes import optimise
from fac.program.program import Program
from fac.step.ir import Value
from fac.step.reverse import Edits, Reverse

OF = "view:"
"""In front of what is looked at: the names of layers and arrays are taken by the network itself."""


def view(program: Program, compiled: Compiled, what: View) -> Compiled:
    """A compiled spec whose probe gives arrays.

    Args:
        program: without findings of the severity `error`.
        compiled: what else it becomes.
        what: is looked at, see `Session.values`, `errors` and `gradients`.
    """
    trace = Trace(program, training=what != "values")
    found = {OF + name: trace.b.named(value, OF + name) for name, value in _seen(program, trace, what)}
    # a plain forward pass asks for no loss, and a probe is expected to give one
    outputs = {"loss": trace.b.constant(0.0), **found}
    reading = Reading({name: name.removeprefix(OF) for name in found}, lambda arrays, step, kept: {})
    return alone(compiled, optimise(trace.b.finish("probe", outputs), program.disabled), readings=(reading,))


def _seen(program: Program, trace: Trace, what: View) -> Iterator[tuple[str, Value]]:
    if what == "values":
        # one op more: a layer without any of its own gives what it reads, under another name
        for node in program.nodes:
            value = trace.values[node.name]
            yield node.name, trace.b.emit("reshape", value, shape=value.type.shape)
        return
    loss = trace.loss()
    parameters = {t.name: trace.state[t.name] for node in program.nodes for t in node.tensors if t.trainable}
    routing = Routing(trace, loss)
    true = what.endswith("true")
    sweep = Reverse(trace.b, loss, Edits(), frozenset(trace.state.values())) if true else routing.reverse
    gradients = {name: sweep.cotangent(value) for name, value in parameters.items()}
    if what.startswith("gradients"):
        found = gradients
    else:
        if not true:
            list(routing.learned())  # errors that feedback alone learns from
        # those that somebody asked for: of others a step has none
        found = {node.name: sweep.memo.get(trace.values[node.name]) for node in program.nodes}
    for name, error in found.items():
        if error is not None:
            yield name, trace.b.emit("reshape", error, shape=error.type.shape)
