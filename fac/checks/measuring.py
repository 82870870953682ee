"""FAC505: what probes keep from one measurement to the next."""

from __future__ import annotations

from collections.abc import Iterator

from fac.diagnostics import Diagnostic, Rule, Severity
from fac.program.declared import probes_of
from fac.program.program import Program
from fac.spec.constraints import amount
from fac.step.cost import FLOAT_BYTES

PROBE_KEEPS_MUCH = Rule("FAC505", "probe-keeps-much", Severity.WARNING)
MUCH = 1 << 30
"""Bytes."""


def probe_keeps_much(program: Program) -> Iterator[Diagnostic]:
    """A probe keeps more than 1 GiB from one measurement to the next, in the memory of the host.

    The `trajectory` of `effective_rank` is of the gradients of the last `window` measurements, all of which are kept:
    `window` times the numbers of all weights that learn. Counted in float32; float64 is twice that. Until there are so
    many measurements, one after each epoch, it is undefined: a smaller window says something earlier, too.

    Bad, where the weights have half a million numbers:

        layers:
          - {kind: linear, name: fc1, out: 2048}
          - {kind: relu}
          - {kind: linear, name: fc2, out: 256}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}
        train: {epochs: 5000}
        probes: [{kind: effective_rank, of: [trajectory], window: 5000}]

    Good:

        train: {epochs: 5000}
        probes: [{kind: effective_rank, of: [trajectory], window: 20}]
    """
    for index, (kind, probe) in enumerate(probes_of(program)):
        size = FLOAT_BYTES * kind.keeps(probe, program)
        if size > MUCH and program.spec.probes is not None:
            yield PROBE_KEEPS_MUCH.at(
                ("probes", index),
                f"`{kind.name}` keeps {amount(size)} from one measurement to the next, in float32",
                help="keep less, as by a smaller `window`, or leave it out",
            )
