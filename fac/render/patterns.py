"""What patterns of a spec stand for: for each glob the layers, or the arrays, that it means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fac.program.globs import is_glob
from fac.program.lower import kind_of, selected
from fac.program.program import Program
from fac.program.tensors import Role
from fac.spec.feedback import ShortHand, ThroughRoute, ToRoute


@dataclass(frozen=True, slots=True)
class Pattern:
    """One glob, where it stands, and what it means there."""

    key: str
    """`nodes`, `to`, `through` or `match`."""
    of: str
    """What it belongs to: a rule, an operator, or the groups of the update."""
    glob: str
    names: tuple[str, ...]
    """What it means, without what another one decides on."""
    among: int
    """How many it could mean."""
    what: str
    """Of which sort these are."""


def patterns(program: Program) -> Iterator[Pattern]:
    """Those of the feedback, of adapters and of the update; `*` alone is none where it means all."""
    sections = program.spec.feedback if isinstance(program.spec.feedback, tuple) else (program.spec.feedback,)
    for section in sections:
        if isinstance(section, ShortHand):
            kind = kind_of("fac.rules", section)
            for glob in filter(_partial, section.globs):
                names = [node.name for node in selected(program, (glob,), direct=kind.direct)]
                yield _of_layers(program, "nodes", kind.name, glob, names, kind.direct)
            continue
        for route in section.routes:
            through = isinstance(route, ThroughRoute)
            key = "through" if through else "to"
            glob = getattr(route, key)
            if _partial(glob):
                found = (program.weighted_names if through else program.parametric_names).matching(glob)
                exact = {getattr(other, key, None) for other in section.routes}
                adds = isinstance(route, ToRoute) and route.combine == "add"
                names = [name for name in found if adds or name not in exact]
                operator = kind_of("fac.feedback", route.matrix).name
                yield _of_layers(program, key, operator, glob, names, not through)
    yield from _of_adapters(program)
    moving = {tensor.name for tensor in program.arrays if tensor.role is not Role.STATISTIC}
    for number, group in enumerate(program.groups):
        if _partial(group.match):
            # averages follow the data, whatever a group says
            decided = tuple(name for name, by in program.grouped.items() if by == number and name in moving)
            yield Pattern("match", "groups", group.match, decided, len(moving), "arrays")


def _partial(glob: str) -> bool:
    return is_glob(glob) and glob != "*"


def _of_adapters(program: Program) -> Iterator[Pattern]:
    """Of layers with weights, so that those which can have no adapter are missed."""
    parts = {part for layer in program.adapted for part in (layer.base, layer.down, layer.up)}
    among = len(program.adapted) + sum(node.name not in parts for node in program.weighted)
    for group in program.spec.adapters:
        names = tuple(layer.name for layer in program.adapted if layer.adapter is group)
        if is_glob(group.match) and (group.match != "*" or len(names) < among):
            yield Pattern("match", "adapters", group.match, names, among, "layers with weights")


def whole(program: Program) -> list[str]:
    """The layers with weights that learn beside adapters and have none."""
    parts = {part for layer in program.adapted for part in (layer.base, layer.down, layer.up)}
    return [n.name for n in program.weighted if program.adapted and n.weight_learns and n.name not in parts]


def _of_layers(program: Program, key: str, of: str, glob: str, names: Sequence[str], direct: bool) -> Pattern:
    among = program.parametric if direct else program.weighted
    return Pattern(
        key, of, glob, tuple(names), len(among), f"layers with {'parameters' if direct else 'weights'}"
    )
