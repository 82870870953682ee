"""FAC501, FAC502: what a training step may cost. These checks compile it: only a spec that asks for them pays."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from fac.checks.demands import Demand, demand
from fac.diagnostics import Diagnostic, Rule
from fac.program.program import Program
from fac.spec.constraints import amount

if TYPE_CHECKING:
    from fac.build.costs import StepCost
    from fac.build.transport import Transport

BACKWARD_COST_ABOVE_LIMIT = Rule("FAC501", "backward-cost-above-limit")
PEAK_MEMORY_ABOVE_LIMIT = Rule("FAC502", "peak-memory-above-limit")


class Costs:
    """What a step of a program costs, in float32 at the batch of the spec, and what it reads. Built when asked."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.batch = program.spec.train.batch

    @cached_property
    def step(self) -> StepCost:
        """Of the step as it is routed."""
        from fac.build.costs import step_cost

        return step_cost(self.program, self.batch)

    @cached_property
    def transport(self) -> Transport:
        """Where the step depends on forward weights."""
        from fac.build.transport import transport

        return transport(self.program)

    @cached_property
    def anchor(self) -> Costs | None:
        """Of the steps of anchors, if there are any."""
        other = self.program.anchored
        return None if other is None else Costs(other)

    @property
    def peak_bytes(self) -> int:
        """Of the larger of the two steps."""
        return max(costs.step.peak_bytes for costs in (self, self.anchor) if costs is not None)

    @cached_property
    def ratio(self) -> float:
        """Backward multiply-adds as a share of backpropagation's on the same network."""
        from fac.build.costs import Cost, backprop_cost
        from fac.step.cost import FLOAT_BYTES

        exact = backprop_cost(self.program, self.batch)
        return Cost(self.batch, FLOAT_BYTES, self.step, exact).backward_ratio


def backward_cost_above_limit(program: Program, costs: Costs) -> Iterator[Diagnostic]:
    """The backward pass costs more than `constraints.backward_macs_vs_backprop` or `backward_macs` allows.

    Multiply-adds of the backward pass, the learning of feedback matrices included, are counted on the
    compiled step: `backward_macs` bounds their number at the batch of the spec, `backward_macs_vs_backprop`
    that number divided by the one of backpropagation on the same network. `fac show --cost` prints them
    layer by layer. Of a training with `train.anchor` it is an ordinary step that is counted.

    Bad:

        feedback: {rule: bp}
        constraints: {backward_macs_vs_backprop: {at_most: 0.95}}

    Good:

        feedback: {rule: dfa}
        constraints: {backward_macs_vs_backprop: {at_most: 0.95}}
    """
    asked = demand(program, "backward_macs_vs_backprop")
    if asked is not None and costs.ratio > asked.value.at_most:
        yield _above(
            program,
            asked,
            f"costs {costs.ratio:.4g} times backprop's multiply-adds",
            f"{asked.value.at_most:g}",
        )
    asked = demand(program, "backward_macs")
    if asked is not None and costs.step.backward_macs > asked.value.at_most:
        macs = f"{costs.step.backward_macs:,} multiply-adds at batch {costs.batch}"
        yield _above(program, asked, f"costs {macs}", f"{asked.value.at_most:,.12g}")


def _above(program: Program, asked: Demand, fact: str, limit: str) -> Diagnostic:
    return BACKWARD_COST_ABOVE_LIMIT.at(
        asked.place(program, "at_most"),
        f"the backward pass {fact}, above {limit}{asked.where}",
        help="lower the ranks, use direct routes, or raise the limit; `fac show --cost` shows each layer",
    )


def peak_memory_above_limit(program: Program, costs: Costs) -> Iterator[Diagnostic]:
    """A training step needs more memory at once than `constraints.peak_memory` allows.

    Counted on the compiled step at the batch of the spec, in float32: parameters, feedback matrices and optimiser
    state, the batch, and every value between its making and its last use. A backend that reuses memory more
    cleverly needs less, a framework itself needs more. `fac show --cost` prints the figure.

    Bad:

        train: {batch: 8192}
        constraints: {peak_memory: {at_most: 1 MiB}}

    Good:

        train: {batch: 128}
        constraints: {peak_memory: {at_most: 1 MiB}}
    """
    asked = demand(program, "peak_memory")
    if asked is None:
        return
    peak = costs.peak_bytes
    if peak > asked.value.bytes:
        yield PEAK_MEMORY_ABOVE_LIMIT.at(
            asked.place(program, "at_most"),
            f"a step needs {amount(peak)} at once at batch {costs.batch}, "
            f"above {_shown(asked.value.at_most)}{asked.where}",
            help="use a smaller `train.batch` or smaller layers, or raise the limit",
        )


def _shown(at_most: int | str) -> str:
    return at_most if isinstance(at_most, str) else f"{at_most:,} bytes"
