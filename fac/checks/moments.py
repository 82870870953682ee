"""FAC329: means of single numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fac.checks.places import head, listed
from fac.diagnostics import Diagnostic, Rule
from fac.program.declared import traits_of
from fac.program.program import Node, Program

NOTHING_LEFT = Rule("FAC329", "normalises-single-numbers")


def normalises_single_numbers(program: Program) -> Iterator[Diagnostic]:
    """A normalisation subtracts from each number the mean of that number alone, and nothing is left of what it reads.

    Batch normalisation of vectors, or of maps with a single place, takes the mean of each channel over the batch: of
    one sample that is the sample. A group, or an axis, of one number is as bad in every batch. The output is the bias
    then, or 0 with `affine: false`, whatever comes in; no error gets past, and the layers below never learn. PyTorch
    stops at the first such batch. A layer that normalises by its averages in training, too, has no such trouble.

    The trainer makes no smaller batches: what is left over of the data takes part in other epochs. In a loop of your
    own, a batch of one sample leaves the average of variances where it is, and teaches the layers below nothing.

    Bad:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: batch_norm}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}
        train: {batch: 1}

    Good:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: batch_norm}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}
        train: {batch: 32}

    See arXiv 1502.03167.
    """
    alone = [node for node in program.nodes if traits_of(node).centred == 1 and not node.by_averages]
    samples = [node for node in alone if traits_of(node).channels]
    if samples and program.spec.train.batch == 1:
        verb = "subtracts" if len(samples) == 1 else "subtract"
        yield NOTHING_LEFT.at(
            ("train", "batch"),
            f"of a batch of one, {listed(node.name for node in samples)} {verb} each number from itself: "
            f"each output is {_rest(samples)}",
            help=f"use a larger batch, or {_without(samples)}, which needs none",
        )
    for node in alone:
        if node not in samples:
            yield NOTHING_LEFT.at(
                head(node),
                f"`{node.name}` subtracts each number from itself: each output is {_rest([node])}",
                help="let more numbers share a mean, by fewer groups or other axes",
            )


def _without(nodes: Sequence[Node]) -> str:
    """What normalises each sample alone: of maps `layer_norm` has to be told over which axes."""
    return "`layer_norm` with `axes: 0`" if any(len(node.reads[0]) > 2 for node in nodes) else "`layer_norm`"


def _rest(nodes: Sequence[Node]) -> str:
    """What is left: what a layer adds behind."""
    adding = [any(tensor.part == "bias" for tensor in node.tensors) for node in nodes]
    return "the bias" if all(adding) else "the bias, or 0 without one" if any(adding) else "0"
