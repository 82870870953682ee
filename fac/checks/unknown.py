"""FAC201: names of layers, error sources and subspaces that there are not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache, partial
from itertools import chain
from operator import itemgetter

from fac.checks.places import (
    Guess,
    full_names,
    has_parameters,
    has_weights,
    in_parts,
    listed,
    of_copies,
    read,
    short_hand,
    target,
    written,
    written_readers,
)
from fac.diagnostics import Diagnostic, Fix, Path, Rule
from fac.program.globs import is_glob
from fac.program.program import INPUT, LOSS, Program

UNKNOWN_NAME = Rule("FAC201", "unknown-name")


def unknown_name(program: Program) -> Iterator[Diagnostic]:
    """A layer, an error source or a subspace is named that does not exist, by a layer, a loss or a route.

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
    yield from _losses(program)
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


def _losses(program: Program) -> Iterator[Diagnostic]:
    guess = Guess()
    for objective in program.losses:
        if objective.mask is not None and objective.mask not in {*program.inputs, *program.by_name}:
            path = (*objective.origin, "mask")
            help, fix = _mended(guess, path, objective.mask, program.inputs, "the inputs are {}")
            yield UNKNOWN_NAME.at(path, f"no input is called `{objective.mask}`", help=help, fix=fix)
        if objective.of in program.by_name or not program.nodes:
            continue
        path = (*objective.origin, "of")
        if within := _inside(program, objective.of):
            message, help = _hidden(objective.of, within)
            yield UNKNOWN_NAME.at(path, message, help=help)
            continue
        help, fix = _mended(guess, path, objective.of, program.by_name, "the layers are {}")
        yield UNKNOWN_NAME.at(path, f"no layer is called `{objective.of}`", help=help, fix=fix)


def _reads(program: Program) -> Iterator[Diagnostic]:
    first: dict[str, int] = {}
    for index, node in enumerate(program.nodes):
        first.setdefault(node.name, index)
    opened = {block.name: block.place for block in reversed(program.blocks)}
    guess, hidden = Guess(), cache(partial(_inside, program))  # copies of a block use the same words
    parts, copied = _parts(program), cache(partial(_copied, program))
    for index, reader in sorted(written_readers(program), key=itemgetter(0)):
        for path, word, name in read(reader):
            # `input` inside of a block is what the block reads, and what is wrong with that is said there.
            if word == INPUT or name in program.inputs or first.get(name, index) < index:
                continue
            later = next((n for n in full_names(word, reader.scope) if n in first or n in opened), None)
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
            elif last := next((parts[n] for n in full_names(word, reader.scope) if n in parts), None):
                message = f"`{word}` is a part of a block, and no layer"
                yield UNKNOWN_NAME.at(path, message, help=f"its last layer is `{last}`")
            elif within := hidden(word):
                message, help = _hidden(word, within)
                yield UNKNOWN_NAME.at(path, message, help=help)
            elif one := next((copied()[n] for n in full_names(word, reader.scope) if n in copied()), None):
                message, help = _numbered(word, _short(one, reader.scope))
                yield UNKNOWN_NAME.at(path, message, help=help)
            else:
                above = (_short(other, reader.scope) for other, at in first.items() if at < index)
                known = chain(dict.fromkeys((INPUT, *program.inputs)), above)
                help, fix = _mended(guess, path, word, known, "the layers above are {}")
                yield UNKNOWN_NAME.at(path, f"no layer is called `{word}`", help=help, fix=fix)


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
        if (bare := of_copies(name, "")) != name:
            found.setdefault(bare, name)
    return found


def _hidden(name: str, within: str) -> tuple[str, str]:
    """Message and help for the name of a layer inside of a block."""
    return f"`{name}` stands inside of a block, and is not known by this name outside", f"write `{within}`"


def _numbered(name: str, one: str) -> tuple[str, str]:
    """Message and help for the name of a layer in a part of a block, where one is named, without that part's number."""
    return f"`{name}` stands in parts of a block, which have numbers", f"write `{one}`"


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
            message, _ = _numbered(route.node, one)
            yield UNKNOWN_NAME.at(target(route), message, help=in_parts(one))
        elif route.node not in program.by_name:
            path, otherwise = target(route), f"the layers with {what} are {{}}" if known else ""
            help, fix = guess.mended(path, route.node, known, otherwise)
            yield UNKNOWN_NAME.at(path, f"no layer is called `{route.node}`", help=help, fix=fix)
        if route.through:
            continue
        if route.source not in sources and (within := _inside(program, route.source)):
            message, help = _hidden(route.source, within)
            yield UNKNOWN_NAME.at((*route.origin, "from"), message, help=help)
        elif route.source not in sources and (one := copied().get(route.source)):
            message, help = _numbered(route.source, one)
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
            found = copied().get(at)
            if (within := _inside(program, at)) or found:
                message, help = _hidden(at, within) if within else _numbered(at, found or at)
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
