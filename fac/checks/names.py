"""FAC201, FAC202, FAC204: names of layers and subspaces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from fac.checks.places import Guess, has_weights, head, listed, short_hand, target, written
from fac.diagnostics import Diagnostic, Fix, Path, Rule
from fac.program.globs import is_glob
from fac.program.program import INPUT, LOSS, Program

UNKNOWN_NAME = Rule("FAC201", "unknown-name")
DUPLICATE_NAME = Rule("FAC202", "duplicate-name")
RESERVED_NAME = Rule("FAC204", "reserved-name")

RESERVED = (INPUT, LOSS, "targets", "step", "x", "y", "lr")
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def unknown_name(program: Program) -> Iterator[Diagnostic]:
    """A layer, an error source or a subspace is named that does not exist.

    Layers can be read by layers below them in the file only, so that the network has no loops. A layer without a
    name of its own is called by its kind and a number: the second `relu` is `relu_2`. Such a name moves to another
    layer when one is put in before it, so it pays to name what routes speak of. Until the name is mended nothing is
    known of the flow of errors around it, and the findings that would follow from it are left out.

    Bad, where the subspace is called `task`:

        feedback:
          subspaces:
            - {name: task, rank: 9}
          routes:
            - {to: fc1, from: tsak, matrix: {kind: random}}

    Good:

        feedback:
          subspaces:
            - {name: task, rank: 9}
          routes:
            - {to: fc1, from: task, matrix: {kind: random}}
    """
    yield from _reads(program)
    yield from _routes(program)
    guess = Guess()
    for subspace in program.subspaces:
        path = (*subspace.origin, "of")
        if subspace.of in program.subspace and subspace.of not in program.by_name:
            message = f"`{subspace.of}` is a subspace, and a subspace reads `loss` or a layer"
            yield UNKNOWN_NAME.at(path, message, help=f"write `of: {program.subspace[subspace.of].of}`")
        elif subspace.of != LOSS and subspace.of not in program.by_name:
            message = f"no error source is called `{subspace.of}`"
            known = LOSS, *program.by_name
            help, fix = _mended(guess, path, subspace.of, known, "a subspace reads `loss` or a layer")
            yield UNKNOWN_NAME.at(path, message, help=help, fix=fix)


def _reads(program: Program) -> Iterator[Diagnostic]:
    first: dict[str, int] = {}
    for index, node in enumerate(program.nodes):
        first.setdefault(node.name, index)
    guess = Guess()
    for index, node in enumerate(program.nodes):
        for place, name in enumerate(node.layer.reads):
            if name == INPUT or first.get(name, index) < index:
                continue
            path: Path = (*node.origin, "from")
            path = path if isinstance(node.layer.from_, str) else (*path, place)
            if name == node.name and first[name] == index:
                message = f"`{name}` reads itself"
                yield UNKNOWN_NAME.at(path, message, help="name a layer above it, or `input`")
            elif name in first:
                message = f"`{node.name}` reads `{name}`, which comes later"
                help = f"a layer reads layers above it: move `{node.name}` below `{name}`"
                yield UNKNOWN_NAME.at(path, message, help=help)
            else:
                above = (other for other, at in first.items() if at < index)
                help, fix = _mended(guess, path, name, chain([INPUT], above), "the layers above are {}")
                yield UNKNOWN_NAME.at(path, f"no layer is called `{name}`", help=help, fix=fix)


def _routes(program: Program) -> Iterator[Diagnostic]:
    weighted = [node.name for node in program.nodes if has_weights(node)]
    sources = dict.fromkeys((LOSS, *program.subspace, *program.by_name))
    guess = Guess()
    for route in program.routes:
        if short_hand(program, route) is not None:
            continue
        if route.node not in program.by_name:
            path, otherwise = target(route), "the layers with weights are {}" if weighted else ""
            help, fix = guess.mended(path, route.node, weighted, otherwise)
            yield UNKNOWN_NAME.at(path, f"no layer is called `{route.node}`", help=help, fix=fix)
        if route.through:
            continue
        if route.source not in sources:
            path, otherwise = (*route.origin, "from"), "an error source is `loss`, a layer or a subspace"
            help, fix = _mended(guess, path, route.source, sources, otherwise)
            yield UNKNOWN_NAME.at(path, f"no error source is called `{route.source}`", help=help, fix=fix)
        at = written(program.spec, route.origin).at
        if at is not None and at not in program.by_name:
            path = (*route.origin, "at")
            help, fix = _mended(guess, path, at, program.by_name, "the layers are {}")
            yield UNKNOWN_NAME.at(path, f"no layer is called `{at}`", help=help, fix=fix)


def _mended(
    guess: Guess, path: Path, word: str, known: Iterable[str], otherwise: str
) -> tuple[str, Fix | None]:
    """The help, and the fix, for an unknown word where only the target of a route may be a glob."""
    if is_glob(word):
        key = next(part for part in reversed(path) if isinstance(part, str))
        return f"`{key}` takes a name, and no glob", None
    return guess.mended(path, word, known, otherwise)


def duplicate_name(program: Program) -> Iterator[Diagnostic]:
    """Two layers, two subspaces, or a layer and a subspace have one name.

    Routes, `from:`, `--set` and the arrays of the state go by name, so a second owner would take the routes of the
    first or overwrite its arrays in a checkpoint. A layer without a name of its own takes one: the second `relu` is
    called `relu_2`, and no other layer can be.

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
    taken: dict[str, str] = {}
    for index, node in enumerate(program.nodes, 1):
        if node.name in taken:
            message = f"{taken[node.name]} is already called `{node.name}`"
            help = "give one of the two another name"
            if node.layer.name is None:
                message += ", which this layer is called, too, because it has no name of its own"
                help = "give this layer a `name`"
            yield DUPLICATE_NAME.at(head(node), message, help=help)
        taken.setdefault(node.name, f"layer {index}")
    spaces: set[str] = set()
    for subspace in program.subspaces:
        if subspace.name in spaces or subspace.name in taken:
            owner = "a layer" if subspace.name in taken else "a subspace"
            yield DUPLICATE_NAME.at(
                (*subspace.origin, "name"),
                f"{owner} is already called `{subspace.name}`",
                help="choose another name",
            )
        spaces.add(subspace.name)


