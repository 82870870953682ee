"""FAC341 to FAC343: settings of the training that lack what they go by, or leave batches without effect."""

from __future__ import annotations

from collections.abc import Iterator

from fac.checks.lengths import steps_of
from fac.diagnostics import Diagnostic, Rule, Severity
from fac.program.lower import kind_of
from fac.program.program import Program

NOTHING_HELD_OUT = Rule("FAC341", "nothing-held-out")
ACCUMULATE_WITH_ANCHOR = Rule("FAC342", "accumulate-with-anchor")
BATCHES_LEFT_OVER = Rule("FAC343", "batches-left-over", Severity.WARNING)

OF_VALIDATION = "validation"
"""How fields of a data source begin that say which samples are held out."""


def nothing_held_out(program: Program) -> Iterator[Diagnostic]:
    """`train.keep` or `train.stop` goes by samples that are held out for validation, and the data have none.

    Which epoch was the best, and when a training is to end, is chosen by samples that it neither learns from nor is
    judged by: by those of `test`, the result would be the best of several draws. Of data that are in files nothing is
    known before they are read: the training asks the same of them.

    Bad:

        input: {shape: [64]}
        data: {source: digits}
        train: {epochs: 20, keep: best}

    Good:

        input: {shape: [64]}
        data: {source: digits, validation: 0.1}
        train: {epochs: 20, keep: best}
    """
    data, train = program.spec.data, program.spec.train
    if data is None or kind_of("fac.data", data).known(data) is None:
        return
    if any(
        getattr(data, name) is not None for name in type(data).model_fields if name.startswith(OF_VALIDATION)
    ):
        return
    for field, asked in (("keep", train.kept_by), ("stop", train.stop)):
        if asked is not None:
            yield NOTHING_HELD_OUT.at(
                ("train", field),
                f"`{field}` goes by samples that are held out for validation, and there are none",
                help="hold some of the training samples out, such as `validation: 0.1` under `data:`",
                key=True,
            )


def accumulate_with_anchor(program: Program) -> Iterator[Diagnostic]:
    """Updates take the gradients of several batches, and some steps have another routing.

    With `accumulate`, some steps only gather and others move parameters; an anchor is a step of its own, too. Gradients
    of both routings would be averaged in one update, which is neither of them.

    Bad:

        feedback: {rule: dfa}
        train: {accumulate: 4, anchor: {every: 200, rule: bp}}

    Good:

        feedback: {rule: dfa}
        train: {anchor: {every: 200, rule: bp}}
    """
    train = program.spec.train
    if train.accumulate > 1 and train.anchor is not None:
        yield ACCUMULATE_WITH_ANCHOR.at(
            ("train", "accumulate"),
            "gradients of several batches to an update cannot be joined with `anchor`",
            help="remove one of the two",
            key=True,
        )


def batches_left_over(program: Program) -> Iterator[Diagnostic]:
    """The last batches of the training fill no update.

    An update takes the gradients of `accumulate` batches, across the ends of epochs where these do not divide. What is
    gathered when the training ends moves nothing, unless it goes on. It is said where the number of samples is known.

    Bad, where 1,400 samples make 21 batches in each of 5 epochs:

        input: {shape: [64]}
        data: {source: digits}
        train: {epochs: 5, batch: 64, accumulate: 4}

    Good, where they make 24 in each:

        input: {shape: [64]}
        data: {source: digits}
        train: {epochs: 5, batch: 58, accumulate: 4}
    """
    every, steps = program.spec.train.accumulate, steps_of(program)
    if steps is None or every > steps or not (left := steps % every):
        return
    batches = "batch fills" if left == 1 else f"{left} batches fill"
    yield BATCHES_LEFT_OVER.at(
        ("train", "accumulate"),
        f"of {steps} batches the last {batches} no update",
        help=f"choose `batch`, `epochs` or `accumulate` so that {every} divides the number of batches",
        key=True,
    )
