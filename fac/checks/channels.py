"""FAC221, FAC222: channels that do not lie where a layer looks for them."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from fac.checks.places import at_input, head, listed, stated
from fac.diagnostics import Diagnostic, Rule, Severity
from fac.program.layout import UNKNOWN, taken
from fac.program.lower import kind_of, reading
from fac.program.program import Node, Program, Shape

CHANNELS_LAST = Rule("FAC221", "channels-last", Severity.WARNING)
CHANNELS_ELSEWHERE = Rule("FAC222", "channels-elsewhere", Severity.WARNING)

FEW = (1, 3, 4)
"""How many channels images have: grey, colours, and colours with a mask or with infrared."""
LARGER = 4
"""How many times so long the other axes are, at least."""
ASPECT = 2
"""How many times so long one side of an image is as the other, at most."""


def channels_last(program: Program) -> Iterator[Diagnostic]:
    """The samples look like images with their channels last, and the first layer takes the first axis for channels.

    Here maps are [channels, height, width], as in PyTorch; Keras and most image files have [height, width, channels].
    A kernel moves over the two axes behind the first. Over [28, 28, 1] that is one column of 28 numbers with a
    channel for each row of the image: it trains, and learns little. Grey images stored as 28 x 28 fill [1, 28, 28]
    as they are. Colours have to be moved: `x.transpose(0, 3, 1, 2)` before they are stored, or a `permute` layer that
    comes first. A map that is meant so, such as 64 sensors with 100 values each, is told from an image by its sides.

    Bad:

        input: {shape: [28, 28, 1]}
        layers:
          - {kind: conv2d, name: conv, out: 8, kernel: 3, padding: same}
          - {kind: relu}
          - {kind: global_avg_pool}
          - {kind: linear, name: logits, out: 10}

    Good:

        input: {shape: [1, 28, 28]}
        layers:
          - {kind: conv2d, name: conv, out: 8, kernel: 3, padding: same}
          - {kind: relu}
          - {kind: global_avg_pool}
          - {kind: linear, name: logits, out: 10}
    """
    for name, of in program.inputs.items():
        if not _image(shape := of.shape):
            continue
        turned = (shape[2], *shape[:2])
        convolving = [n.name for n in program.nodes if n.inputs == (name,) and _convolves(n, turned)]
        if convolving:
            takes = "takes" if len(convolving) == 1 else "take"
            move = ""
            if shape[2] > 1:
                move = ", and store samples so; or put a `permute` layer first, with `axes: [2, 0, 1]`"
            yield CHANNELS_LAST.at(
                (*at_input(program, name), "shape"),
                f"{list(shape)} looks like an image with its channels last, and {listed(convolving)} {takes} the first "
                f"axis for channels, {shape[0]} of them",
                help=f"write `shape: {list(turned)}`{move}",
            )


def channels_elsewhere(program: Program) -> Iterator[Diagnostic]:
    """A layer takes one axis for channels, and the channels of what it reads lie along another one.

    A kernel, a pool or a batch norm takes the first axis of [C, H, W] for channels, `linear` the last one of tokens
    [T, d]. So a `linear` layer that reads a map acts on each of its rows alone: mostly a `flatten` was forgotten.
    A `conv1d` that reads tokens moves along their channels. Both train, and learn little. Where it is meant, as by
    layers that mix tokens, a `permute` or a `reshape` layer before it says so. Of an input of three axes nobody knows
    where they lie: it is taken to be a map.

    Bad:

        input: {shape: [1, 28, 28]}
        layers:
          - {kind: conv2d, name: conv, out: 8, kernel: 3, padding: same}
          - {kind: relu}
          - {kind: linear, name: fc, out: 32}
          - {kind: relu}
          - {kind: flatten}
          - {kind: linear, name: logits, out: 10}

    Good:

        input: {shape: [1, 28, 28]}
        layers:
          - {kind: conv2d, name: conv, out: 8, kernel: 3, padding: same}
          - {kind: relu}
          - {kind: flatten}
          - {kind: linear, name: fc, out: 32}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}
    """
    labelled = _labelled(program)
    for node in program.nodes:
        layout, axis = program.layouts.get(node.inputs[0], UNKNOWN), taken(node)
        if axis is None or layout.channels is None or axis in (layout.channels, layout.also):
            continue
        if node.weighted and layout.ordered:
            continue
        shape = node.reads[0]
        ways = ["a `flatten` layer before it"] if axis else []
        if not ways or node.name not in labelled:
            moved = _moved(len(shape), layout.channels, axis)
            ways.append(f"a `permute` layer with `axes: {moved}` before it")
        help = f"put {', or '.join(ways)}"
        lie = "lie"
        if not layout.made:
            lie = "seem to lie"
            rows = [prod(shape[:-1]), shape[-1]]
            if axis == len(shape) - 1:
                help += (
                    f"; if these are tokens, with their channels last, a `reshape` layer with `shape: {rows}`"
                )
        yield CHANNELS_ELSEWHERE.at(
            head(node),
            f"`{stated(program, node.name)}` takes the {_th(axis, shape)} axis of {list(shape)} for channels, and they "
            f"{lie} along the {_th(layout.channels, shape)} one",
            help=help,
        )


def _labelled(program: Program) -> set[str]:
    """Layers that end in a class at each place, by themselves or with what follows in a row, where data have one label.

    Channels that are moved there leave a misfit with the data; of others, and of no data, labels may have places.
    """
    data, found = program.spec.data, set[str]()
    facts = None if data is None else kind_of("fac.data", data).known(data)
    if facts is None or not facts.classes or facts.places:
        return found
    for objective in program.losses:
        node = program.by_name.get(objective.of)
        while node is not None and node.shape is not None and len(node.shape) > 1:
            found.add(node.name)
            node = program.by_name.get(node.inputs[0])
    return found


def _th(axis: int, shape: Shape) -> str:
    return (
        "last"
        if axis == len(shape) - 1
        else ("first", "second", "third")[axis]
        if axis < 3
        else f"{axis + 1}th"
    )


def _moved(rank: int, start: int, end: int) -> list[int]:
    """The axes in the order in which one of them stands where another one did."""
    axes = [axis for axis in range(rank) if axis != start]
    return [*axes[:end], start, *axes[end:]]


def _image(shape: Shape) -> bool:
    """Whether it is [height, width, channels], by its looks."""
    if len(shape) != 3 or shape[2] not in FEW:
        return False
    short, long = sorted(shape[:2])
    return LARGER * shape[2] <= short and long <= ASPECT * short


def _convolves(node: Node, shape: Shape) -> bool:
    """Whether a layer would move a kernel over such a map, whatever it makes of the one that it is given."""
    weight = reading(node, (shape,)).weight
    return weight is not None and len(weight.shape) > len(shape)
