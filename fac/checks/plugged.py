"""FAC220, FAC402: what the kinds of plug-ins do wrong. These checks build the step, if a plug-in has a part in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

from fac import plugins
from fac.checks.lengths import steps_of
from fac.checks.places import listed, written_models
from fac.diagnostics import Diagnostic, Path, Rule
from fac.plugins import PluginError
from fac.program.kinds import ScheduleKind
from fac.program.lower import kind_of
from fac.program.program import LOSS, Program
from fac.spec.feedback import ShortHand
from fac.spec.schedules import Schedule, schedule_of

NO_DERIVATIVE = Rule("FAC220", "no-derivative")
PLUGIN_FAILS = Rule("FAC402", "plugin-fails")

GROUPS = tuple(group for group in plugins.FAMILIES if group not in ("fac.data", "fac.loggers"))
"""What a step is made of."""
EPOCH = 100
"""Steps of an epoch where nobody knows how many there are."""
SAMPLED = 100
"""At how many steps a schedule is asked for its factor."""


class Failure(NamedTuple):
    """Why the functions of a program cannot be built."""

    error: Exception
    measuring: bool
    """Whether training would be possible, and only the probes are not."""


class Built:
    """What comes of building the functions of a program.

    The core's own kinds build in every combination, which the tests of the project show once and for all. So nothing
    is built unless a plug-in has a part in the spec, and nobody else pays.
    """

    def __init__(self, program: Program, *, sound: bool) -> None:
        """A program, and whether the checks before these found no error in it, without which nothing is built."""
        self.program, self.sound = program, sound

    @cached_property
    def plugins(self) -> tuple[str, ...]:
        """Those that have a part in the spec: distributions with their versions."""
        declared = {spec: plugin for group in GROUPS for spec, plugin in plugins.foreign(group).items()}
        if not declared:
            return ()
        used = [type(model).__mro__ for _, model in written_models(self.program.spec)]
        named = {plugin for spec, plugin in declared.items() if any(spec in mro for mro in used)}
        if self.program.spec.probes is None:  # it has all of them
            named.update(plugins.foreign("fac.probes").values())
        if self._schedule is not None:  # a name alone is no model
            named.add(plugins.foreign("fac.schedules")[type(self._schedule)])
        return tuple(sorted(named))

    @property
    def failure(self) -> Failure | None:
        """Why they cannot be built, if so."""
        return self._outcome[0]

    @property
    def unnamed(self) -> Mapping[str, tuple[str, ...]]:
        """What the layers multiply errors with that feedback should replace, and cannot; see `fac.build.transport`.

        Empty where no feedback is asked for: backpropagation goes exactly past everything.
        """
        return self._outcome[1]

    @cached_property
    def unscheduled(self) -> PluginError | None:
        """What a plug-in does wrong that declares the schedule."""
        schedule, epochs = self._schedule, self.program.spec.epochs or 1
        if not self.sound or schedule is None:
            return None
        kind: ScheduleKind = kind_of("fac.schedules", schedule)
        steps = steps_of(self.program) or EPOCH * epochs
        try:
            kind.written(schedule)
            for step in {k * steps // SAMPLED for k in range(SAMPLED)} | {steps - 1}:
                kind.factor(schedule, step, steps // epochs, epochs)
        except PluginError as error:
            return error
        return None

    @cached_property
    def _schedule(self) -> Schedule | None:
        """The schedule, if a plug-in declares it."""
        update = self.program.spec.update
        schedule = None if update is None else schedule_of(update.schedule)
        return schedule if type(schedule) in plugins.foreign("fac.schedules") else None

    @cached_property
    def _outcome(self) -> tuple[Failure | None, Mapping[str, tuple[str, ...]]]:
        if not (self.sound and self.plugins) or any(node.fault for node in self.program.nodes):
            return None, {}
        from fac.build.functions import build_evaluate, build_forward, build_probe, build_step, routed
        from fac.build.pieces import written
        from fac.build.transport import unnamed
        from fac.step.verify import verify  # also finds values that a kind kept from another build

        measuring = False
        try:
            for build in (build_forward, build_evaluate):
                verify(build(self.program))
            for function in written(self.program).values():
                verify(function)
            routing, outputs, _ = routed(self.program)
            verify(routing.trace.b.finish("step", outputs))
            if (other := self.program.anchored) is not None:
                verify(build_step(other)[0])
            found = unnamed(routing, outputs) if self._feeds_back else {}
            measuring = True
            verify(build_probe(self.program))
        except Exception as error:  # whatever a kind leads to that is not the core's
            return Failure(error, measuring), {}
        return None, found

    @property
    def _feeds_back(self) -> bool:
        """Whether errors are meant to go another way than backpropagation's."""
        written = self.program.spec.feedback
        sections = written if isinstance(written, tuple) else (written,)
        rules = (kind_of("fac.rules", section) for section in sections if isinstance(section, ShortHand))
        return bool(self.program.routes) or any(rule.changes for rule in rules)


