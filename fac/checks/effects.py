"""FAC314: what is written and does nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from fac import plugins
from fac.checks.anchors import ANCHOR
from fac.checks.idle import SETTING_WITHOUT_EFFECT, idle_settings, removal, undrawn
from fac.checks.lengths import never_due
from fac.checks.masks import keeps_all
from fac.checks.places import by_origin, fed, listed, matrix_of, written_models
from fac.diagnostics import Diagnostic, Path
from fac.program.ends import ends_of
from fac.program.kinds import Unused
from fac.program.lower import kind_of
from fac.program.program import Program
from fac.spec.core_schema import DISCRIMINATORS

FAMILIES = (
    "fac.layers",
    "fac.losses",
    "fac.feedback",
    "fac.learning",
    "fac.rules",
    "fac.updates",
    "fac.schedules",
    "fac.solve",
    "fac.probes",
)
"""The groups whose kinds are a `fac.program.kinds.Kind`."""


def setting_without_effect(program: Program) -> Iterator[Diagnostic]:
    """Something is written that changes nothing, because of what is written elsewhere.

    A number that nobody reads looks like a decision. Examples: `nesterov` without `momentum`; the `rate` of Oja's
    rule, or `refresh`, where `learn` says another way; `init_P` beside `init: svd`; `update.feedback`, or a group,
    for arrays that no update rule moves, such as fixed matrices; a group whose arrays other groups decide on; a rate
    beside `trainable: false`; `keep` of as many units as there are; `muon` for vectors, which it leaves to another
    rule; a probe that is there already; `scale: 0`, which stops all that learns from the error behind it; an anchor, or
    a `refresh`, that would come after the last step. Defaults that nobody wrote are not reported.

    Bad:

        update: {rule: sgd, lr: 0.1, nesterov: true}

    Good:

        update: {rule: sgd, lr: 0.1, momentum: 0.9, nesterov: true}
    """
    yield from _fields(program)
    yield from _starts(program)
    yield from _scales(program)
    yield from _shares(program)
    yield from idle_settings(program)
    yield from never_due(program)
    yield from undrawn(program)
    yield from keeps_all(program)
    yield from _probes(program)


def _fields(program: Program) -> Iterator[Diagnostic]:
    """What the kinds declare about their own fields."""
    kinds = {kind.spec: kind for group in FAMILIES for kind in plugins.kinds(group)}
    for path, model in written_models(program.spec):
        # The model of `update:` is made of that of its rule and of what all rules share.
        kind = next((kinds[base] for base in type(model).__mro__ if base in kinds), None)
        # The rule of anchors is judged in the program of their steps.
        if kind is None or path[: len(ANCHOR)] == ANCHOR:
            continue
        for found in kind.unused(model, program):
            is_kind = found.field in DISCRIMINATORS
            value: Any = getattr(model, found.field, None)
            if is_kind or (found.field in model.model_fields_set and value is not None):
                what = kind.name if is_kind else found.field
                place: Path = (*path, type(model).model_fields[found.field].alias or found.field)
                if found.item is not None:
                    what, place = value[found.item], (*place, found.item)
                yield SETTING_WITHOUT_EFFECT.at(
                    place,
                    f"`{what}` has no effect {found.why}",
                    help=found.help,
                    key=not is_kind and found.item is None,
                    supposes=found.supposes,
                    fix=removal(path if is_kind else place) if _may_go(found, path) else None,
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
                fix=removal((*node.origin, "init")),
            )


def _may_go(found: Unused, path: Path) -> bool:
    """Whether the field, or the item of a list if it is the kind, can be taken out without a thought."""
    if found.field in DISCRIMINATORS and not (path and isinstance(path[-1], int)):
        return False
    return found.help.startswith(("remove it", "remove one of the two"))


def _scales(program: Program) -> Iterator[Diagnostic]:
    for routes in by_origin(r for r in program.routes if r.matrix.scale == 0).values():
        yield SETTING_WITHOUT_EFFECT.at(
            matrix_of(program, routes[0], "scale"),
            f"a `scale` of 0 lets no error through the feedback of {listed(fed(program, routes))}, "
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
                fix=removal(path),
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
                fix=removal(("probes", index)),
            )
