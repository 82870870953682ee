"""Which error reaches which layer, and through what."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from fac.program.program import Program, Route, Subspace
from fac.program.site import site_of
from fac.render.diff.align import GONE, Alignment
from fac.render.diff.difference import OTHER_STATE, Change, Item, Plain, Subject, Transport
from fac.render.diff.models import described, differing, laws
from fac.render.diff.side import Hop, Side, Source

RoutePairs = list[tuple[Route | None, Route | None]]
SubspacePairs = Sequence[tuple[Subspace, Subspace]]
Renamed = Callable[[str], str]
"""From what the old spec calls an error source to what the new one does."""


def renaming(alignment: Alignment, subspaces: SubspacePairs, old: Program) -> Renamed:
    """How error sources are called now."""
    names = {before.name: after.name for before, after in subspaces}

    def renamed(source: str) -> str:
        if source in old.subspace:
            return names.get(source, f"{GONE}{source}")
        return alignment.called(source)

    return renamed


def transport(old: Side, new: Side, alignment: Alignment) -> Transport:
    """Where errors depend on forward weights."""
    before, after = old.transporting, new.transporting
    known, left = {alignment.called(name) for name in before}, set(after)
    return Transport(
        before,
        after,
        tuple(name for name in after if name not in known),
        tuple(name for name in before if alignment.called(name) not in left),
    )


def errors(old: Side, new: Side, alignment: Alignment, renamed: Renamed) -> Iterator[Item]:
    """Layers that learn from other errors than before, and joins that these name and whose errors are others."""
    for node in alignment.removed:
        if sources := old.sources(node):
            yield Item(Subject.of(layer=node.name), None, (Change("error", _listed(sources), ()),))
    before = {after.name: node for node, after in alignment.pairs}
    named = {*map(alignment.called, old.unopened), *new.unopened}
    for node in new.program.nodes:
        if node.name not in before:
            if sources := new.sources(node):
                yield Item(None, Subject.of(layer=node.name), (Change("error", (), _listed(sources)),))
            continue
        known = before[node.name]
        was, now = old.sources(known), new.sources(node)
        if node.name in named and not (was or now):
            was, now = old.passing(known.name), new.passing(node.name)
        if Counter(tuple(Hop(renamed(hop.name), hop.by) for hop in s) for s in was) != Counter(now):
            change = Change("error", _listed(was), _listed(now))
            yield Item(Subject.of(layer=known.name), Subject.of(layer=node.name), (change,))


def _listed(sources: Iterable[Source]) -> tuple[Plain, ...]:
    return tuple(_way(source) for source in sources)


def _way(source: Source) -> Plain:
    first, *above = ({"from": hop.name, "by": hop.by} for hop in source)
    return {**first, "above": tuple(above)} if above else first


def trainable(alignment: Alignment) -> Iterator[Item]:
    """Layers that became frozen or trainable."""
    for old, new in alignment.pairs:
        if old.trainable != new.trainable and (old.tensors or new.tensors):
            change = Change("trainable", old.trainable, new.trainable)
            note = "learns now" if new.trainable else "frozen now"
            yield Item(Subject.of(layer=old.name), Subject.of(layer=new.name), (change,), note)


# -- routes ------------------------------------------------------------------------------------------------------


def route_pairs(old: Side, new: Side, renamed: Renamed) -> RoutePairs:
    """Which old route is which new one: of one kind at one layer, with the same source if there is one."""
    waiting: dict[tuple[object, ...], list[Route]] = defaultdict(list)
    for route in old.routes:
        waiting[route.through, renamed(route.node), renamed(route.source)].append(route)
    partner: dict[int, Route] = {}
    for route in new.routes:
        if same := waiting[route.through, route.node, route.source]:
            partner[id(route)] = same.pop(0)
    left: dict[tuple[object, ...], list[Route]] = defaultdict(list)
    kept = set(map(id, partner.values()))
    for route in old.routes:
        if id(route) not in kept:
            left[route.through, renamed(route.node)].append(route)
    for route in new.routes:
        if id(route) not in partner and left[route.through, route.node]:
            partner[id(route)] = left[route.through, route.node].pop(0)
    kept = set(map(id, partner.values()))
    found: RoutePairs = [(route, None) for route in old.routes if id(route) not in kept]
    return found + [(partner.get(id(route)), route) for route in new.routes]


def routes(old: Side, new: Side, pairs: RoutePairs, renamed: Renamed) -> Iterator[Item]:
    """Routes that were added, cut or changed."""
    several = _crowded(old.routes), _crowded(new.routes)
    kept = frozenset(map(renamed, old.program.by_name)).intersection(new.program.by_name)
    for before, after in pairs:
        if before is None and after is not None:
            facts = tuple(Change(key, None, value) for key, value in _facts(new.program, after))
            yield Item(None, _subject(after, several[1]), facts)
        elif after is None and before is not None:
            facts = tuple(Change(key, value, None) for key, value in _facts(old.program, before))
            yield Item(_subject(before, several[0]), None, facts)
        elif before is not None and after is not None:
            changes = tuple(_changes(old.program, new.program, before, after, renamed, kept))
            if changes:
                yield Item(_subject(before, several[0]), _subject(after, several[1]), changes)


def _crowded(routes: Iterable[Route]) -> frozenset[str]:
    """Layers with more than one `to` route."""
    counts = Counter(route.node for route in routes if not route.through)
    return frozenset(name for name, times in counts.items() if times > 1)


def _subject(route: Route, crowded: frozenset[str]) -> Subject:
    if route.through:
        return Subject.of(through=route.node)
    return Subject.of(to=route.node, **({"from_": route.source} if route.node in crowded else {}))


def _facts(program: Program, route: Route) -> Iterator[tuple[str, Plain]]:
    if not route.through:
        yield "from", route.source
    if (at := _at(program, route)) is not None:
        yield "at", at
    if route.add:
        yield "combine", "add"
    if not route.share:
        yield "share", False
    if route.sums:
        yield "error_scale", "sum"
    if route.signs:
        yield "signs", True
    yield "matrix", described(route.matrix)


def _at(program: Program, route: Route) -> str | None:
    """Where the error enters, if not at the layer's own site."""
    return None if route.through or route.site == site_of(program, route.node) else route.site


