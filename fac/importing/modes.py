"""What a module does in training and in evaluation, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from fac.backend import Call, Module
from fac.importing.translate import Refused, Translation

LAID = frozenset({"aten.clone", "aten.contiguous"})
"""Operations that say how numbers lie in memory, which depends on the kernel that made them."""


def unlike(module: Module, work: Translation) -> Iterator[Refused]:
    """Where it does something else in evaluation than the layers will that were found in training.

    Args:
        module: traced in both modes.
        work: what came of the trace in training.
    """
    assert module.training is not None
    training = [call for call in module.training.calls if call.name not in work.training]
    evaluation = [
        call
        for call in module.evaluation.calls
        if call.args.get("train") is not False and call.op not in LAID
    ]
    kept = [call for call in training if call.args.get("train") is not True and call.op not in LAID]
    for ours, theirs in zip_longest(kept, evaluation):
        one = ours or theirs
        if ours is None or theirs is None or (ours.op, ours.module) != (theirs.op, theirs.module):
            yield _told(
                one,
                "a module that computes the same in training and in evaluation, but for dropout and averages",
            )
            return
        if ours.op == "aten.batch_norm" and theirs.args["training"]:
            yield _told(one, "a normalisation that goes by its averages in evaluation")
        if theirs.args.get("dropout_p"):
            yield _told(one, "an attention that drops shares in training alone")


def _told(call: Call, need: str) -> Refused:
    return Refused(call.module, call.type, call.op, need)
