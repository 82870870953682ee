"""FAC211, FAC217, FAC218: learning rates, decays and moments that cannot be meant."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt

from fac.checks.lengths import steps_of
from fac.diagnostics import Diagnostic, Path, Rule, Severity
from fac.program.lower import kind_of
from fac.program.program import Program
from fac.spec import updates
from fac.spec.schedules import Epochs, schedule_of

SCHEDULE_NEVER_FALLS = Rule("FAC211", "schedule-never-falls", Severity.WARNING)
WEIGHT_DECAY_ERASES = Rule("FAC217", "weight-decay-erases", Severity.WARNING)
ADAM_BETAS_SWAPPED = Rule("FAC218", "adam-betas-swapped", Severity.WARNING)


def schedule_never_falls(program: Program) -> Iterator[Diagnostic]:
    """The learning rate never falls, or never rises to its full value, within the epochs of the training.

    A `step` schedule falls every `every` epochs: if the training is over before, or `gamma` is 1, it is a constant.
    So is a `cosine` whose `floor` is 1. A warm-up that lasts longer than the training ends it at a fraction of the
    learning rate that is written; one in steps is judged where the number of samples is known. Such a schedule is
    mostly left over from a longer training. Nothing is said of a spec that has neither `train: {epochs: ...}` nor
    `data:`, because then others decide how long it trains.

    Bad:

        update: {rule: sgd, lr: 0.1, schedule: {kind: step, every: 30}}
        train: {epochs: 20}

    Good:

        update: {rule: sgd, lr: 0.1, schedule: {kind: step, every: 8}}
        train: {epochs: 20}
    """
    epochs = program.spec.epochs
    if epochs is None:
        return
    schedule = schedule_of(program.update.schedule)
    path: Path = ("update", "schedule")
    if isinstance(schedule.warmup, Epochs) and schedule.warmup.epochs > epochs:
        share = epochs / schedule.warmup.epochs
        yield SCHEDULE_NEVER_FALLS.at(
            (*path, "warmup", "epochs"),
            f"the warm-up is longer than the {_epochs(epochs)} of training, which end at {share:.0%} of `lr`",
            help=f"warm up for fewer epochs than `train.epochs`, which is {epochs}",
        )
    elif isinstance(schedule.warmup, int) and (steps := steps_of(program)) and schedule.warmup > steps:
        yield SCHEDULE_NEVER_FALLS.at(
            (*path, "warmup"),
            f"the warm-up is longer than the {steps} steps of training, which end at {steps / schedule.warmup:.0%} of "
            "`lr`",
            help=f"warm up for fewer steps, or write `warmup: {{epochs: ...}}`; `train.epochs` is {epochs}",
        )
    elif flat := kind_of("fac.schedules", schedule).never_falls(schedule, epochs):
        yield SCHEDULE_NEVER_FALLS.at((*path, flat.field), flat.why, help=flat.help)


def _epochs(count: int) -> str:
    return "1 epoch" if count == 1 else f"{count} epochs"


def weight_decay_erases(program: Program) -> Iterator[Diagnostic]:
    """One step of weight decay takes away the whole weight, or more.

    Each step (with momentum the first one) multiplies a weight by 1 - lr * weight_decay before it learns anything. At
    lr * weight_decay = 1 nothing of it is left, and above that its sign flips. Values that work are a thousand times
    smaller.
    For `adamw` the decay is multiplied by the learning rate as well (arXiv 1711.05101), so it is larger than that
    of other programs, but never this large. L2 decay in `adam` passes through the moments and is not judged here.

    Bad:

        update: {rule: sgd, lr: 0.1, weight_decay: 20.0}

    Good:

        update: {rule: sgd, lr: 0.1, weight_decay: 0.0005}

    See arXiv 1711.05101.
    """
    for path, rule, lr in _rules(program):
        kind = kind_of("fac.updates", rule)
        decay = kind.decay(rule)
        if lr * decay >= 1:
            left = 1 - lr * decay
            # Momentum carries what the first step took on into the next ones.
            descent = kind.descent(rule)
            which = "the first" if descent is not None and descent.momentum else "every"
            yield WEIGHT_DECAY_ERASES.at(
                path,
                f"{which} step multiplies a weight by 1 - {lr:g} * {decay:g} = {left:g}",
                help=f"use a weight decay far below {1 / lr:g}",
            )


def _rules(program: Program) -> Iterator[tuple[Path, updates.Rule, float]]:
    """Each rule with its decay resolved, the place of the decay (or of what else decides), and its learning rate."""
    update = program.update
    settings: list[tuple[Path, updates.Setting]] = [
        (("update", "groups", index), group) for index, group in enumerate(update.groups)
    ]
    if update.feedback is not None:
        settings.insert(0, (("update", "feedback"), update.feedback))
    yield (
        (*("update", "weight_decay" if "weight_decay" in update.model_fields_set else "lr"),),
        update,
        update.lr,
    )
    for base, setting in settings:
        rule = setting.use or update
        lr = setting.lr_scale * rule.lr
        if setting.weight_decay is not None:
            yield (*base, "weight_decay"), rule.model_copy(update={"weight_decay": setting.weight_decay}), lr
        elif setting.use is not None:
            written = "weight_decay" in setting.use.model_fields_set
            yield (*base, "use", "weight_decay" if written else "lr"), rule, lr
        elif setting.lr_scale > 1:
            yield (*base, "lr_scale"), rule, lr


def adam_betas_swapped(program: Program) -> Iterator[Diagnostic]:
    """The mean of Adam remembers longer than the spread by which it is divided.

    Adam divides a running mean of gradients (`beta1`) by the root of a running mean of their squares (`beta2`). The
    mean has to be the quicker of the two: its analysis wants beta1^2 < sqrt(beta2). Otherwise a large gradient has
    left the denominator while it still moves the weight, and single batches throw the weights far away. The two
    numbers are easily written in the wrong order.

    Bad:

        update: {rule: adam, lr: 0.001, beta1: 0.999, beta2: 0.9}

    Good:

        update: {rule: adam, lr: 0.001, beta1: 0.9, beta2: 0.999}

    See arXiv 1412.6980.
    """
    update = program.update
    found: list[tuple[Path, updates.Rule]] = [(("update",), update)]
    found += [(("update", "groups", i, "use"), g.use) for i, g in enumerate(update.groups) if g.use]
    if update.feedback is not None and update.feedback.use is not None:
        found.append((("update", "feedback", "use"), update.feedback.use))
    for path, rule in found:
        moments = kind_of("fac.updates", rule).moments
        if moments is None:
            continue
        one, other = moments
        mean, square = getattr(rule, one), getattr(rule, other)
        if mean**2 >= sqrt(square):
            field = one if one in rule.model_fields_set else other
            yield ADAM_BETAS_SWAPPED.at(
                (*path, field),
                f"with `{one}` {mean:g} and `{other}` {square:g} the mean outlives the spread that limits it",
                help=f"the usual values are `{one}: 0.9` and `{other}: 0.999`",
            )
