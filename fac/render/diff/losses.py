"""The losses: by name where there are several, by what they say where there is one."""

from __future__ import annotations

from collections.abc import Iterator

from fac.program.lower import kind_of
from fac.program.program import Objective, Program
from fac.render.diff.align import Alignment
from fac.render.diff.difference import Change, Item, Subject
from fac.render.diff.models import described, differing
from fac.spec.layers import Loss


def losses(old: Program, new: Program, alignment: Alignment) -> Iterator[Item]:
    """What is minimised."""
    before = {alignment.called(o.name) if o.name == o.of else o.name: o for o in old.losses}
    after = {o.name: o for o in new.losses}
    if len(before) == len(after) == 1:
        before = dict(zip(after, before.values(), strict=True))
    # One that has another name now is the one of the same layer, if there is no doubt.
    for name, objective in list(before.items()):
        of = alignment.called(objective.of)
        others = [n for n, o in after.items() if o.of == of and n not in before]
        if name not in after and len(others) == 1:
            before[others[0]] = before.pop(name)
    for name, objective in after.items():
        if name not in before:
            yield Item(None, _subject(new, objective), tuple(_whole(objective, added=True)))
            continue
        changes = tuple(_changes(before[name], objective, (old, new), alignment))
        if changes:
            yield Item(_subject(old, before[name]), _subject(new, objective), changes)
    for name, objective in before.items():
        if name not in after:
            yield Item(_subject(old, objective), None, tuple(_whole(objective, added=False)))


def _subject(program: Program, objective: Objective) -> Subject:
    return Subject.of(section="loss") if len(program.losses) == 1 else Subject.of(loss=objective.name)


def _own(objective: Objective) -> Loss:
    """The loss without what says which layer it reads and how much it counts."""
    spec = kind_of("fac.losses", objective.loss).spec
    fields = objective.loss.model_fields_set & spec.model_fields.keys()
    found: Loss = spec(**{name: getattr(objective.loss, name) for name in fields})
    return found


def _whole(objective: Objective, added: bool) -> Iterator[Change]:
    said = {**described(_own(objective)), "of": objective.of}
    if objective.scale != 1:
        said["scale"] = objective.scale
    yield Change("kind", None, said) if added else Change("kind", said, None)


def _changes(
    before: Objective, after: Objective, programs: tuple[Program, Program], alignment: Alignment
) -> Iterator[Change]:
    yield from differing(_own(before), _own(after), programs)
    if alignment.called(before.of) != after.of:
        yield Change("of", before.of, after.of)
    if before.scale != after.scale:
        yield Change("scale", before.scale, after.scale)
    if before.target != after.target:
        yield Change("target", before.target, after.target)
