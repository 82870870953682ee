"""FAC201, FAC202, FAC204: names of layers and subspaces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import chain
from operator import itemgetter

from fac.checks.places import Guess, has_parameters, has_weights, head, listed, short_hand, target, written
from fac.diagnostics import Diagnostic, Fix, Path, Rule, dotted
from fac.program.globs import is_glob
from fac.program.program import INPUT, LOSS, Block, Node, Program

UNKNOWN_NAME = Rule("FAC201", "unknown-name")
DUPLICATE_NAME = Rule("FAC202", "duplicate-name")
RESERVED_NAME = Rule("FAC204", "reserved-name")

RESERVED = (INPUT, LOSS, "targets", "step", "x", "y", "lr")
_NUMBER = re.compile(r"\.\d+(?=\.)")
"""Of a copy or a branch of a block, in a name."""
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def unknown_name(program: Program) -> Iterator[Diagnostic]:
    """A layer, an error source or a subspace is named that does not exist.

    Layers can be read by layers below them in the file only, so that the network has no loops. A layer without a
    name of its own is called by its kind and a number: the second `relu` is `relu_2`. Such a name moves to another
    layer when one is put in before it, so it pays to name what routes speak of. A layer inside of a block reads those
    of the block and those around it; from outside it is called by its full name, such as `block.fc1`, and `block` is
    what the block makes. Until the name is mended nothing is
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
        elif (
            subspace.of != LOSS
            and subspace.of not in program.by_name
            and (within := _inside(program, subspace.of))
        ):
            message, help = _hidden(subspace.of, within)
            yield UNKNOWN_NAME.at(path, message, help=help)
        elif subspace.of != LOSS and subspace.of not in program.by_name:
            message = f"no error source is called `{subspace.of}`"
            known = LOSS, *program.by_name
            help, fix = _mended(guess, path, subspace.of, known, "a subspace reads `loss` or a layer")
            yield UNKNOWN_NAME.at(path, message, help=help, fix=fix)


def _reads(program: Program) -> Iterator[Diagnostic]:
    first: dict[str, int] = {}
    for index, node in enumerate(program.nodes):
        first.setdefault(node.name, index)
    opened = {block.name: block.place for block in reversed(program.blocks)}
    guess, hidden = Guess(), cache(partial(_inside, program))  # copies of a block use the same words
    parts = _parts(program)
    for index, reader in sorted(_named(program), key=itemgetter(0)):
        for place, (word, name) in enumerate(zip(reader.layer.reads, reader.inputs, strict=False)):
            # `input` inside of a block is what the block reads, and what is wrong with that is said there.
            if word == INPUT or first.get(name, index) < index:
                continue
            path: Path = (*reader.origin, "from")
            path = path if isinstance(reader.layer.from_, str) else (*path, place)
            later = next((n for n in _full(word, reader.scope) if n in first or n in opened), None)
            if later == reader.name and opened.get(later, first.get(later)) == index:
                message = f"`{later}` reads itself"
                yield UNKNOWN_NAME.at(path, message, help="name a layer above it, or `input`")
            elif later is not None and reader.scope and f"{reader.scope}.".startswith(f"{later}."):
                message = f"`{reader.name}` stands inside of `{later}` and cannot read it"
                yield UNKNOWN_NAME.at(path, message, help="`input` is what the block reads")
            elif later is not None:
                message = f"`{reader.name}` reads `{later}`, which comes later"
                help = f"a layer reads layers above it: move `{reader.name}` below `{later}`"
                yield UNKNOWN_NAME.at(path, message, help=help)
            elif last := next((parts[n] for n in _full(word, reader.scope) if n in parts), None):
                message = f"`{word}` is a part of a block, and no layer"
                yield UNKNOWN_NAME.at(path, message, help=f"its last layer is `{last}`")
            elif within := hidden(word):
                message, help = _hidden(word, within)
                yield UNKNOWN_NAME.at(path, message, help=help)
            else:
                above = (_short(other, reader.scope) for other, at in first.items() if at < index)
                help, fix = _mended(guess, path, word, chain([INPUT], above), "the layers above are {}")
                yield UNKNOWN_NAME.at(path, f"no layer is called `{word}`", help=help, fix=fix)


def _full(name: str, scope: str) -> Iterator[str]:
    """What a name could mean in a scope, and in those around it."""
    while scope:
        yield f"{scope}.{name}"
        scope = scope.rpartition(".")[0]
    yield name


def _short(name: str, scope: str) -> str:
    """What a layer is called in a scope."""
    while scope and not name.startswith(f"{scope}."):
        scope = scope.rpartition(".")[0]
    return name[len(scope) + 1 :] if scope else name


def _inside(program: Program, name: str) -> str | None:
    """A layer of that name inside of a block."""
    return next((node.name for node in program.nodes if node.name.endswith(f".{name}")), None)


def _parts(program: Program) -> dict[str, str]:
    """For each part of a block, such as one of its copies, `deep.0`, its last layer."""
    found: dict[str, str] = {}
    for node in program.nodes:
        scope = node.scope
        while scope:
            found[scope] = node.name
            scope = scope.rpartition(".")[0]
    return found


def _copied(program: Program) -> dict[str, str]:
    """The first layer of each name that would be, had copies and branches of blocks no numbers."""
    found: dict[str, str] = {}
    for name in program.by_name:
        if (bare := _NUMBER.sub("", name)) != name:
            found.setdefault(bare, name)
    return found