def _changes(
    old: Program, new: Program, before: Route, after: Route, renamed: Renamed, kept: frozenset[str]
) -> Iterator[Change]:
    """What differs between two routes; `kept` are the layers, by their new names, that both networks have."""
    if not after.through and renamed(before.source) != after.source:
        yield Change("from", before.source, after.source)
    was, now = _at(old, before), _at(new, after)
    if (None if was is None else renamed(was)) != now:
        yield Change("at", was, now)
    elif was is None and before.site and after.site and _moved(renamed(before.site), after.site, kept):
        yield Change("site", before.site, after.site)
    if before.add != after.add:
        yield Change("combine", *("add" if add else "replace" for add in (before.add, after.add)))
    if before.share != after.share:
        yield Change("share", before.share, after.share)
    if before.sums != after.sums:
        yield Change("error_scale", *("sum" if sums else "mean" for sums in (before.sums, after.sums)))
    if before.signs != after.signs:
        yield Change("signs", before.signs, after.signs)
    yield from differing(before.matrix, after.matrix, (old, new), whole="matrix")
    yield from laws(before.matrix, after.matrix, before.tensors, after.tensors)


def _moved(before: str, after: str, kept: frozenset[str]) -> bool:
    """Whether a layer is fed elsewhere; not if it is behind one that a network lacks, which the layers say."""
    return before != after and before in kept and after in kept


def subspaces(old: Side, new: Side, pairs: SubspacePairs, alignment: Alignment) -> Iterator[Item]:
    """Subspaces that were added, removed, changed or renamed."""
    kept = {before.name for before, _ in pairs}
    was = {after.name: before for before, after in pairs}
    for subspace in old.subspaces:
        if subspace.name not in kept:
            facts = tuple(Change(key, value, None) for key, value in _reading(subspace))
            yield Item(Subject.of(subspace=subspace.name), None, facts)
    for subspace in new.subspaces:
        before = was.get(subspace.name)
        if before is None:
            yield _new(subspace)
            continue
        changes: list[Change] = []
        if alignment.called(before.of) != subspace.of:
            changes.append(Change("of", before.of, subspace.of))
        if before.rank != subspace.rank:
            changes.append(Change("rank", before.rank, subspace.rank))
        changes += differing(
            before.basis, subspace.basis, (old.program, new.program), whole="basis", prefix="basis."
        )
        if changes or before.name != subspace.name:
            note = "" if changes else OTHER_STATE
            yield Item(
                Subject.of(subspace=before.name), Subject.of(subspace=subspace.name), tuple(changes), note
            )


def every_subspace(side: Side) -> Iterator[Item]:
    """All of a spec, as added."""
    return map(_new, side.subspaces)


def _new(subspace: Subspace) -> Item:
    facts = tuple(Change(key, None, value) for key, value in _reading(subspace))
    return Item(None, Subject.of(subspace=subspace.name), facts)


def _reading(subspace: Subspace) -> Iterator[tuple[str, Plain]]:
    yield from (("of", subspace.of), ("rank", subspace.rank), ("basis", described(subspace.basis)))
