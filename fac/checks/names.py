"""FAC202, FAC204, FAC223: names that are given twice, or mean something else already."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from operator import itemgetter

from fac.checks.places import at_input, head, listed, named, read
from fac.diagnostics import Diagnostic, Path, Rule, Severity, dotted
from fac.program.naming import full_names
from fac.program.program import INPUT, LOSS, TARGET, Block, Node, Program

DUPLICATE_NAME = Rule("FAC202", "duplicate-name")
RESERVED_NAME = Rule("FAC204", "reserved-name")
NAME_OF_TWO_SCOPES = Rule("FAC223", "name-of-two-scopes", Severity.WARNING)

RESERVED = (INPUT, LOSS, "targets", "step", "x", TARGET, "lr")
OUTPUTS = ("output", "hits", "counted", "weight")
"""Of compiled functions, beside the loss: what they are fed with cannot be called so."""
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def duplicate_name(program: Program) -> Iterator[Diagnostic]:
    """Two layers, two subspaces, two losses, or a layer and a subspace have one name.

    Routes, `from:`, `--set` and the arrays of the state go by name, so a second owner would take the routes of the
    first or overwrite its arrays in a checkpoint. Layers of two blocks may share a name, for in full they are
    `a.fc1` and `b.fc1`. A layer without a name of its own takes one: the second `relu` is
    called `relu_2`, and no other layer can be. Results call losses by name: two of one layer need names of their own.

    Bad:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu}
          - {kind: linear, name: fc1, out: 10}

    Good:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - {kind: relu}
          - {kind: linear, name: fc2, out: 10}
    """
    taken = {name: "an input" for name in program.inputs if name != INPUT}
    origins: dict[str, Path] = {name: at_input(program, name) for name in taken}
    for _, node in sorted(named(program), key=itemgetter(0)):
        # The sum that ends a block has the block's name.
        if node.name in taken and origins[node.name] != node.origin:
            message = f"{taken[node.name]} is already called `{node.name}`"
            help = "give one of the two another name"
            if node.layer.name is None:
                message += ", which this layer is called, too, because it has no name of its own"
                help = "give this layer a `name`"
            yield DUPLICATE_NAME.at(head(node), message, help=help)
        taken.setdefault(node.name, _place(node) if isinstance(node, Node) else "a block")
        origins.setdefault(node.name, node.origin)
    for objective in program.losses:
        if objective.target in taken and "target" in objective.loss.model_fields_set:
            owner = "an input" if objective.target in program.inputs else "a layer"
            yield DUPLICATE_NAME.at(
                (*objective.origin, "target"),
                f"{owner} is already called `{objective.target}`",
                help="choose another name for the targets"
                if objective.target in program.inputs
                else "choose another name for the layer, or for the targets and their array",
            )
    spaces: set[str] = set()
    for subspace in program.subspaces:
        if subspace.name in spaces or subspace.name in taken:
            owner = "an input" if subspace.name in program.inputs else "a layer"
            owner = owner if subspace.name in taken else "a subspace"
            yield DUPLICATE_NAME.at(
                (*subspace.origin, "name"),
                f"{owner} is already called `{subspace.name}`",
                help="choose another name",
            )
        spaces.add(subspace.name)
    results: set[str] = set()
    for objective in program.losses:
        if objective.name in results:
            written = "name" in objective.loss.model_fields_set
            yield DUPLICATE_NAME.at(
                (*objective.origin, "name") if written else objective.origin,
                f"another loss is already called `{objective.name}`",
                help="choose another name"
                if written
                else "give this one a `name`: results are reported by it",
            )
        results.add(objective.name)


def _place(owner: Node | Block) -> str:
    """Layers of the file can be counted; those inside of blocks are called by their place in it."""
    return f"layer {int(owner.origin[1]) + 1}" if len(owner.origin) == 2 else f"`{dotted(owner.origin)}`"


def name_of_two_scopes(program: Program) -> Iterator[Diagnostic]:
    """A layer inside of a block reads a name of outside, which a layer of the block has, too.

    Names are looked up from the inside outwards, among the layers that stand above the reader. Who reads a name behind
    the layer of the block that has it means that layer, and nobody is in doubt. Here the one inside comes later, or is
    the reader itself, or a block around it, so the one outside is meant; a reader of the file takes the other one, and
    moving a line would change the network without a word.

    Bad:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - kind: sequence
            name: block
            body:
              - {kind: relu, from: fc1}
              - {kind: linear, name: fc1, out: 16}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}

    Good:

        layers:
          - {kind: linear, name: fc1, out: 32}
          - kind: sequence
            name: block
            body:
              - {kind: relu, from: fc1}
              - {kind: linear, name: fc2, out: 16}
          - {kind: relu}
          - {kind: linear, name: logits, out: 10}
    """
    if not program.blocks:
        return
    owners: dict[str, tuple[int, Node | Block]] = {}
    for index, owner in sorted(named(program), key=itemgetter(0)):
        owners.setdefault(owner.name, (index, owner))
    for index, reader in named(program):
        for path, word, _ in read(reader) if reader.scope else ():
            if word == INPUT:
                continue
            meant = [
                owners[name] for name in full_names(word, reader.scope, program.scopes) if name in owners
            ]
            own = next((i for i, (at, owner) in enumerate(meant) if _above(at, owner, index, reader)), None)
            if not own:  # the innermost is meant, or none
                continue
            (_, inner), (_, outer) = meant[0], meant[own]
            yield NAME_OF_TWO_SCOPES.at(
                path,
                f"`{word}` means {_called(outer)} here, and {_not(inner, reader)}",
                help="give one of the two another name",
            )


def _above(at: int, owner: Node | Block, index: int, reader: Node | Block) -> bool:
    """Whether an owner of a name stands above a reader, so that the name can mean it."""
    around = isinstance(owner, Block) and f"{reader.scope}.".startswith(f"{owner.name}.")
    return at < index and not around


def _called(owner: Node | Block) -> str:
    return f"`{owner.name}` of {_place(owner)}"


def _not(inner: Node | Block, reader: Node | Block) -> str:
    """Why the name does not mean an inner layer."""
    if inner.name == reader.name:
        return f"not `{inner.name}`, the reader itself"
    if f"{reader.scope}.".startswith(f"{inner.name}."):
        return f"not {_called(inner)}, the block around"
    return f"not yet {_called(inner)}, which comes later"


def reserved_name(program: Program) -> Iterator[Diagnostic]:
    """A name means something else already, or cannot be part of the names of arrays.

    `input`, `loss`, `targets`, `step`, `x`, `y` and `lr` are inputs of the compiled step or sources of errors: a
    route `from: loss` could mean two things. Inside of a block only `input` and `loss` are: in full its `x` is
    `block.x`. What a network is fed with cannot be called like what its functions return, `output`, `hits`, `counted`
    or `weight`, either. Names become parts of array names such as `fc1.weight`, and of variables in emitted code:
    letters, digits, `_` and `-` are allowed, with `.` between parts. A layer cannot be called like an array of another
    layer, because a checkpoint could not hold both.

    Bad:

        layers:
          - {kind: linear, name: loss, out: 10}

    Good:

        layers:
          - {kind: linear, name: logits, out: 10}
    """
    given = [n for _, n in named(program) if n.layer.name is not None]
    names = [
        (n.name, n.name[len(n.scope) + 1 if n.scope else 0 :] if n.layer.name else "", head(n)) for n in given
    ]
    names += [(s.name, s.name, (*s.origin, "name")) for s in program.subspaces]
    inputs = {at_input(program, name): name for name in program.inputs if program.spec.inputs is not None}
    names += [(name, name, path) for path, name in inputs.items()]
    for objective in program.losses:
        said = objective.loss.model_fields_set
        names += [(objective.name, objective.name, (*objective.origin, "name"))] * ("name" in said)
        if "target" in said and objective.target != TARGET:
            names.append((objective.target, objective.target, (*objective.origin, "target")))
    arrays = {t.name: node.name for node in program.nodes for t in node.tensors}
    arrays |= {t.name: route.node for route in program.routes for t in route.tensors}
    arrays |= {t.name: subspace.name for subspace in program.subspaces for t in subspace.tensors}
    lengths = sorted({len(array) for array in arrays}, reverse=True)
    fed = {*inputs, *((*objective.origin, "target") for objective in program.losses)}
    for name, own, path in dict.fromkeys(names):
        reserved = (*RESERVED, *OUTPUTS) if path in fed else RESERVED
        # Inside of a block a layer is called otherwise in full, but these two words are looked up there, too.
        if (name in reserved or own in (INPUT, LOSS)) and not (own == "x" and path in inputs):
            message, help = f"`{own}` is a reserved name", f"choose a name other than {listed(reserved)}"
            yield RESERVED_NAME.at(path, message, help=help, key=path in inputs)
        elif not _NAME.fullmatch(own) or (path in fed and "." in own):
            shown = f"`{own}`" if own else "an empty text"
            help = "use letters, digits, `_` and `-`" + ("" if path in fed else ", with `.` between parts")
            yield RESERVED_NAME.at(path, f"{shown} cannot be a name", help=help, key=path in inputs)
        elif array := next((a for a in _beginnings(name, lengths) if a in arrays), None):
            message = f"`{name}` collides with the array `{array}` of `{arrays[array]}`"
            yield RESERVED_NAME.at(path, message, help="choose another name", key=path in inputs)


def _beginnings(name: str, lengths: Sequence[int]) -> Iterator[str]:
    """`a.b.c`, `a.b` and `a`, of these lengths: what lies behind an array's name belongs to its optimiser."""
    for length in lengths:
        if length == len(name) or name[length : length + 1] == ".":
            yield name[:length]
