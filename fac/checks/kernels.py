"""FAC401: what the chosen backend cannot run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fac.checks.plugged import Built
from fac.diagnostics import Diagnostic, Path, Rule
from fac.program.program import Program

if TYPE_CHECKING:
    from fac.backend import Backend, Compiled, Precision

OP_WITHOUT_KERNEL = Rule("FAC401", "op-without-kernel")
OF_LAYERS = frozenset({"erf", "host"})
"""Ops that no probe of ours is made of, if none of the layers is. Those of plug-ins may be made of anything."""


def op_without_kernel(
    program: Program, compiled: Compiled, backend: Backend, precision: Precision
) -> Iterator[Diagnostic]:
    """A layer needs an operation that the chosen backend cannot run in the chosen precision.

    Asked for with `--backend`: a spec alone says nothing about backends. `compile` and `train` refuse such a spec
    before anything is written, because half a network on another backend would be another program than the one that
    was checked. An operation counts as missing only if it cannot be made of others that the backend has:
    onnxruntime has no float64 `Erf` on CPUs, from which an exact `gelu` would have to be made; and it runs a graph as a
    whole, so that nothing can be carried out on the host between two halves of a step (`host`).

    Bad, for `--backend onnx --precision float64`:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: gelu}
          - {kind: linear, name: logits, out: 10}

    Good:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: tanh}
          - {kind: linear, name: logits, out: 10}
    """
    from fac.backend import PRECISIONS
    from fac.step.ops import OPS

    kinds = backend.ops(precision)
    lacking = {kind for kind, op in OPS.items() if kind not in kinds and op.finer is None}
    if not lacking:
        return
    seen: set[tuple[str, str]] = set()
    functions = [compiled.forward, compiled.evaluate, compiled.step]
    # the probe is not built yet, and takes longer than all else
    if not lacking <= OF_LAYERS or Built(program, sound=True).plugins:
        functions.append(compiled.probe)
    for function in functions:
        for op in function.ops:
            key = (op.origin.node, op.kind)
            if op.kind in kinds or key in seen:
                continue
            seen.add(key)
            others = [p for p in PRECISIONS if op.kind in backend.ops(p)]
            node = f", which `{op.origin.node}` needs" if op.origin.node else ""
            yield OP_WITHOUT_KERNEL.at(
                _place(program, op.origin.node),
                f"the backend `{backend.name}` has no `{op.kind}` in {precision}{node}",
                help=f"use `--precision {others[0]}`, or another backend"
                if others
                else "use another backend",
            )


def _place(program: Program, name: str) -> Path:
    """Where a node stands in the spec; what belongs to no node belongs to the whole spec."""
    return next((node.origin for node in program.nodes if node.name == name), ())
