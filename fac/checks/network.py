"""FAC203, FAC205, FAC206, FAC207: the layers, and the loss that reads the last of them."""

from __future__ import annotations

from collections.abc import Iterator
from math import isqrt, prod

from fac.checks.places import at_input, head, wired
from fac.diagnostics import Diagnostic, Rule, Severity, dotted
from fac.program.lower import kind_of, reading
from fac.program.program import Node, Program, Shape

SHAPE_MISMATCH = Rule("FAC203", "shape-mismatch")
UNREAD_LAYER = Rule("FAC205", "unread-layer", Severity.WARNING)
EMPTY_NETWORK = Rule("FAC206", "empty-network")
LOSS_OUTPUT_MISMATCH = Rule("FAC207", "loss-output-mismatch")


def shape_mismatch(program: Program) -> Iterator[Diagnostic]:
    """A layer cannot read the shape that it is given.

    Shapes are per sample, without the batch. A weight is as wide as what it reads, so a network without all its
    shapes has no arrays, no cost and no feedback matrices. What lies above a layer without a shape has none either,
    and is not reported again.

    Bad:

        input: {shape: [4, 5]}
        layers:
          - {kind: conv2d, name: conv, out: 8, kernel: 3}
          - {kind: flatten}
          - {kind: linear, name: logits, out: 10}

    Good:

        input: {shape: [1, 4, 5]}
        layers:
          - {kind: conv2d, name: conv, out: 8, kernel: 3}
          - {kind: flatten}
          - {kind: linear, name: logits, out: 10}
    """
    for node in program.nodes:
        if node.fault is not None and not node.fault.plugin:
            path = (*node.origin, node.fault.field or "kind")
            yield SHAPE_MISMATCH.at(path, node.fault.message, help=_input(program, node) or node.fault.help)


def _input(program: Program, node: Node) -> str:
    """What to write for `input.shape`, if that is what a layer cannot read and it could do so with another one."""
    if len(node.inputs) != 1 or node.inputs[0] not in program.inputs:
        return ""
    shape = program.inputs[node.inputs[0]].shape
    others: list[Shape] = []
    why = ""
    if len(shape) > 3:
        others, why = [shape[1:]], ", which has no batch"
    elif len(shape) < 3:
        others = [(1, *shape)]
        side = isqrt(prod(shape))
        # Numbers in a row may be those of a square image.
        others += [(1, side, side)] if len(shape) == 1 and side**2 == shape[0] else []
    # Any axis will do for layers without a kernel, which is no reason to declare one.
    fits = next(
        (o for o in others if (weight := reading(node, (o,)).weight) and len(weight.shape) > len(o)), None
    )
    section = dotted(at_input(program, node.inputs[0]))
    return f"write `{section}: {{shape: {list(fits)}}}`{why}" if fits else ""


def unread_layer(program: Program) -> Iterator[Diagnostic]:
    """No layer reads the output of this one, and the loss does not either.

    The loss reads the last layer. Any other layer that nobody reads is computed for nothing, and mostly it was
    meant to be read: the next layer reads another one by its `from:`. A layer whose parameters should learn is an
    error in this place, FAC302.

    Bad:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu, name: act}
          - {kind: linear, name: logits, from: fc1, out: 10}

    Good:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu, name: act}
          - {kind: linear, name: logits, from: act, out: 10}
    """
    if not wired(program):
        return
    for node in program.nodes[:-1]:
        if node.name not in program.readers and not node.learns:
            message = f"no layer reads `{node.name}`"
            yield UNREAD_LAYER.at(head(node), message, help=f"name it in a `from:`, or remove `{node.name}`")


def empty_network(program: Program) -> Iterator[Diagnostic]:
    """The network has no layers, or none that could learn.

    A step that moves no parameter is no training. Layers learn if they have parameters and are not frozen, by their
    own `trainable: false` or by a rule such as `shallow`.

    Bad:

        layers:
          - {kind: relu}

    Good:

        layers:
          - {kind: linear, name: logits, out: 10}
    """
    if not program.nodes:
        help = "a network has at least one: `- {kind: linear, name: logits, out: 10}`"
        yield EMPTY_NETWORK.at(("layers",), "the network has no layers", help=help)
    elif all(node.shape is not None and not node.learns for node in program.nodes):
        help = "a `linear` layer has weights; `trainable: false` and `rule: shallow` freeze them"
        yield EMPTY_NETWORK.at(("layers",), "no layer of the network learns", help=help)


def loss_output_mismatch(program: Program) -> Iterator[Diagnostic]:
    """A loss over classes needs one number per class, and at least two classes; class weights are one for each.

    `cross_entropy` takes the last layer's output as one logit per class. With a single one, softmax is always 1,
    and no error ever arises: the training runs, and nothing moves. Two classes are two logits, or one for `bce`,
    which like `mse` takes any number.

    Bad:

        layers:
          - {kind: linear, name: logits, out: 1}

    Good:

        layers:
          - {kind: linear, name: logits, out: 2}
    """
    shape = program.nodes[-1].shape if program.nodes else None
    kind = kind_of("fac.losses", program.spec.loss)
    if shape is None:
        return
    if not kind.classes or (len(shape) == 1 and shape[0] >= 2):
        fault = kind.misfit(program.spec.loss, shape)
        if fault is not None:
            yield LOSS_OUTPUT_MISMATCH.at(("loss", fault.field or "kind"), str(fault), help=fault.help)
        return
    flat = "use"
    if len(shape) > 1:
        flat = "end with `global_avg_pool` or `flatten`, and then a `linear` layer with"
    yield LOSS_OUTPUT_MISMATCH.at(
        ("loss", "kind"),
        f"`{kind.name}` needs a number for each of at least 2 classes, "
        f"and the output of `{program.output}` has shape {list(shape)}",
        help=f"{flat} as many outputs as there are classes, or use `bce`",
    )
