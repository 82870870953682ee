"""The pieces of a solve rule: each a function of a batch that a backend runs as it runs a forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from fac.backend import Compiled, Feed, Solution, holding
from fac.build.alone import alone
from fac.build.contract import rows
from fac.build.trace import Trace
from fac.passes import optimise
from fac.program.kinds import Passing, SolveKind
from fac.program.lower import kind_of
from fac.program.program import Program
from fac.spec.solve import Solve
from fac.step.ir import Function
from fac.step.types import N, Type

NOTHING: Mapping[str, int] = MappingProxyType({})


def solution(program: Program, compiled: Compiled) -> Solution | None:
    """How the parameters are solved for; None if the spec has them moved by steps.

    Args:
        program: without findings of the severity `error`.
        compiled: what else it becomes.

    Raises:
        PluginError: a kind of a plug-in returned what it must not.
    """
    spec = program.spec.solve
    if spec is None:
        return None
    kind: SolveKind = kind_of("fac.solve", spec)

    def made(name: str, held: Mapping[str, int]) -> Compiled:
        feeds = tuple(Feed(holding(of), _sample(program, of, columns)) for of, columns in held.items())
        return alone(compiled, piece(program, kind, spec, name, held), feeds)

    return Solution(
        rule=kind.name,
        remedy=kind.remedy,
        piece=made,
        layers=tuple(node.name for node in kind.order(spec, program)),
        block=kind.block(spec, program),
        run=partial(kind.run, spec, program),
    )


def written(program: Program) -> dict[str, Function]:
    """The pieces by name; none of a spec that is trained by steps."""
    spec = program.spec.solve
    if spec is None:
        return {}
    kind: SolveKind = kind_of("fac.solve", spec)
    return {name: piece(program, kind, spec, name) for name in kind.pieces(spec, program)}


def piece(
    program: Program, kind: SolveKind, spec: Solve, name: str, held: Mapping[str, int] = NOTHING
) -> Function:
    """(what is held, x, y, parameters, what the rule keeps) -> the rows of a piece or a layer, [rows, columns].

    Args:
        program: without findings of the severity `error`.
        kind: of the rule.
        spec: its settings.
        name: of a piece, or of a layer.
        held: pieces and layers whose rows are there already, and their columns.
    """
    nodes = program.by_name
    trace = Trace(program, training=False, given={of: holding(of) for of in held if of in nodes})
    b = trace.b
    own = {tensor.name: b.input(tensor.name, Type(tensor.shape)) for tensor in kind.kept(spec, program)}
    there = {of: b.input(holding(of), Type((N, columns))) for of, columns in held.items() if of not in nodes}
    parameters = {t.name: v for t in program.arrays for v in trace.read((t,)).values()}
    if name in nodes:
        found = b.rows(trace.values[name])
    else:
        passing = Passing(program, trace.values, parameters | own, trace.asked(), there)
        found = rows(kind.write, kind.write(b, spec, passing, name), name)
    return optimise(b.finish("forward", {"output": found}), program.disabled)


def _sample(program: Program, of: str, columns: int) -> tuple[int, ...]:
    node = program.by_name.get(of)
    return (columns,) if node is None or node.shape is None else node.shape
