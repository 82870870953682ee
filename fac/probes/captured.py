"""How much of an error its reading subspace holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from fac.probes.scaled import defined, scaled
from fac.program.ends import rows
from fac.program.kinds import ProbeKind, Sweeps, Unused
from fac.program.program import Program, Route, Subspace
from fac.spec.train import Probe
from fac.step.builder import Builder
from fac.step.ir import Phase, Value


class CapturedEnergy(Probe):
    """|d P^+ P|^2 / |d|^2 per reading matrix P, not centred; undefined where the error d is zero."""

    kind: Literal["captured_energy"] = "captured_energy"


def build(b: Builder, probe: Any, sweeps: Sweeps) -> Iterator[tuple[str, Value]]:
    """`PREFIX.P.captured_energy`, for low-rank routes and for subspaces; of all errors that a P reads together."""
    program = sweeps.program
    readings: dict[str, list[Route | Subspace]] = {}
    for route in program.routes:
        for tensor in route.tensors:
            if tensor.part == "P" and route.source not in program.subspace:
                readings.setdefault(tensor.name, []).append(route)
    readings |= {tensor.name: [subspace] for subspace in program.subspaces for tensor in subspace.tensors}
    for name, readers in readings.items():
        reader = readers[0]
        with b.at(reader.node if isinstance(reader, Route) else reader.name, Phase.PROBE):
            rows = [found for one in readers if (found := _rows(b, sweeps, one)) is not None]
            if rows:
                yield f"{name}.captured_energy", captured(b, rows, sweeps.state[name])


def _rows(b: Builder, sweeps: Sweeps, reader: Route | Subspace) -> Value | None:
    """The error that a route or a subspace reads, [places, m]; None if none arrives."""
    if isinstance(reader, Route):
        signals = sweeps.signals(reader)
        return None if signals is None else signals.error
    root = sweeps.program.root(reader.of)
    error = None if root is None else sweeps.routed(sweeps.values[root])
    return None if error is None else b.reshape(error, rows(sweeps.program, reader.of))


def unused(probe: Any, program: Program) -> Iterator[Unused]:
    """The whole probe, where there is no P."""
    known = all(route.ends for route in program.routes)
    if (
        known
        and not program.subspaces
        and not any(t.name.endswith(".P") for r in program.routes for t in r.tensors)
    ):
        yield Unused("kind", "where no route or subspace reads errors through a P", "remove it")


def captured(b: Builder, errors: Sequence[Value], p: Value) -> Value:
    """The share of |d|^2, d [places, m], in the row space of P [r, m], in [0, 1]. Scaling its rows changes no space."""
    d, basis = scaled(b, errors), scaled(b, [p], (1,))
    held = [b.label(b.emit("project", rows, *basis.values), "held") for rows in d.values]
    share = b.div(_squares(b, held), b.maximum(_squares(b, d.values), 1.0))
    found = defined(b, b.minimum(share, 1.0), d.seen)
    b.mark(
        "captured_energy",
        {"p": p, **{f"d{k}": error for k, error in enumerate(errors)}},
        {"share": found},
        {},
    )
    return found


def _squares(b: Builder, values: Sequence[Value]) -> Value:
    first, *others = (b.dot(value, value) for value in values)
    for other in others:
        first = b.add(first, other)
    return first


MEASURES = {"captured_energy": "share of the error that P reads"}
CAPTURED_ENERGY = ProbeKind("captured_energy", CapturedEnergy, build, MEASURES, unused=unused)
