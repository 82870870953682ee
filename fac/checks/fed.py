"""FAC241 to FAC243: which input a layer reads, inputs that none reads, and masks that are none."""

from __future__ import annotations

from collections.abc import Iterator

from fac.checks.places import at_input, head, listed, read, wired, written_readers
from fac.diagnostics import Diagnostic, Rule, Severity
from fac.program.program import INPUT, Program
from fac.spec.model import Input

WHICH_INPUT = Rule("FAC241", "which-input")
NO_MASK = Rule("FAC243", "no-mask")
UNREAD_INPUT = Rule("FAC242", "unread-input", Severity.WARNING)


def which_input(program: Program) -> Iterator[Diagnostic]:
    """It is not clear what a layer reads: the network has several inputs, or the spec says twice which.

    The first layer reads the input, and `input` is its name, if there is but one. Masks do not count: layers read them
    under a key of their own. Of several inputs a layer has to say which it reads. `input` and `inputs` are two ways to
    write one thing, so a spec has one of the two.

    Bad:

        inputs:
          left: {shape: [20]}
          right: {shape: [20]}

    Good:

        inputs:
          left: {shape: [20]}
          right: {shape: [20]}
        layers:
          - {kind: concat, from: [left, right]}
          - {kind: linear, name: logits, out: 10}
    """
    if program.spec.input is not None and program.spec.inputs is not None:
        message = "the spec has `input`, and `inputs` beside it"
        help = "move what `input` says to `inputs`, under a name"
        yield WHICH_INPUT.at(("inputs",), message, help=help, key=True)
        return
    if program.start != INPUT or INPUT in program.inputs:
        return
    names = [name for name, of in program.inputs.items() if not of.mask]
    for node in program.nodes:
        if INPUT not in node.inputs:
            continue
        if not names:
            message, help = (
                f"`{node.name}` comes first, and all inputs are masks",
                "add an input that is none",
            )
        else:
            message = f"`{node.name}` reads `input`, and there are {len(names)} of them"
            if not node.layer.reads:
                message = f"`{node.name}` comes first, and does not say which input it reads"
            help = f"write `from: {names[0]}`, or another one of {listed(names)}"
        path = next((path for path, _, name in read(node) if name == INPUT), head(node))
        yield WHICH_INPUT.at(path, message, help=help)


def no_mask(program: Program) -> Iterator[Diagnostic]:
    """A layer, or a loss, takes for a mask what is none.

    A mask is an input of zeros and ones, which says where the places of another input end, or which of them count. Its
    numbers are checked wherever a batch comes in. What a layer makes is no mask.

    Bad:

        inputs:
          tokens: {shape: [6, 4]}
          length: {shape: [6]}
        layers:
          - {kind: mean, axes: [0], mask: length, from: tokens}
          - {kind: linear, name: logits, out: 10}

    Good:

        inputs:
          tokens: {shape: [6, 4]}
          length: {shape: [6], mask: true}
        layers:
          - {kind: mean, axes: [0], mask: length}
          - {kind: linear, name: logits, out: 10}
    """
    masks = [name for name, of in program.inputs.items() if of.mask]
    for _, owner in written_readers(program):
        fields = type(owner.layer).named()
        for path, word, name in read(owner):
            mark = fields.get(str(path[-1]))
            if mark is None or not mark.mask or name in masks:
                continue
            if name in program.inputs:
                message, help = f"`{word}` is no mask", f"write `mask: true` beside the shape of `{word}`"
            elif name in program.by_name:
                message = f"`{word}` is a layer, and a mask is an input"
                help = f"name one of {listed(masks, 'or')}" if masks else "add an input with `mask: true`"
            else:
                continue
            yield NO_MASK.at(path, message, help=help)
    for objective in program.losses:
        mask = objective.mask
        if mask is None or mask in masks or mask not in {*program.inputs, *program.by_name}:
            continue
        message, help = f"`{mask}` is no mask", f"write `mask: true` beside the shape of `{mask}`"
        if mask in program.by_name:
            message = f"`{mask}` is a layer, and a mask is an input"
            help = f"name one of {listed(masks, 'or')}" if masks else "add an input with `mask: true`"
        yield NO_MASK.at((*objective.origin, "mask"), message, help=help)


def unread_input(program: Program) -> Iterator[Diagnostic]:
    """No layer reads an input.

    The data need an array for it all the same, and every batch carries it along. Mostly a layer was meant to read it,
    by its `from:`, or a mask by its `mask:`.

    Bad:

        inputs:
          image: {shape: [20]}
          age: {shape: [1]}
        layers:
          - {kind: linear, name: logits, from: image, out: 10}

    Good:

        inputs:
          image: {shape: [20]}
          age: {shape: [1]}
        layers:
          - {kind: concat, from: [image, age]}
          - {kind: linear, name: logits, out: 10}
    """
    if program.nodes and wired(program):
        masks = {objective.mask for objective in program.losses}
        for name, read in program.inputs.items():
            if name not in program.readers and name not in masks:
                message = f"no layer reads `{name}`"
                help = f"name it in a `{'mask' if read.mask else 'from'}:`, or remove it"
                if not program.spec.inputs:
                    help = "let the first layer read it"
                elif _may_mask(program, read):
                    help = "name it in a `from:`, or write `mask: true` beside its shape and name it in a `mask:`"
                yield UNREAD_INPUT.at(at_input(program, name), message, help=help, key=True)


def _may_mask(program: Program, read: Input) -> bool:
    """Whether an input that is no mask has one number for each place of another one."""
    if read.mask or read.classes is not None:
        return False
    others = (
        of.shape if of.classes is not None else of.shape[:-1]
        for of in program.inputs.values()
        if of is not read
    )
    return any(places == read.shape for places in others)
