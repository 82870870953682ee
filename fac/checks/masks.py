"""FAC327: masks that leave out what they should not."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, exp, inf, log, log1p

from fac.checks.idle import SETTING_WITHOUT_EFFECT, removal
from fac.checks.laws import wide
from fac.checks.places import by_origin, matrix_of, stated
from fac.diagnostics import Diagnostic, Rule, Severity
from fac.program.program import Ends, Program, Route
from fac.program.tensors import Columns
from fac.spec.init import Density, PerUnit

MASK_LEAVES_OUT = Rule("FAC327", "mask-leaves-out", Severity.WARNING)

RARE = 0.05
"""How many left out are expected where nobody needs to be told: none in 19 of 20 runs, or more."""


def mask_leaves_out(program: Program) -> Iterator[Diagnostic]:
    """A mask leaves a component of the error without a unit that it reaches, or a unit without any error.

    A masked feedback matrix is drawn once and stays as it is. A class whose column is all zero is never heard of below:
    its mistakes move the last layer alone. A unit whose row is all zero never learns. `per_unit: s` reads all
    components alike often, so that of C components n units leave out C - s n, or with `rank: r` C - s r: a layer that
    is too narrow. Entries kept with probability p leave out a component with (1 - p)^n, and a unit with (1 - p)^C;
    reported is what is expected, because each seed draws another mask. With p so small that no entry is kept at all, no
    error is brought.

    A group of the update with `keep` leaves out the gradients of some units. Those of a layer that a loss reads are
    classes, or numbers that are asked for: they are never taught.

    Bad:

        feedback: {rule: dfa, mask: {density: 0.1}}

    Good:

        feedback: {rule: dfa, mask: {per_unit: 1}}

    See arXiv 1903.02083.
    """
    for routes in by_origin(r for r in program.routes if r.ends is not None and _mask(r)).values():
        route = max(routes, key=lambda route: sum(_left_out(route)))
        missed, idle = _left_out(route)
        if max(missed, idle) > RARE:
            yield MASK_LEAVES_OUT.at(
                matrix_of(program, route, "mask"), _told(program, route, missed, idle), help=_remedy(routes)
            )
    for index, group in enumerate(program.groups):
        for head in program.heads if group.keep else ():
            node = program.by_name.get(head)
            if node is None or node.weight is None:
                continue
            units = node.weight.reads
            if group.keep and group.keep < units and program.grouped.get(f"{node.owner}.weight") == index:
                yield MASK_LEAVES_OUT.at(
                    ("update", "groups", index, "keep"),
                    f"{units - group.keep} of the {units} units of `{head}`, which a loss reads, get no gradient",
                    help=f"match other layers: what `{head}` says of these is never taught",
                )


def keeps_all(program: Program) -> Iterator[Diagnostic]:
    """`per_unit` of as many as there are, in all routes that one place writes: part of FAC314.

    A matrix is stored in another way then, and means the same. By `crafton` its entries have another size.
    """
    for routes in by_origin(r for r in program.routes if r.ends is not None and _mask(r)).values():
        if all(_keeps_all(route) for route in routes):
            path = matrix_of(program, routes[0], "mask")
            yield SETTING_WITHOUT_EFFECT.at(
                path,
                "`mask` has no effect when it keeps every entry",
                help="remove it",
                key=True,
                fix=removal(path),
            )


def _keeps_all(route: Route) -> bool:
    law = _mask(route)
    assert route.ends is not None
    if not isinstance(law, PerUnit) or any(tensor.law == "crafton" for tensor in route.tensors):
        return False
    return law.rank is None and law.per_unit == route.ends.reads // _groups(route.ends)


def _mask(route: Route) -> PerUnit | Density | None:
    """What is kept of a matrix, also where that alone is stored."""
    for tensor in route.tensors:
        if isinstance(tensor.init, Columns):
            return PerUnit(per_unit=tensor.shape[1], rank=tensor.init.sets)
        if tensor.mask:
            return tensor.mask
    return None


def _left_out(route: Route) -> tuple[float, float]:
    """How many components of the error reach no unit, and how many units get none of it; expected."""
    assert route.ends is not None
    groups = _groups(route.ends)
    reads, writes = wide(route.ends.reads), wide(route.ends.writes)
    law, own = _mask(route), reads / groups
    assert law is not None
    if isinstance(law, PerUnit):
        return groups * max(0.0, own - law.per_unit * min(writes, law.rank or writes)), 0.0
    return reads * _power(law.density, writes), groups * writes * _power(law.density, own)


def _none(route: Route) -> bool:
    """Whether a mask keeps no entry at all, more likely than not."""
    law, kept = _mask(route), sum(tensor.kept * wide(tensor.size) for tensor in route.tensors if tensor.mask)
    return isinstance(law, Density) and exp(-kept) > 1 / 2


def _groups(ends: Ends) -> int:
    """How many groups of components there are, each with units of its own."""
    return 1 if ends.weight is None else ends.weight.groups


def _power(p: float, n: float) -> float:
    """(1 - p)^n."""
    return exp(n * log1p(-p)) if p < 1 else 0.0


def _told(program: Program, route: Route, missed: float, idle: float) -> str:
    assert route.ends is not None
    layer = stated(program, route.node, route)
    if _none(route):
        return f"with this mask, no entry of the feedback of `{layer}` is expected to be kept: it brings no error"
    units = f"units that `{layer}` reads" if route.through else f"units of `{route.site}`"
    if isinstance(_mask(route), PerUnit):
        left = f"{_number(missed)} of the {route.ends.reads} components of the error"
        return f"with this mask, {left} reach none of the {route.ends.writes} {units}"
    if missed >= idle:
        left = f"{_number(missed)} of the {route.ends.reads} components of the error"
        return f"with this mask, {left} are expected to reach none of the {units}"
    return (
        f"with this mask, {_number(idle)} of the {route.ends.writes * _groups(route.ends)} {units} are expected to "
        "receive nothing"
    )


def _number(expected: float) -> str:
    return f"{expected:.0f}" if expected >= 10 else f"{expected:.2g}"


def _remedy(routes: list[Route]) -> str:
    """The smallest mask of the same kind that hardly ever leaves out anything, for all of the routes."""
    ends = [(route.ends.reads // _groups(route.ends), route.ends.writes) for route in routes if route.ends]
    law = _mask(routes[0])
    if isinstance(law, PerUnit):
        least = max(ceil(reads / min(writes, law.rank or writes)) for reads, writes in ends)
        return f"`per_unit: {least}` or more leaves out none"
    density = ceil(100 * max(max(_kept(r, w), _kept(w, r)) for r, w in ends)) / 100
    return f"`density: {density:g}` or more hardly ever leaves out any" if density < 1 else "remove `mask`"


def _kept(of: int, each: int) -> float:
    """The p for which `of` (1 - p)^each is rare enough."""
    return 1 - exp(log(RARE / of) / each) if 0 < each < inf else 1.0
