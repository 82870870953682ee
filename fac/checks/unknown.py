"""FAC201: names of layers, error sources and subspaces that there are not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import chain
from operator import itemgetter

from fac.checks.places import (
    Guess,
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
from fac.diagnostics import Diagnostic, Path, Rule
from fac.program.globs import is_glob
from fac.program.naming import full_names, short_name
from fac.program.program import INPUT, LOSS, TARGETS, Block, Node, Program

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
    unknown = Unknown(program)
    yield from _reads(program, unknown)
    yield from _routes(program, unknown)
    yield from _losses(program, unknown)
    for subspace in program.subspaces:
        path = (*subspace.origin, "of")
        if subspace.of in _errors(program) or subspace.of in program.by_name:
            continue
        if subspace.of in program.subspace:
            message = f"`{subspace.of}` is a subspace, and a subspace reads `loss` or a layer"
            yield UNKNOWN_NAME.at(path, message, help=f"write `of: {program.subspace[subspace.of].of}`")
            continue
        known = (*_errors(program), *program.by_name)
        otherwise = "a subspace reads `loss`, `targets` or a layer"
        yield unknown.at(path, subspace.of, known, otherwise, "error source")


class Unknown:
    """The findings for words that name nothing: each what the word would mean elsewhere, or one that is like it."""

    def __init__(self, program: Program) -> None:
        self.program, self.guess = program, Guess()

    def at(
        self,
        path: Path,
        word: str,
        known: Iterable[str],
        otherwise: str,
        what: str = "layer",
        scope: str = "",
    ) -> Diagnostic:
        """The finding where one name is needed.

        Args:
            path: of the word.
            word: it.
            known: what it could be.
            otherwise: the help where it is like none of these, for which `{}` in it stands.
            what: one of them.
            scope: in which it is looked up.
        """
        names = tuple(full_names(word, scope, self.program.scopes))
        if last := next((self._parts[name][-1] for name in names if name in self._parts), None):
            message, help = f"`{word}` is a part of a block, and no layer", f"its last layer is `{last}`"
        elif within := self._inside.get(word):
            message, help = _hidden(word), f"write `{within}`"
        elif one := next((self._copied[name] for name in names if name in self._copied), None):
            message, help = _numbered(word), f"write `{short_name(one, scope, self.program.scopes)}`"
        else:
            return self.like(path, word, known, otherwise, what)
        return UNKNOWN_NAME.at(path, message, help=help)

    def like(self, path: Path, word: str, known: Iterable[str], otherwise: str, what: str) -> Diagnostic:
        """The same of what no block has."""
        message = f"no {what} is called `{word}`"
        if is_glob(word):
            key = next(part for part in reversed(path) if isinstance(part, str))
            return UNKNOWN_NAME.at(path, message, help=f"`{key}` takes a name, and no glob")
        help, fix = self.guess.mended(path, word, known, otherwise)
        return UNKNOWN_NAME.at(path, message, help=help, fix=fix)

    def aim(self, path: Path, word: str, known: Iterable[str], what: str) -> Diagnostic:
        """The same for the layer that a route goes through or to, which may be a glob, and is no block.

        Args:
            path: see `at`.
            word: see `at`.
            known: layers that have what it takes.
            what: that.
        """
        known = list(known)
        if word in self.program.outputs or word in self._parts:
            inside = [name for name in known if name.startswith(f"{word}.")]
            message = f"`{word}` is {'a block' if word in self.program.outputs else 'a part of a block'}, and no layer"
            help = f"name a layer inside: {listed(inside, 'or')}" if inside else ""
        elif within := self._inside.get(word):
            message, help = _hidden(word), f"write `{within}`"
        elif one := self._copied.get(word):
            message, help = _numbered(word), in_parts(one)
        else:
            help, fix = self.guess.mended(
                path, word, known, f"the layers with {what} are {{}}" if known else ""
            )
            return UNKNOWN_NAME.at(path, f"no layer is called `{word}`", help=help, fix=fix)
        return UNKNOWN_NAME.at(path, message, help=help)

    @cached_property
    def _parts(self) -> dict[str, list[str]]:
        """For each part of a block, such as one of its copies, `deep.0`, its layers."""
        found: dict[str, list[str]] = {}
        for node in self.program.nodes:
            scope = node.scope
            while scope:
                if scope not in self.program.outputs:
                    found.setdefault(scope, []).append(node.name)
                scope = self.program.scopes[scope]
        return found

    @cached_property
    def _inside(self) -> dict[str, str]:
        """The first layer for each name that one has in a block around it."""
        found: dict[str, str] = {}
        for node in self.program.nodes:
            scope = node.scope
            while scope:
                found.setdefault(node.name[len(scope) + 1 :], node.name)
                scope = self.program.scopes[scope]
        return found

    @cached_property
    def _copied(self) -> dict[str, str]:
        """The first layer of each name that would be, had copies and branches of blocks no numbers."""
        found: dict[str, str] = {}
        for name in self.program.by_name:
            if (bare := of_copies(name, "")) != name:
                found.setdefault(bare, name)
        return found


def _hidden(name: str) -> str:
    return f"`{name}` stands inside of a block, and is not known by this name outside"


def _numbered(name: str) -> str:
    return f"`{name}` stands in parts of a block, which have numbers"


def _losses(program: Program, unknown: Unknown) -> Iterator[Diagnostic]:
    for objective in program.losses:
        mask = objective.mask
        if mask is not None and mask not in {*program.inputs, *program.by_name}:
            path, known = (*objective.origin, "mask"), program.inputs
            yield unknown.like(path, mask, known, "the inputs are {}", "input")
        if objective.of not in program.by_name and program.nodes:
            path = (*objective.origin, "of")
            yield unknown.at(path, objective.of, program.by_name, "the layers are {}")


def _reads(program: Program, unknown: Unknown) -> Iterator[Diagnostic]:
    first: dict[str, int] = {}
    for index, node in enumerate(program.nodes):
        first.setdefault(node.name, index)
    opened = {block.name: block.place for block in reversed(program.blocks)}
    for index, reader in sorted(written_readers(program), key=itemgetter(0)):
        for path, word, name in read(reader):
            # `input` inside of a block is what the block reads, and what is wrong with that is said there.
            if word == INPUT or name in program.inputs or first.get(name, index) < index:
                continue
            names = full_names(word, reader.scope, program.scopes)
            later = next((n for n in names if n in first or n in opened), None)
            if later is not None:
                itself = later == reader.name and opened.get(later, first.get(later)) == index
                message, help = _too_late(reader, later, itself)
                yield UNKNOWN_NAME.at(path, message, help=help)
                continue
            above = (short_name(n, reader.scope, program.scopes) for n, at in first.items() if at < index)
            known = chain(dict.fromkeys((INPUT, *program.inputs)), above)
            yield unknown.at(path, word, known, "the layers above are {}", scope=reader.scope)


def _too_late(reader: Node | Block, read: str, itself: bool) -> tuple[str, str]:
    """Message and help where a layer reads one that there is, and that does not stand above."""
    if itself:
        return f"`{read}` reads itself", "name a layer above it, or `input`"
    if f"{reader.scope}.".startswith(f"{read}."):
        return (
            f"`{reader.name}` stands inside of `{read}` and cannot read it",
            "`input` is what the block reads",
        )
    if _copies(reader.name, read):
        help = "no copy reads one behind it: what the one before makes is `input`"
        return f"`{reader.name}` reads `{read}`, which stands in a later copy of its block", help
    help = f"a layer reads layers above it: move `{reader.name}` below `{read}`"
    return f"`{reader.name}` reads `{read}`, which comes later", help


def _copies(reader: str, read: str) -> bool:
    """Whether two names part at the number of a copy: `blk.0.fc1` and `blk.1.fc1`."""
    parts = zip(reader.split("."), read.split("."), strict=False)
    return next((one.isdecimal() and other.isdecimal() for one, other in parts if one != other), False)


def _errors(program: Program) -> tuple[str, ...]:
    """What names an error, or what stands for one, and no layer."""
    return LOSS, TARGETS, *(f"{TARGETS}.{head}" for head in program.heads)


def _routes(program: Program, unknown: Unknown) -> Iterator[Diagnostic]:
    weighted = [node.name for node in program.nodes if has_weights(node)]
    parametric = [node.name for node in program.nodes if has_parameters(node)]
    sources = dict.fromkeys((*_errors(program), *program.subspace, *program.by_name))
    for route in program.routes:
        if short_hand(program, route) is not None:
            continue
        if route.node not in program.by_name:
            known, what = (weighted, "weights") if route.through else (parametric, "parameters")
            yield unknown.aim(target(route), route.node, known, what)
        if route.through:
            continue
        if route.source not in sources:
            path, otherwise = (
                (*route.origin, "from"),
                "an error source is `loss`, `targets`, a layer or a subspace",
            )
            if of := next((o.of for o in program.losses if o.name == route.source), None):
                message = f"`{route.source}` is a loss, which is no error source by its name"
                help = f"write `{of}`, the layer that it reads: the error there is what its losses make"
                yield UNKNOWN_NAME.at(path, message, help=help)
                continue
            yield unknown.at(path, route.source, sources, otherwise, "error source")
        at = written(program.spec, route.origin).at
        if at is not None and program.meant(at) not in program.by_name:
            yield unknown.at((*route.origin, "at"), at, program.by_name, "the layers are {}")