def reserved_name(program: Program) -> Iterator[Diagnostic]:
    """A name means something else already, or cannot be part of the names of arrays.

    `input`, `loss`, `targets`, `step`, `x`, `y` and `lr` are inputs of the compiled step or sources of errors: a
    route `from: loss` could mean two things. Names become parts of array names such as `fc1.weight`, and of
    variables in emitted code: letters, digits, `_` and `-` are allowed, with `.` between parts. A layer cannot be
    called like an array of another layer, because a checkpoint could not hold both.

    Bad:

        layers:
          - {kind: linear, name: loss, out: 10}

    Good:

        layers:
          - {kind: linear, name: logits, out: 10}
    """
    names: list[tuple[str, Path]] = [(n.name, head(n)) for n in program.nodes if n.layer.name is not None]
    names += [(s.name, (*s.origin, "name")) for s in program.subspaces]
    arrays = {t.name: node.name for node in program.nodes for t in node.tensors}
    arrays |= {t.name: route.node for route in program.routes for t in route.tensors}
    arrays |= {t.name: subspace.name for subspace in program.subspaces for t in subspace.tensors}
    lengths = sorted({len(array) for array in arrays}, reverse=True)
    for name, path in names:
        if name in RESERVED:
            yield RESERVED_NAME.at(
                path, f"`{name}` is a reserved name", help=f"choose a name other than {listed(RESERVED)}"
            )
        elif not _NAME.fullmatch(name):
            shown = f"`{name}`" if name else "an empty text"
            help = "use letters, digits, `_` and `-`, with `.` between parts"
            yield RESERVED_NAME.at(path, f"{shown} cannot be a name", help=help)
        elif array := next((a for a in _beginnings(name, lengths) if a in arrays), None):
            message = f"`{name}` collides with the array `{array}` of `{arrays[array]}`"
            yield RESERVED_NAME.at(path, message, help="choose another name")


def _beginnings(name: str, lengths: Sequence[int]) -> Iterator[str]:
    """`a.b.c`, `a.b` and `a`, of these lengths: what lies behind an array's name belongs to its optimiser."""
    for length in lengths:
        if length == len(name) or name[length : length + 1] == ".":
            yield name[:length]
