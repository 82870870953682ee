"""What the training step of a program costs, beside backpropagation on the same network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fac.build.functions import build_step
from fac.passes import optimise
from fac.program.lower import lower
from fac.program.program import Program
from fac.spec.feedback import Routing
from fac.step.cost import FLOAT_BYTES, Tally, count, peak_bytes
from fac.step.ir import Function, Phase


@dataclass(frozen=True, slots=True)
class LayerCost:
    """The ops made for one layer; also for `loss`, `clip`, or a subspace by its name."""

    name: str
    phases: Mapping[Phase, Tally]

    @property
    def total(self) -> Tally:
        """Over all phases."""
        return sum(self.phases.values(), Tally())


@dataclass(frozen=True, slots=True)
class StepCost:
    """One step function."""

    layers: tuple[LayerCost, ...]
    """In the order of the network, then what belongs to no layer."""
    peak_bytes: int

    @property
    def total(self) -> Tally:
        """Over all layers and phases."""
        return sum((layer.total for layer in self.layers), Tally())

    def macs(self, phase: Phase) -> int:
        """Multiply-adds of one phase."""
        return sum(layer.phases[phase].macs for layer in self.layers if phase in layer.phases)

    @property
    def backward_macs(self) -> int:
        """All multiply-adds that are not of the forward pass: errors, gradients and feedback learning."""
        return self.total.macs - self.macs(Phase.FORWARD)


@dataclass(frozen=True, slots=True)
class Cost:
    """A step as it is routed, and the step that backpropagation would take."""

    batch: int
    float_bytes: int
    step: StepCost
    backprop: StepCost
    anchor: StepCost | None = None
    """The step of anchors, if there are any."""

    @property
    def backward_ratio(self) -> float:
        """Backward multiply-adds as a share of backprop's; 1 if backprop has none either."""
        return self.share(self.step)

    def share(self, step: StepCost) -> float:
        """The same of any step."""
        return step.backward_macs / self.backprop.backward_macs if self.backprop.backward_macs else 1.0


@dataclass(frozen=True, slots=True)
class Taken:
    """What a process takes that trains on a backend, as `Artifact.peak_bytes` predicts it."""

    backend: str
    precision: str
    bytes: int
    """Without what kernels keep for themselves inside a call, such as those of convolutions, noise or normalisation."""


def cost(program: Program, batch: int, float_bytes: int = FLOAT_BYTES, built: Function | None = None) -> Cost:
    """Count the step after all passes.

    Args:
        program: without findings of the severity `error`.
        batch: samples per step.
        float_bytes: of one element of the precision that is trained in.
        built: its step before any pass, by who has it already.
    """
    step, other = (
        optimised_step(program) if built is None else optimise(built, program.disabled),
        program.anchored,
    )
    return Cost(
        batch,
        float_bytes,
        _counted(program, step, batch, float_bytes),
        backprop_cost(program, batch, float_bytes),
        None if other is None else step_cost(other, batch, float_bytes),
    )


def backward_ratio(program: Program, batch: int | None = None) -> float:
    """Multiply-adds of everything but the forward pass, as a share of backprop's on the same network.

    `batch` is the spec's own by default. It matters only where feedback learns without data (`normative`).
    """
    return cost(program, batch or program.spec.train.batch).backward_ratio


def backprop(program: Program) -> Program:
    """The same network without routes; it trains every layer that the spec itself does not freeze."""
    exact = lower(program.spec.model_copy(update={"feedback": Routing()}))
    return replace(exact, disabled=program.disabled)


def optimised_step(program: Program) -> Function:
    """The step function after all passes: what backends are given."""
    return optimise(build_step(program)[0], program.disabled)


def step_cost(program: Program, batch: int, float_bytes: int = FLOAT_BYTES) -> StepCost:
    """Count one step after all passes; see `cost`."""
    return _counted(program, optimised_step(program), batch, float_bytes)


def backprop_cost(program: Program, batch: int, float_bytes: int = FLOAT_BYTES) -> StepCost:
    """Count one step of backpropagation on the same network.

    A program may route its errors around an op without a derivative. Backpropagation is then counted without the
    terms that do not exist.
    """
    exact = backprop(program)
    return _counted(exact, optimise(build_step(exact, counting=True)[0], exact.disabled), batch, float_bytes)


def _counted(program: Program, step: Function, batch: int, float_bytes: int) -> StepCost:
    rows: dict[str, dict[Phase, Tally]] = {node.name: {} for node in program.nodes}
    for origin, tally in count(step, batch, float_bytes).items():
        rows.setdefault(origin.node, {})[origin.phase] = tally
    layers = tuple(LayerCost(name, phases) for name, phases in rows.items())
    return StepCost(layers, peak_bytes(step, batch, float_bytes))
