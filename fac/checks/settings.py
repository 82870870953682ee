"""FAC208, FAC210: settings of the update for some parameters."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from fac.checks.places import Guess, excluded
from fac.diagnostics import Diagnostic, Path, Rule
from fac.program.adapters import able, without
from fac.program.globs import Names
from fac.program.lower import kind_of
from fac.program.program import Program
from fac.spec.updates import Setting

GROUP_MATCHES_NOTHING = Rule("FAC208", "group-matches-nothing")
NO_WEIGHT_DECAY_FIELD = Rule("FAC210", "no-weight-decay-field")


def group_matches_nothing(program: Program) -> Iterator[Diagnostic]:
    """A group of `update.groups` names no parameter, or one of `adapters` no layer.

    `match` is a glob of array names: `fc1.weight`, `*.bias`, `*.feedback.P`. It is compared with the whole name, so
    `fc1` alone matches nothing. The setting of such a group would be dropped without a word, and the arrays that
    were meant would move by the main rule. `match` of `adapters` is a glob of names of layers, of those that can have
    an adapter: in blocks their full names, `encoder.0.fc1`.

    Bad:

        update: {rule: sgd, lr: 0.1, groups: [{match: fc1, lr_scale: 0.1}]}

    Good:

        update: {rule: sgd, lr: 0.1, groups: [{match: "fc1.*", lr_scale: 0.1}]}
    """
    yield from _adapters(program)
    if any(node.shape is None for node in program.nodes):
        return
    names = [tensor.name for tensor in program.arrays]
    known, guess = program.array_names, Guess()
    bases = {short: name for name, short in without(program.adapted, names).items() if short != name}
    plain = Names(bases)
    for index, group in enumerate(program.update.groups):
        if known.matching(group.match):
            continue
        below = known.matching(f"{group.match}.*")
        help = f'did you mean `"{group.match}.*"`?' if below else excluded(group.match, names, "arrays")
        if of_base := plain.matching(group.match):
            help = f"beside an adapter it is called `{bases[of_base[0]]}`"
        yield GROUP_MATCHES_NOTHING.at(
            ("update", "groups", index, "match"),
            f"no parameter matches `{group.match}`",
            help=help or guess(group.match, names) or "names are those of arrays, such as `fc1.weight`",
        )


def _adapters(program: Program) -> Iterator[Diagnostic]:
    """Groups of `adapters`, of layers as they were called before they had any."""
    if not program.spec.adapters:
        return
    parts = {part for layer in program.adapted for part in (layer.base, layer.down, layer.up)}
    names = [layer.name for layer in program.adapted]
    names += [name for name in able(program.nodes, partial(kind_of, "fac.layers")) if name not in parts]
    known, guess = Names(names), Guess()
    for index, group in enumerate(program.spec.adapters):
        if not known.matching(group.match):
            yield GROUP_MATCHES_NOTHING.at(
                ("adapters", index, "match"),
                f"no layer that can have an adapter matches `{group.match}`",
                help=excluded(group.match, names, "layers")
                or guess(group.match, names)
                or "names are those of layers with a weight, such as `fc1`",
            )


def no_weight_decay_field(program: Program) -> Iterator[Diagnostic]:
    """A setting gives a weight decay to an update rule that has none.

    `weight_decay` in `update.feedback` or in a group replaces that of the rule in use. The rules that ship all have
    one; a rule of a plug-in need not, and would ignore the number.

    Bad, where a plug-in brings a rule `plain` without weight decay:

        update: {rule: sgd, lr: 0.1, groups: [{match: "*", use: {rule: plain, lr: 0.1}, weight_decay: 0.01}]}

    Good:

        update: {rule: sgd, lr: 0.1, groups: [{match: "*", use: {rule: sgd, lr: 0.1}, weight_decay: 0.01}]}
    """
    update = program.update
    settings: list[tuple[Path, Setting]] = [(("update", "groups", i), g) for i, g in enumerate(update.groups)]
    if update.feedback is not None:
        settings.append((("update", "feedback"), update.feedback))
    for path, setting in settings:
        rule = setting.use or update
        if setting.weight_decay is not None and "weight_decay" not in type(rule).model_fields:
            yield NO_WEIGHT_DECAY_FIELD.at(
                (*path, "weight_decay"),
                f"the update rule `{kind_of('fac.updates', rule).name}` has no weight decay",
                help="remove it, or `use` a rule that has one",
                key=True,
            )
