"""How parameters move, on which data, for how long; what is measured, and what is demanded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from fac.build.updating import Plan, plan
from fac.program.declared import probes_of
from fac.program.program import Program
from fac.render.diff.difference import Change, Item, Plain, Subject
from fac.render.diff.models import described, differing, plain
from fac.render.diff.side import Side
from fac.spec.base import Model
from fac.spec.constraints import Bound, Constraints, MemoryBound, tightens
from fac.spec.schedules import Epochs, schedule_of
from fac.spec.updates import Update

RATE = "lr"


def update(old: Side, new: Side, tensors: Mapping[str, str]) -> Iterator[Item]:
    """The main rule, and the parameters to which something else happens than to it.

    Args:
        old: the program before.
        new: the program after.
        tensors: new names of tensors by old names.
    """
    programs = old.program, new.program
    if old.program.spec.solve is not None or new.program.spec.solve is not None:
        yield from _families(*programs)
        return
    mains = _main(old.program.update), _main(new.program.update)
    main = tuple(_plans(*mains, programs))
    changes = (*main, *_shared(old.program, new.program))
    whole = Subject.of(section="update")
    if changes:
        yield Item(whole, whole, changes)
    before = {tensors[t.name]: t for t in old.tensors if t.name in tensors and old.lineage.moved(t)}
    for tensor in new.tensors:
        if not new.lineage.moved(tensor):
            continue
        own = plan(new.program, tensor)
        subject = Subject.of(parameter=tensor.name)
        was = before.get(tensor.name)
        if was is None:
            # A parameter that did not move before: what sets it apart from the others.
            apart = tuple(_plans(mains[1], own, (new.program, new.program)))
            if apart:
                yield Item(None, subject, tuple(Change(c.field, None, c.new) for c in apart))
            continue
        found = tuple(_plans(plan(old.program, was), own, programs))
        if found != main:
            yield Item(Subject.of(parameter=was.name), subject, found, "" if found else "as before")
    kept = {before[t.name].name for t in new.tensors if t.name in before and new.lineage.moved(t)}
    for tensor in old.tensors:
        if old.lineage.moved(tensor) and tensor.name not in kept:
            apart = tuple(_plans(mains[0], plan(old.program, tensor), (old.program, old.program)))
            if apart:
                gone = tuple(Change(c.field, c.new, None) for c in apart)
                yield Item(Subject.of(parameter=tensor.name), None, gone)


def _families(old: Program, new: Program) -> Iterator[Item]:
    """What is solved, or moved by steps, where at least one of the two is solved."""
    was, now = (program.spec.solve or program.update for program in (old, new))
    before, after = ("update" if program.spec.solve is None else "solve" for program in (old, new))
    changes = tuple(differing(was, now, (old, new)))
    if changes:
        yield Item(Subject.of(section=before), Subject.of(section=after), changes)


def _main(update: Update) -> Plan:
    return Plan(update, 1.0)


def _plans(old: Plan, new: Plan, programs: tuple[Program, Program]) -> Iterator[Change]:
    """What differs in how two parameters move."""
    yield from differing(old.bare, new.bare, programs, (RATE,))
    before, after = (program.update.lr for program in programs)
    if old.lr_ratio == new.lr_ratio == 1:
        rates = before, after
    else:
        # A ratio and a product round; what is left is what people wrote.
        rates = float(f"{old.lr_ratio * before:.14g}"), float(f"{new.lr_ratio * after:.14g}")
    if rates[0] != rates[1]:
        yield Change(RATE, *rates)
    if old.keep != new.keep:
        yield Change("keep", old.keep, new.keep)


def _shared(old: Program, new: Program) -> Iterator[Change]:
    """Schedule and limits, which are the same for all parameters."""
    was, now = (_schedule(p.update) for p in (old, new))
    yield from differing(was, now, (old, new), whole="schedule", prefix="schedule.")
    before, after = old.update.clip, new.update.clip
    if plain(before) != plain(after):
        yield Change("clip", *(None if clip is None else described(clip) for clip in (before, after)))


def _schedule(update: Update) -> Model:
    schedule = schedule_of(update.schedule)
    return schedule.model_copy(update={"warmup": 0}) if schedule.warmup == Epochs(epochs=0) else schedule


def training(old: Program, new: Program) -> Iterator[Item]:
    """Data, epochs, batch and seed."""
    was, now = old.spec.data, new.spec.data
    if was is None or now is None:
        changes: tuple[Change, ...] = ()
        if was is not now:
            changes = (Change("source", *(None if data is None else described(data) for data in (was, now))),)
    else:
        changes = tuple(differing(was, now, (old, new)))
    if changes:
        subject = Subject.of(section="data")
        yield Item(subject, subject, changes)
    changes = tuple(differing(old.spec.train, new.spec.train, (old, new)))
    if changes:
        subject = Subject.of(section="train")
        yield Item(subject, subject, changes)


def probes(old: Program, new: Program) -> Iterator[Item]:
    """Measurements that were added, removed or changed. What applies by default follows from the routes."""
    if old.spec.probes is None and new.spec.probes is None:
        return
    was, now = _probes(old), _probes(new)
    for name in dict.fromkeys((*was, *now)):
        subject = Subject.of(probe=name)
        if name not in now:
            yield Item(subject, None, _settings(was[name], old=True))
        elif name not in was:
            yield Item(None, subject, _settings(now[name], old=False))
        elif changes := tuple(differing(was[name], now[name], (old, new))):
            yield Item(subject, subject, changes)


def _settings(probe: Model, *, old: bool) -> tuple[Change, ...]:
    facts = list(described(probe).items())[1:]
    return tuple(Change(key, value if old else None, None if old else value) for key, value in facts)


def _probes(program: Program) -> dict[str, Model]:
    """Those that measure anything, by name; a second one of a kind has a number."""
    found: dict[str, Model] = {}
    counts = Counter[str]()
    for kind, spec in probes_of(program):
        if any(unused.field == "kind" for unused in kind.unused(spec, program)):
            continue
        counts[kind.name] += 1
        found[kind.name if counts[kind.name] == 1 else f"{kind.name} {counts[kind.name]}"] = spec
    return found


def constraints(old: Constraints, new: Constraints) -> Iterator[Item]:
    """What is demanded, and whether more or less of it."""
    for name, field in Constraints.model_fields.items():
        was, now = (_demand(getattr(model, name)) for model in (old, new))
        if was is None and now is None:
            continue
        tighter = now is not None and (was is None or tightens(now, was))
        looser = was is not None and (now is None or tightens(was, now))
        if tighter and looser:
            continue
        subject = Subject.of(constraint=field.alias or name)
        note = "tightened" if tighter else "loosened" if looser else ""
        change = Change("value", _limit(was), _limit(now))
        yield Item(
            subject if was is not None else None, subject if now is not None else None, (change,), note
        )


def _demand(value: Any) -> Any:
    """A constraint that is set, or None."""
    return None if value is False else value


def _limit(value: Any) -> Plain:
    return value.at_most if isinstance(value, Bound | MemoryBound) else plain(value)
