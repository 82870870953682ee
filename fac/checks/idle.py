"""What settings of the update say and has no effect: part of FAC314."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fac.checks.places import decides, listed
from fac.diagnostics import Diagnostic, Edit, Fix, Path, Rule, Severity
from fac.program.globs import is_glob
from fac.program.lower import kind_of, lower
from fac.program.program import Program
from fac.program.reading import makes_gradient
from fac.program.tensors import Role, Tensor
from fac.spec import updates

SETTING_WITHOUT_EFFECT = Rule("FAC314", "setting-without-effect", Severity.WARNING)


def idle_settings(program: Program) -> Iterator[Diagnostic]:
    """Of `update.feedback` and of groups what decides on nothing, says nothing, or leaves all to another rule."""
    if program.spec.update is None:
        return
    if _all_known(program):
        yield from _deciding(program)
        yield from _keeping(program)
        yield from _leaving(program)
    yield from _beside_frozen(program)
    yield from _replaced_decay(program)


def _deciding(program: Program) -> Iterator[Diagnostic]:
    """Those that decide on nothing. The last one that matches an array counts."""
    update = program.update
    arrays, names = list(_arrays(program)), program.array_names
    if update.feedback is not None and not any(moves and t.role is Role.FEEDBACK for t, moves in arrays):
        yield SETTING_WITHOUT_EFFECT.at(
            ("update", "feedback"),
            "`feedback` has no effect where no feedback matrix learns by an update rule",
            help="remove it, or let a matrix learn, as by `kolen_pollack`; `oja` has a `rate` of its own",
            key=True,
            fix=removal(("update", "feedback")),
        )
    free = unfrozen(program)
    moving = {t.name for t, moves in _arrays(free) if moves}
    parameters = {t.name for node in free.nodes for t in node.tensors}
    later: set[str] = set()
    # as they count: the last one first, and names before globs
    for index, group in sorted(enumerate(update.groups), key=lambda of: (is_glob(of[1].match), -of[0])):
        matched = names.matching(group.match)
        path = "update", "groups", index, "match"
        if matched and not group.trainable and parameters.isdisjoint(matched):
            message = f"`{group.match}` matches no parameter of a layer that `trainable: false` could freeze"
            help = "remove the group; feedback stays as it is by `learn: fixed`"
            yield SETTING_WITHOUT_EFFECT.at(path, message, help=help, fix=removal(path[:-1]))
        elif matched and moving.isdisjoint(matched):
            message = f"`{group.match}` matches only arrays that no update rule moves"
            help = "remove the group; such arrays are frozen, `fixed`, averages, or taught by `oja`, which has a `rate`"
            yield SETTING_WITHOUT_EFFECT.at(path, message, help=help, fix=removal(path[:-1]))
        elif matched and later.issuperset(matched):
            message = f"other groups decide on every array that `{group.match}` matches"
            help = "put it behind them, because the last group that matches counts, names before globs; or remove it"
            yield SETTING_WITHOUT_EFFECT.at(path, message, help=help)
        later.update(matched)


def _keeping(program: Program) -> Iterator[Diagnostic]:
    """`keep` that keeps everything."""
    for index, group in enumerate(program.update.groups):
        if group.trainable and group.keep is not None:
            from fac.build.updating import kept_units  # few specs need it

            decided = [t for t in program.arrays if program.grouped.get(t.name) == index]
            if decided and all(kept_units(program, tensor, group) is None for tensor in decided):
                yield SETTING_WITHOUT_EFFECT.at(
                    ("update", "groups", index, "keep"),
                    f"`keep` has no effect where nothing that `{group.match}` matches has more than {group.keep} units",
                    help="remove it, or keep fewer",
                    key=True,
                )


def _leaving(program: Program) -> Iterator[Diagnostic]:
    """Update rules that leave everything which they are asked to move to another one, as `muon` leaves vectors."""
    from fac.build.updating import handed  # few specs have such a rule

    asked: dict[Path, tuple[updates.Rule, dict[str, updates.Rule]]] = {}
    for tensor in (tensor for tensor, moves in _arrays(program) if moves):
        decided = decides(program, tensor)
        used = decided[1].use if decided else None
        place: Path = (*decided[0], "use") if decided and used else ("update",)
        rules = handed(used or program.update, program, tensor)
        for rule, other in zip(rules, (*rules[1:], None), strict=True):
            asked.setdefault(place, (rule, {}))[1][tensor.name] = rules[-1]
            place = (*place, next((f for f in type(rule).model_fields if getattr(rule, f) is other), ""))
    for place, (rule, moving) in asked.items():
        if all(other is not rule for other in moving.values()):
            others = listed(dict.fromkeys(kind_of("fac.updates", other).name for other in moving.values()))
            yield SETTING_WITHOUT_EFFECT.at(
                (*place, "rule"),
                f"`{kind_of('fac.updates', rule).name}` has no effect: it leaves {listed(moving)} to {others}",
                help=f"write {others}, or match weights in front of which an error crosses another weight",
            )


def _beside_frozen(program: Program) -> Iterator[Diagnostic]:
    """What groups say beside `trainable: false`."""
    for index, group in enumerate(program.update.groups):
        path: Path = ("update", "groups", index)
        if not group.trainable:
            for field in sorted(group.model_fields_set & {"lr_scale", "weight_decay", "use", "keep"}):
                yield SETTING_WITHOUT_EFFECT.at(
                    (*path, field),
                    f"`{field}` has no effect beside `trainable: false`",
                    help="remove it",
                    key=True,
                    fix=removal((*path, field)),
                )


def _replaced_decay(program: Program) -> Iterator[Diagnostic]:
    """The weight decay of a rule that a setting uses and, beside it, replaces."""
    update = program.update
    for path, setting in (
        (("update", "feedback"), update.feedback),
        *((("update", "groups", i), group) for i, group in enumerate(update.groups)),
    ):
        if setting is None or setting.use is None or setting.weight_decay is None:
            continue
        if "weight_decay" in setting.use.model_fields_set:
            yield SETTING_WITHOUT_EFFECT.at(
                (*path, "use", "weight_decay"),
                "`weight_decay` has no effect beside the `weight_decay` that stands next to `use`",
                help="remove one of the two",
                key=True,
                fix=removal((*path, "use", "weight_decay")),
            )


def undrawn(program: Program) -> Iterator[Diagnostic]:
    """A seed of the data by which nothing is drawn."""
    data = program.spec.data
    drawn = any(getattr(data, share, None) is not None for share in ("validation", "test_share"))
    if data is not None and "split_seed" in data.model_fields_set and not drawn:
        yield SETTING_WITHOUT_EFFECT.at(
            ("data", "split_seed"),
            "`split_seed` has no effect where no samples are held out",
            help="remove it, or write `validation: 0.1`",
            key=True,
            fix=removal(("data", "split_seed")),
        )


def unfrozen(program: Program) -> Program:
    """The same if no group of the update froze anything."""
    if all(group.trainable for group in program.groups):
        return program
    groups = tuple(group.model_copy(update={"trainable": True}) for group in program.groups)
    update = program.update.model_copy(update={"groups": groups})
    return lower(program.spec.model_copy(update={"update": update}))


def _all_known(program: Program) -> bool:
    """Whether every array has its name: what is missing may be what a group is meant for."""
    return (
        all(node.shape is not None for node in program.nodes)
        and all(subspace.tensors for subspace in program.subspaces)
        and all(
            r.ends and not kind_of("fac.feedback", r.matrix).misfit(r.matrix, r.ends) for r in program.routes
        )
    )


def _arrays(program: Program) -> Iterator[tuple[Tensor, bool]]:
    """Every array, and whether an update rule may move it."""
    for node in program.nodes:
        yield from ((t, t.trainable) for t in node.tensors)
    for route in program.routes:
        learning = kind_of("fac.feedback", route.matrix).learning(route.matrix)
        for tensor in route.tensors:
            rule = learning.get(tensor.part)
            yield tensor, tensor.trainable and (rule is None or _steps(rule))
    for subspace in program.subspaces:
        yield from ((t, _steps(subspace.basis)) for t in subspace.tensors)


def _steps(rule: Any) -> bool:
    return makes_gradient(rule)


def removal(path: Path) -> Fix:
    """The fix that takes out what has no effect."""
    return Fix("remove what has no effect", (Edit(path, None),))