def no_derivative(program: Program, built: Built) -> Iterator[Diagnostic]:
    """A layer of a plug-in makes its output by an operation that has no derivative, and an error has to go back there.

    Comparisons, casts and integers move in steps. Layers below learn from an error that comes back through all that
    the loss depends on; if one way were left out, they would be trained with a gradient that is none. `b.stop_gradient`
    around an operand says that no error is meant to go back, and makes a constant of it. Where a route replaces or cuts
    the error that would come through the layer, nothing is asked of it. A probe that compares with backpropagation
    asks for the exact error everywhere.

    Bad, where `hard_relu` is `x * cast(less(0, x))`:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: hard_relu}
          - {kind: linear, name: logits, out: 10}

    Good, where `gated_relu` is `x * cast(less(0, stop_gradient(x)))`:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: gated_relu}
          - {kind: linear, name: logits, out: 10}
    """
    from fac.step.reverse import NoDerivativeError

    failure = built.failure
    if failure is None or not isinstance(failure.error, NoDerivativeError):
        return
    op, value = failure.error.op, failure.error.value
    whose, path = _declared(program, op.origin.node)
    by = "a probe asks for the error that backpropagation sends through it, but " if failure.measuring else ""
    yield NO_DERIVATIVE.at(
        path,
        f"{by}`{op.origin.node}`, of {whose}, reads `{value.name}` by `{op.kind}`, which has no derivative there: "
        f"{failure.error.why}",
        help="in the plug-in, write `b.stop_gradient(...)` around the operand if no error is meant to go back, or use "
        f"ops that have a derivative{', or measure nothing: `probes: []`' if failure.measuring else ''}",
    )


def plugin_fails(program: Program, built: Built) -> Iterator[Diagnostic]:
    """A part of a plug-in raises an exception, or returns what does not fit.

    A spec with parts of plug-ins is built by `fac check`, so that their mistakes are found here and not in training:
    an operation that does not take what it is given, an output of another shape than `infer` says, an update of
    another shape than its parameter, a learning rate that is no number. The message names the plug-in, the kind, the
    function and its line.

    So is a layer that multiplies with a matrix that it does not name as its weight: with any feedback but that of
    backpropagation, the error would go past it by the transposed matrix, and no route could say otherwise.

    Bad, where `narrow` gives another shape than its `infer` says:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: narrow}
          - {kind: linear, name: logits, out: 10}

    Good:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}
    """
    from fac.step.reverse import NoDerivativeError

    for node in program.nodes:
        if node.fault is not None and node.fault.plugin:
            path = (*node.origin, "kind")
            yield PLUGIN_FAILS.at(
                path, f"`{node.name}` is not known: {node.fault.message}", help=node.fault.help
            )
    if (wrong := built.unscheduled) is not None:
        yield PLUGIN_FAILS.at(
            ("update", "schedule"), f"the learning rate is not known: {wrong.fact}", help=wrong.help
        )
    error = None if built.failure is None else built.failure.error
    if isinstance(error, PluginError):
        about = f"`{error.node}` cannot be built: " if error.node else ""
        yield PLUGIN_FAILS.at(_declared(program, error.node)[1], about + error.fact, help=error.help)
    elif error is not None and not isinstance(error, NoDerivativeError):
        yield PLUGIN_FAILS.at(
            (),
            f"nothing can be built with the parts of {listed(built.plugins)}: {plugins.told(error)}",
            help="mend the plug-in, or tell its authors",
        )
    for name, tensors in built.unnamed.items():
        node = program.by_name[name]
        problem = f"multiplies with {listed(tensors)}, and does not name it as the weight"
        found = plugins.misuse(kind_of("fac.layers", node.layer).forward, problem, name)
        yield PLUGIN_FAILS.at(
            (*node.origin, "kind"),
            f"an error passes `{name}` exactly, whatever feedback is declared: {found.fact}",
            help="name it in `Facts.weight`; where there are several, make a block of layers with one weight each: "
            + found.help,
        )


def _declared(program: Program, name: str) -> tuple[str, Path]:
    """Who declared the kind of a node, or of the loss, and its place in the spec."""
    node = program.by_name.get(name)
    if node is None:
        foreign = plugins.foreign("fac.losses")
        made = [(o, foreign.get(kind_of("fac.losses", o.loss).spec)) for o in program.losses]
        objective, plugin = next((one for one in made if one[1] is not None), made[0])
        path: Path = (*objective.origin, "kind") if name == LOSS else ()
    else:
        plugin = plugins.foreign("fac.layers").get(kind_of("fac.layers", node.layer).spec)
        path = (*node.origin, "kind")
    return ("the core" if plugin is None else f"the plug-in `{plugin}`"), path
