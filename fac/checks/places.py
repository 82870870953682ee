"""What the checks share: where a thing stands in the spec, and words for lists and near misses."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from fac.diagnostics import Path
from fac.program.program import INPUT, Node, Program, Route
from fac.spec.base import Model
from fac.spec.feedback import ShortHand
from fac.spec.layers import WeightedLayer

SHOWN = 8
"""How many names a help text lists."""


def head(node: Node) -> Path:
    """The word that stands for a layer: its name, or its kind if it was given none."""
    return (*node.origin, "name" if node.layer.name else "kind")


def has_weights(node: Node) -> bool:
    """Whether the layer is of a kind with weights, be its shape known or not."""
    return isinstance(node.layer, WeightedLayer)


def learns(node: Node) -> bool:
    """Whether the layer has parameters that should move."""
    return node.trainable and (has_weights(node) or bool(node.tensors))


def wired(program: Program) -> bool:
    """Whether every layer reads layers above it and names are unique.

    If not, that is reported, and what follows from it would only hide the cause: checks of the graph keep
    silent.
    """
    seen = {INPUT}
    for node in program.nodes:
        if node.name in seen or not seen.issuperset(node.inputs):
            return False
        seen.add(node.name)
    return bool(program.nodes)


def written(spec: Model, path: Path) -> Any:
    """What stands at a path of the spec."""
    value: Any = spec
    for part in path:
        value = value[part] if isinstance(part, int) else getattr(value, part)
    return value


def short_hand(program: Program, route: Route) -> ShortHand | None:
    """The rule that a route comes from; None if the user wrote the route."""
    section = written(program.spec, route.origin)
    return section if isinstance(section, ShortHand) else None


def target(route: Route) -> Path:
    """Where an explicit route names its layer."""
    return (*route.origin, "through" if route.through else "to")


def matrix_of(program: Program, route: Route, field: str | None = None) -> Path:
    """The matrix of a route, or a field of it. A short-hand has the fields of its matrices as its own."""
    if short_hand(program, route) is None:
        return (*route.origin, "matrix", field) if field else (*route.origin, "matrix")
    return (*route.origin, field or "rule")


def by_origin(routes: Iterable[Route]) -> dict[Path, list[Route]]:
    """Routes that were written in one place, as a glob or a short-hand writes them: one finding is enough."""
    found: dict[Path, list[Route]] = {}
    for route in routes:
        found.setdefault(route.origin, []).append(route)
    return found


def listed(names: Iterable[str], conjunction: str = "and") -> str:
    """`` `a`, `b` and `c` ``, cut after the first few."""
    quoted = [f"`{name}`" for name in dict.fromkeys(names)]
    if len(quoted) > SHOWN:
        return f"{', '.join(quoted[:SHOWN])} {conjunction} {len(quoted) - SHOWN} more"
    return f" {conjunction} ".join(filter(None, (", ".join(quoted[:-1]), *quoted[-1:])))


def meant(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """`` did you mean `task`? ``, or something else where no name is near."""
    close = get_close_matches(word, list(dict.fromkeys(known)), n=1)
    return f"did you mean `{close[0]}`?" if close else otherwise