def _hidden(name: str, within: str) -> tuple[str, str]:
    """Message and help for the name of a layer inside of a block."""
    return f"`{name}` stands inside of a block, and is not known by this name outside", f"write `{within}`"


def _routes(program: Program) -> Iterator[Diagnostic]:
    weighted = [node.name for node in program.nodes if has_weights(node)]
    parametric = [node.name for node in program.nodes if has_parameters(node)]
    sources = dict.fromkeys((LOSS, *program.subspace, *program.by_name))
    guess, parts, copied = Guess(), _parts(program), cache(partial(_copied, program))
    for route in program.routes:
        if short_hand(program, route) is not None:
            continue
        known, what = (weighted, "weights") if route.through else (parametric, "parameters")
        if route.node not in program.by_name and route.node in program.outputs:
            inside = [name for name in known if name.startswith(f"{route.node}.")]
            help = f"name a layer inside: {listed(inside, 'or')}" if inside else ""
            yield UNKNOWN_NAME.at(target(route), f"`{route.node}` is a block, and no layer", help=help)
        elif route.node not in program.by_name and route.node in parts:
            inside = [name for name in known if name.startswith(f"{route.node}.")]
            help = f"name a layer inside: {listed(inside, 'or')}" if inside else ""
            yield UNKNOWN_NAME.at(
                target(route), f"`{route.node}` is a part of a block, and no layer", help=help
            )
        elif route.node not in program.by_name and (within := _inside(program, route.node)):
            message, help = _hidden(route.node, within)
            yield UNKNOWN_NAME.at(target(route), message, help=help)
        elif route.node not in program.by_name and (one := copied().get(route.node)):
            message = f"`{route.node}` stands in parts of a block, which have numbers"
            help = f"write `{_NUMBER.sub('.*', one)}` for all of them, or `{one}` for one"
            yield UNKNOWN_NAME.at(target(route), message, help=help)
        elif route.node not in program.by_name:
            path, otherwise = target(route), f"the layers with {what} are {{}}" if known else ""
            help, fix = guess.mended(path, route.node, known, otherwise)
            yield UNKNOWN_NAME.at(path, f"no layer is called `{route.node}`", help=help, fix=fix)
        if route.through:
            continue
        if route.source not in sources and (within := _inside(program, route.source)):
            message, help = _hidden(route.source, within)
            yield UNKNOWN_NAME.at((*route.origin, "from"), message, help=help)
        elif route.source not in sources and (last := parts.get(route.source)):
            message = f"`{route.source}` is a part of a block, and no layer"
            yield UNKNOWN_NAME.at((*route.origin, "from"), message, help=f"its last layer is `{last}`")
        elif route.source not in sources:
            path, otherwise = (*route.origin, "from"), "an error source is `loss`, a layer or a subspace"
            help, fix = _mended(guess, path, route.source, sources, otherwise)
            yield UNKNOWN_NAME.at(path, f"no error source is called `{route.source}`", help=help, fix=fix)
        at = written(program.spec, route.origin).at
        if at is not None and program.meant(at) not in program.by_name:
            path = (*route.origin, "at")
            if within := _inside(program, at):
                message, help = _hidden(at, within)
                yield UNKNOWN_NAME.at(path, message, help=help)
                continue
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
    first or overwrite its arrays in a checkpoint. Layers of two blocks may share a name, for in full they are
    `a.fc1` and `b.fc1`. A layer without a name of its own takes one: the second `relu` is
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
    origins: dict[str, Path] = {}
    for _, node in sorted(_named(program), key=itemgetter(0)):
        # The sum that ends a block has the block's name.
        if node.name in taken and origins[node.name] != node.origin:
            message = f"{taken[node.name]} is already called `{node.name}`"
            help = "give one of the two another name"
            if node.layer.name is None:
                message += ", which this layer is called, too, because it has no name of its own"
                help = "give this layer a `name`"
            yield DUPLICATE_NAME.at(head(node), message, help=help)
        # Layers of the file can be counted; those inside of blocks are called by their place in it.
        place = f"layer {int(node.origin[1]) + 1}" if len(node.origin) == 2 else f"`{dotted(node.origin)}`"
        taken.setdefault(node.name, place if isinstance(node, Node) else "a block")
        origins.setdefault(node.name, node.origin)
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


def _named(program: Program) -> Iterator[tuple[int, Node | Block]]:
    """Layers and blocks, each with the number of layers above it; a block before the layers inside."""
    yield from ((block.place, block) for block in program.blocks)
    yield from enumerate(program.nodes)


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
    given = (n for _, n in _named(program) if n.layer.name is not None)
    names = [(n.name, n.name[len(n.scope) + 1 if n.scope else 0 :], head(n)) for n in given]
    names += [(s.name, s.name, (*s.origin, "name")) for s in program.subspaces]
    arrays = {t.name: node.name for node in program.nodes for t in node.tensors}
    arrays |= {t.name: route.node for route in program.routes for t in route.tensors}
    arrays |= {t.name: subspace.name for subspace in program.subspaces for t in subspace.tensors}
    lengths = sorted({len(array) for array in arrays}, reverse=True)
    for name, own, path in dict.fromkeys(names):
        if own in RESERVED:
            yield RESERVED_NAME.at(
                path, f"`{own}` is a reserved name", help=f"choose a name other than {listed(RESERVED)}"
            )
        elif not _NAME.fullmatch(own):
            shown = f"`{own}`" if own else "an empty text"
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
