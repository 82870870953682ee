"""FAC314: what is written and does nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from fac import plugins
from fac.checks.places import by_origin, listed, matrix_of, written_models
from fac.diagnostics import Diagnostic, Edit, Fix, Path, Rule, Severity
from fac.program.ends import ends_of
from fac.program.kinds import Unused
from fac.program.lower import kind_of, lower
from fac.program.program import Program
from fac.program.reading import makes_gradient
from fac.program.tensors import Role, Tensor
from fac.spec.core_schema import DISCRIMINATORS

SETTING_WITHOUT_EFFECT = Rule("FAC314", "setting-without-effect", Severity.WARNING)

FAMILIES = (
    "fac.layers",
    "fac.losses",
    "fac.feedback",
    "fac.learning",
    "fac.rules",
    "fac.updates",
    "fac.probes",
)
"""The groups whose kinds are a `fac.program.kinds.Kind`."""


def setting_without_effect(program: Program) -> Iterator[Diagnostic]:
    """Something is written that changes nothing, because of what is written elsewhere.

    A number that nobody reads looks like a decision. Examples: `nesterov` without `momentum`; the `rate` of Oja's
    rule, or `refresh`, where `learn` says another way; `init_P` beside `init: svd`; `update.feedback`, or a group,
    for arrays that no update rule moves, such as fixed matrices; a group whose arrays later groups decide on; a rate
    beside `trainable: false`; `keep` of as many units as there are; a probe that is there already; `scale: 0`, which
    stops all that learns from the error behind it. Defaults that nobody wrote are not reported.

    Bad:

        update: {rule: sgd, lr: 0.1, nesterov: true}

    Good:

        update: {rule: sgd, lr: 0.1, momentum: 0.9, nesterov: true}
    """
    yield from _fields(program)
    yield from _starts(program)
    yield from _scales(program)
    yield from _shares(program)
    yield from _settings(program)
    yield from _group_fields(program)
    yield from _replaced_decay(program)
    yield from _probes(program)


def _fields(program: Program) -> Iterator[Diagnostic]:
    """What the kinds declare about their own fields."""
    kinds = {kind.spec: kind for group in FAMILIES for kind in plugins.kinds(group)}
    for path, model in written_models(program.spec):
        # The model of `update:` is made of that of its rule and of what all rules share.
        kind = next((kinds[base] for base in type(model).__mro__ if base in kinds), None)
        if kind is None:
            continue
        for found in kind.unused(model, program):
            is_kind = found.field in DISCRIMINATORS
            if is_kind or (found.field in model.model_fields_set and getattr(model, found.field) is not None):
                what = kind.name if is_kind else found.field
                place = (*path, type(model).model_fields[found.field].alias or found.field)
                yield SETTING_WITHOUT_EFFECT.at(
                    place,
                    f"`{what}` has no effect {found.why}",
                    help=found.help,
                    key=not is_kind,
                    fix=_removal(path if is_kind else place) if _may_go(found, path) else None,
                )


def _starts(program: Program) -> Iterator[Diagnostic]:
    """A law for a weight that belongs to another layer, and starts as that says."""
    for node in program.nodes:
        shares = node.weight is not None and node.weight.name in {tensor.name for tensor in node.shared}
        own = getattr(node.layer, "tie", None) is not None and "init" in node.layer.model_fields_set
        if shares and own:
            yield SETTING_WITHOUT_EFFECT.at(
                (*node.origin, "init"),
                f"`init` has no effect beside `tie`: the weight starts as `{node.owner}` says",
                help="remove it",
                key=True,
                fix=_removal((*node.origin, "init")),
            )


def _may_go(found: Unused, path: Path) -> bool:
    """Whether the field, or the item of a list if it is the kind, can be taken out without a thought."""
    if found.field in DISCRIMINATORS and not (path and isinstance(path[-1], int)):
        return False
    return found.help.startswith(("remove it", "remove one of the two"))


def _removal(path: Path) -> Fix:
    return Fix("remove what has no effect", (Edit(path, None),))


def _scales(program: Program) -> Iterator[Diagnostic]:
    for routes in by_origin(r for r in program.routes if r.matrix.scale == 0).values():
        yield SETTING_WITHOUT_EFFECT.at(
            matrix_of(program, routes[0], "scale"),
            f"a `scale` of 0 lets no error through the feedback of {listed(r.node for r in routes)}, "
            "so nothing learns from it",
            help="use another scale, or freeze the layers that should not learn with `trainable: false`",
        )


def _shares(program: Program) -> Iterator[Diagnostic]:
    """`share: false` where no tokens would share a matrix anyway."""
    for routes in by_origin(r for r in program.routes if not r.share).values():
        shared = (r.ends and ends_of(program, replace(r, share=True), r.ends.prefix) for r in routes)
        if all(ends is not None and ends == r.ends for ends, r in zip(shared, routes, strict=True)):
            path: Path = (*routes[0].origin, "share")
            yield SETTING_WITHOUT_EFFECT.at(
                path,
                f"`share` has no effect on the feedback of {listed(r.node for r in routes)}: no tokens share a matrix "
                "there",
                help="remove it",
                key=True,
                fix=_removal(path),
            )


def _settings(program: Program) -> Iterator[Diagnostic]:
    """`update.feedback` and groups that decide on nothing. The last one that matches an array counts."""
    update = program.spec.update
    if not _all_known(program):
        return
    arrays, names = list(_arrays(program)), program.array_names
    if update.feedback is not None and not any(moves and t.role is Role.FEEDBACK for t, moves in arrays):
        yield SETTING_WITHOUT_EFFECT.at(
            ("update", "feedback"),
            "`feedback` has no effect where no feedback matrix learns by an update rule",
            help="remove it, or let a matrix learn, as by `kolen_pollack`; `oja` has a `rate` of its own",
            key=True,
            fix=_removal(("update", "feedback")),
        )
    free = _thawed(program)
    moving = {t.name for t, moves in _arrays(free) if moves}
    parameters = {t.name for node in free.nodes for t in node.tensors}
    later: set[str] = set()
    for index, group in reversed(list(enumerate(update.groups))):
        matched = names.matching(group.match)
        path = "update", "groups", index, "match"
        if matched and not group.trainable and parameters.isdisjoint(matched):
            message = f"`{group.match}` matches no parameter of a layer that `trainable: false` could freeze"
            help = "remove the group; feedback stays as it is by `learn: fixed`"
            yield SETTING_WITHOUT_EFFECT.at(path, message, help=help, fix=_removal(path[:-1]))
        elif matched and moving.isdisjoint(matched):
            message = f"`{group.match}` matches only arrays that no update rule moves"
            help = "remove the group; such arrays are frozen, `fixed`, averages, or taught by `oja`, which has a `rate`"
            yield SETTING_WITHOUT_EFFECT.at(path, message, help=help, fix=_removal(path[:-1]))
        elif matched and later.issuperset(matched):
            message = f"later groups decide on every array that `{group.match}` matches"
            help = "put it behind them, because the last group that matches counts, or remove it"
            yield SETTING_WITHOUT_EFFECT.at(path, message, help=help)
        later.update(matched)


def _thawed(program: Program) -> Program:
    """The same if no group of the update froze anything."""
    update = program.spec.update
    if all(group.trainable for group in update.groups):
        return program
    groups = tuple(group.model_copy(update={"trainable": True}) for group in update.groups)
    return lower(program.spec.model_copy(update={"update": update.model_copy(update={"groups": groups})}))


def _group_fields(program: Program) -> Iterator[Diagnostic]:
    """Fields of groups beside `trainable: false`, and `keep` that keeps everything."""
    for index, group in enumerate(program.spec.update.groups):
        path: Path = ("update", "groups", index)
        if not group.trainable:
            for field in sorted(group.model_fields_set & {"lr_scale", "weight_decay", "use", "keep"}):
                yield SETTING_WITHOUT_EFFECT.at(
                    (*path, field),
                    f"`{field}` has no effect beside `trainable: false`",
                    help="remove it",
                    key=True,
                    fix=_removal((*path, field)),
                )
        elif group.keep is not None and _all_known(program):
            from fac.build.updating import kept_units  # few specs need it

            decided = [t for t in program.arrays if program.grouped.get(t.name) == index]
            if decided and all(kept_units(program, tensor, group) is None for tensor in decided):
                yield SETTING_WITHOUT_EFFECT.at(
                    (*path, "keep"),
                    f"`keep` has no effect where nothing that `{group.match}` matches has more than {group.keep} units",
                    help="remove it, or keep fewer",
                    key=True,
                )


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
            yield tensor, rule is None or _steps(rule)
    for subspace in program.subspaces:
        yield from ((t, _steps(subspace.basis)) for t in subspace.tensors)


def _steps(rule: Any) -> bool:
    return makes_gradient(rule)


def _replaced_decay(program: Program) -> Iterator[Diagnostic]:
    """The weight decay of a rule that a setting uses and, beside it, replaces."""
    update = program.spec.update
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
                fix=_removal((*path, "use", "weight_decay")),
            )


def _probes(program: Program) -> Iterator[Diagnostic]:
    probes = program.spec.probes or ()
    for index, probe in enumerate(probes):
        if probe in probes[:index]:
            name = kind_of("fac.probes", probe).name
            yield SETTING_WITHOUT_EFFECT.at(
                ("probes", index, "kind"),
                f"`{name}` is measured already",
                help="remove one of the two",
                fix=_removal(("probes", index)),
            )
