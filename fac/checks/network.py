"""FAC203, FAC205, FAC206, FAC207: the layers, and the loss that reads the last of them."""

from __future__ import annotations

from collections.abc import Iterator
from math import isqrt, prod

from fac.checks.idle import unfrozen
from fac.checks.places import at_input, head, wired
from fac.diagnostics import Diagnostic, Path, Rule, Severity, dotted
from fac.program.lower import kind_of, reading
from fac.program.program import Node, Objective, Program, Shape

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
        if node.fault is not None and not node.fault.plugin and not _no_mask(program, node):
            path = (*node.origin, node.fault.field or "kind")
            yield SHAPE_MISMATCH.at(path, node.fault.message, help=_input(program, node) or node.fault.help)


def _no_mask(program: Program, node: Node) -> bool:
    """Whether what does not fit is the shape of a mask that is none, which is said as such."""
    mark = type(node.layer).named().get((node.fault and node.fault.field) or "")
    of = program.inputs.get(node.inputs[-1])
    return mark is not None and mark.mask and (of is None or not of.mask)


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

    The loss reads the last layer, `losses` those that they name. Any other layer that nobody reads is computed for
    nothing, and mostly it was meant to be read: the next layer reads another one by its `from:`. A layer whose
    parameters should learn is an error in this place, FAC302.

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
    for node in program.nodes:
        if node.name not in program.readers and node.name not in program.heads and not node.learns:
            message = f"no layer{' and no loss' * (len(program.losses) > 1)} reads `{node.name}`"
            yield UNREAD_LAYER.at(head(node), message, help=f"name it in a `from:`, or remove `{node.name}`")


def empty_network(program: Program) -> Iterator[Diagnostic]:
    """The network has no layers, or none that could learn.

    A step that moves no parameter is no training. Layers learn if they have parameters and are not frozen, by their
    own `trainable: false`, by that of a group of the update, or by a rule such as `shallow`.

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
        path, help = _freezing(program)
        yield EMPTY_NETWORK.at(path, "no layer of the network learns", help=help)


def _freezing(program: Program) -> tuple[Path, str]:
    """What keeps all layers from learning, and what to do about it."""
    if any(node.learns for node in unfrozen(program).nodes):
        index, group = next((i, group) for i, group in enumerate(program.groups) if not group.trainable)
        help = f"`{group.match}` freezes what would: match fewer arrays, or remove the group"
        if sum(not other.trainable for other in program.groups) > 1:
            help = "the groups with `trainable: false` freeze what would: let them match fewer arrays"
        return ("update", "groups", index, "match"), help
    return ("layers",), "a `linear` layer has weights; `trainable: false` and `rule: shallow` freeze them"


def loss_output_mismatch(program: Program) -> Iterator[Diagnostic]:
    """A loss over classes needs one number per class, and at least two classes; class weights are one for each.

    `cross_entropy` takes the last layer's output as one logit per class. With a single one, softmax is always 1,
    and no error ever arises: the training runs, and nothing moves. Two classes are two logits, or one for `bce`,
    which like `mse` takes any number. Of several places, tokens [T, C] or a map [C, H, W], each has a label, and the
    classes lie along the axis of the channels.

    Bad:

        layers:
          - {kind: linear, name: logits, out: 1}

    Good:

        layers:
          - {kind: linear, name: logits, out: 2}
    """
    for objective in program.losses:
        yield from _misfit(program, objective)
        yield from _masked(program, objective)
    yield from _shared_targets(program)


def _misfit(program: Program, objective: Objective) -> Iterator[Diagnostic]:
    """A loss that cannot read the output of its layer."""
    node = program.by_name.get(objective.of)
    kind, shape = kind_of("fac.losses", objective.loss), None if node is None else node.shape
    if shape is None:
        return
    axis, rows = program.class_axis(objective.of), shape
    if kind.classes:
        rows = (1,) if axis is None else (shape[axis],)
    if not kind.classes or rows[0] >= 2:
        fault = kind.misfit(objective.loss, rows)
        if fault is not None:
            path = (*objective.origin, fault.field or "kind")
            yield LOSS_OUTPUT_MISMATCH.at(path, str(fault), help=fault.help)
        return
    message = f"`{kind.name}` needs a number for each of at least 2 classes, and "
    if axis is None and shape:
        message += f"along which axis of {list(shape)} the output of `{objective.of}` has them is not known"
        help = "let a layer make them that has channels: `linear` along the last axis, a convolution along the first"
    else:
        message += f"the output of `{objective.of}` has shape {list(shape)}"
        flat = "use"
        if len(shape) > 1:
            flat = "end with `global_avg_pool` or `flatten`, and then a `linear` layer with"
        help = f"{flat} as many outputs as there are classes, or use `bce`"
    path = (*objective.origin, "kind")
    yield LOSS_OUTPUT_MISMATCH.at(path, message, help=help)


def _masked(program: Program, objective: Objective) -> Iterator[Diagnostic]:
    """A mask of other places than the loss goes over, or of a loss that cannot leave any out."""
    mask, node = program.inputs.get(objective.mask or ""), program.by_name.get(objective.of)
    if mask is None or not mask.mask or node is None or node.shape is None:
        return
    kind, axis = kind_of("fac.losses", objective.loss), program.class_axis(objective.of)
    path = (*objective.origin, "mask")
    if not kind.masks:
        yield LOSS_OUTPUT_MISMATCH.at(path, f"`{kind.name}` leaves nothing out", help="remove the mask")
        return
    places = None if axis is None else (*node.shape[:axis], *node.shape[axis + 1 :])
    if mask.shape != places:
        known = "of which nobody knows the channels" if places is None else f"with the places {list(places)}"
        yield LOSS_OUTPUT_MISMATCH.at(
            path,
            f"the mask `{objective.mask}` has shape {list(mask.shape)}, and the output of `{objective.of}` shape "
            f"{list(node.shape)}, {known}",
            help="let a layer with channels make the output"
            if places is None
            else "give it the shape of the places",
        )


def _shared_targets(program: Program) -> Iterator[Diagnostic]:
    """Losses that would read two things under one name."""
    first: dict[str, tuple[Objective, str]] = {}
    for objective in program.losses:
        node = program.by_name.get(objective.of)
        if node is None or node.shape is None:
            continue
        kind, axis = kind_of("fac.losses", objective.loss), program.class_axis(objective.of)
        if kind.classes:
            if axis is None:
                continue
            places = [size for place, size in enumerate(node.shape) if place != axis]
            read = f"labels of {node.shape[axis]} classes" + (f" at {places} places" if places else "")
        else:
            read = f"numbers of shape {list(node.shape)}"
        other, known = first.setdefault(objective.target, (objective, read))
        if known != read:
            yield LOSS_OUTPUT_MISMATCH.at(
                (*objective.origin, "target" if "target" in objective.loss.model_fields_set else "kind"),
                f"`{objective.name}` reads {read}, and `{other.name}` {known}, both from the target "
                f"`{objective.target}`",
                help="give one of the two another `target`",
            )
