"""The layers of a program as a tree, in which equal copies of what a block repeats are told once.

Copies are equal if their layers, routes and all that is said of them are, where a name is told by how many copies
away it stands, and what a copy reads by its place among what it reads. What reads the last copy is no copy: it is equal
to the others if its layers and routes are, and what else is said of it stands below them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count, takewhile

from fac.program.lower import kind_of
from fac.program.program import Block, Node, Program, Route

INDENT = "  "
WORD = re.compile(r"[^\s(),]+")
Row = tuple[str, ...]
Rows = Mapping[str, Sequence[Row]]
"""What a table says of layers, by their names; the first cell of each row is a name."""
Run = tuple["Part", ...]
"""Equal copies, one behind the other; or one block."""
Head = Callable[[Run], Row]
"""What a table says of a run."""


@dataclass(eq=False, slots=True)
class Part:
    """A layer, a block, or one of the copies (or branches) of a block's body."""

    name: str
    block: Block | None = None
    own: Node | None = None
    """The layer; of a block the sum that bears its name."""
    parts: dict[str, Part] = field(default_factory=dict)

    @property
    def copies(self) -> bool:
        """Whether its parts are copies."""
        return bool(self.parts) and list(self.parts) == [part.name for part in self.copied]

    @property
    def copied(self) -> tuple[Part, ...]:
        """Those of its parts that are copies: layers for all of them may stand before and behind."""
        named = (self.parts.get(f"{self.name}.{index}") for index in count())
        # a layer, or a block of its own, may be called by a number, too
        copies = takewhile(lambda part: part is not None and part.own is None and part.block is None, named)
        return tuple(part for part in copies if part is not None)

    @property
    def nodes(self) -> Iterator[Node]:
        """All layers in it, in their order."""
        for part in self.parts.values():
            yield from part.nodes
        if self.own is not None:
            yield self.own


class Tree:
    """The parts of a program, and which of them are equal."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.blocks = {block.name: block for block in reversed(program.blocks)}
        self.top: dict[str, Part] = {}
        for node in program.nodes:
            part = self._opened(node.name if node.name in self.blocks else node.scope)
            if node.name in self.blocks and part is not None:
                part.own = node
            else:
                (self.top if part is None else part.parts).setdefault(node.name, Part(node.name, own=node))

    @cached_property
    def sums(self) -> frozenset[str]:
        """The layers that bear the name of a block."""
        return frozenset(node.name for node in self.program.nodes if node.name in self.blocks)

    @cached_property
    def states(self) -> Mapping[str, Node]:
        """Of copies that share their parameters, as the steps of a recurrent layer, what each hands on to several."""
        found: dict[str, Node] = {}
        for block in self.program.blocks:
            copies = () if (part := self._opened(block.name)) is None else part.copied
            for copy in copies:
                last = next(reversed(list(copy.nodes)))
                shares = any(node.owner in self.program.sharing for node in copy.nodes)
                if shares and not last.parametric and len(self.program.readers.get(last.name, ())) > 1:
                    found[copy.name] = last
        return found

    @property
    def landmarks(self) -> frozenset[str]:
        """The layers without weights whose errors have lines of their own."""
        return self.sums | {node.name for node in self.states.values()}

    def rows(self, rows: Rows, head: Head) -> Iterator[Row]:
        """Rows of a table: under the head of each block and of each run of copies the rows of its layers.

        Args:
            rows: what the table says of each layer.
            head: the row above the layers of a run.
        """
        return self._rows(self.top.values(), rows, head, "")

    def runs(self, block: Part, rows: Rows, head: Head) -> list[Run]:
        """The copies of a block, equal ones together."""
        copies = list(block.copied)
        found: list[list[Part]] = []
        before: tuple[Hashable, Hashable] = (None, None)
        for copy in copies:
            relative = _Relative(copy)
            sign = self._made(copy, relative), _said(copy, rows, head, relative)
            if sign == before or (sign[0] == before[0] and copy is copies[-1]):
                found[-1].append(copy)
            else:
                found.append([copy])
            before = sign
        return list(map(tuple, found))

    @cached_property
    def repeated(self) -> Mapping[str, Part]:
        """Blocks with several copies, those inside of others first."""
        found = ((block.name, self._opened(block.name)) for block in self.program.blocks)
        return {name: part for name, part in found if part and part.copies and len(part.parts) > 1}

    @property
    def copies(self) -> Mapping[str, int]:
        """How many copies blocks have, those inside of others first."""
        found = ((block.name, self._opened(block.name)) for block in self.program.blocks)
        return {name: len(part.copied) for name, part in found if part and len(part.copied) > 1}

    def alike(self, copies: Iterable[Part]) -> tuple[bool, bool]:
        """Whether copies have equal layers, and whether all else that the spec says of them is equal, too."""
        layers, others = zip(*(self._made(copy, _Relative(copy)) for copy in copies), strict=True)
        return len(set(layers)) == 1, len({*zip(layers, others, strict=True)}) == 1

    def _opened(self, scope: str) -> Part | None:
        """The block or copy of that name, made where it is not there yet; None for the network itself."""
        if not scope:
            return None
        block = self.blocks.get(scope)
        around = self._opened(block.scope if block else scope.rpartition(".")[0])
        parts = self.top if around is None else around.parts
        return parts.setdefault(scope, Part(scope, block))

    def _rows(
        self, parts: Iterable[Part], rows: Rows, head: Head, indent: str, around: Part | None = None
    ) -> Iterator[Row]:
        copied = () if around is None else around.copied
        for part in parts:
            if around is not None and part in copied:
                if part is copied[0]:
                    yield from self._copies(around, rows, head, indent)
            elif not part.parts:
                yield from (_indented(row, indent) for row in rows.get(part.name, ()))
            elif part.copies and part.own is None:
                yield from self._copies(part, rows, head, indent)
            else:
                yield from self._run((part,), rows, head, indent)

    def _copies(self, block: Part, rows: Rows, head: Head, indent: str) -> Iterator[Row]:
        for run in self.runs(block, rows, head):
            yield from self._run(run, rows, head, indent)

    def _run(self, run: Run, rows: Rows, head: Head, indent: str) -> Iterator[Row]:
        inside = self._inside(run[0], rows, head, indent + INDENT)
        if not inside:
            return
        yield _indented(head(run), indent)
        yield from inside
        if len(run) > 1:
            known, last = set(map(_Relative(run[0]).text, inside)), _Relative(run[-1])
            others = self._inside(run[-1], rows, head, indent + INDENT)
            yield from (row for row in others if last.text(row) not in known)

    def _inside(self, part: Part, rows: Rows, head: Head, indent: str) -> list[Row]:
        parts = part.parts.values()
        inside = (
            self._copies(part, rows, head, indent)
            if part.copies
            else self._rows(parts, rows, head, indent, part)
        )
        return [*inside, *(_indented(row, indent) for row in rows.get(part.name, ()))]

    def _made(self, copy: Part, relative: _Relative) -> tuple[Hashable, Hashable]:
        """The layers of a copy, and what else the spec says of them."""
        nodes = list(copy.nodes)
        block = self.blocks.get(copy.name.rpartition(".")[0])
        # What a block writes of its own in each copy differs by the number of the copy alone, as in what it selects.
        written = None if block is None else block.origin
        layers = tuple(
            (
                type(node.layer)
                if node.origin == written
                else node.layer.model_copy(update={"name": None, "from_": None}),
                node.shape,
                tuple(map(relative.name, node.inputs)),
            )
            for node in nodes
        )
        others = tuple(
            (node.trainable, tuple(self.program.grouped.get(tensor.name) for tensor in node.tensors))
            for node in nodes
        )
        routes = tuple(
            (
                *map(relative.name, (node.name, route.source, self._entry(route))),
                route.matrix,
                route.through,
                route.add,
            )
            for node in nodes
            for route in self._routes.get(node.name, ())
        )
        return layers, (others, routes)

    def _entry(self, route: Route) -> str:
        """Where an error enters, if that is not where it would anyway."""
        return "" if route.site in (None, self.program.sites.get(route.node)) else str(route.site)

    @cached_property
    def _routes(self) -> Mapping[str, Sequence[Route]]:
        found: dict[str, list[Route]] = {}
        for route in self.program.routes:
            found.setdefault(route.node, []).append(route)
        return found


class _Relative:
    """Names as a copy sees them: equal for copies that stand in one another's place."""

    def __init__(self, copy: Part) -> None:
        block, _, index = copy.name.rpartition(".")
        self.block, self.index = f"{block}.", int(index)
        nodes = list(copy.nodes)
        own = {node.name for node in nodes}
        read = dict.fromkeys(name for node in nodes for name in node.inputs if name not in own)
        self.read = {name: f"<{place}>" for place, name in enumerate(read)}
        self.owners = {node.owner for node in nodes if node.shared}
        """Layers whose parameters it shares: those are the same for all copies, however far away."""

    def name(self, name: str) -> str:
        """A name by its place among what the copy reads, or by how many copies away it stands."""
        if name in self.read:
            return self.read[name]
        if self.owners and any(name == owner or name.startswith(f"{owner}.") for owner in self.owners):
            return name
        index, dot, rest = name.removeprefix(self.block).partition(".")
        if not name.startswith(self.block) or not index.isdecimal():
            return name
        return f"<{int(index) - self.index:+}>{dot}{rest}"

    def text(self, row: Row) -> str:
        """A row with all names in it so told."""
        return WORD.sub(lambda found: self.name(found[0]), "\n".join(row))


def _said(copy: Part, rows: Rows, head: Head, relative: _Relative) -> Hashable:
    """All rows that there are of a copy, were each layer and block told by itself."""
    parts = [copy]
    for part in parts:
        parts += part.parts.values()
    heads = (head((part,)) for part in parts if part.parts)
    return tuple(map(relative.text, (*heads, *(row for part in parts for row in rows.get(part.name, ())))))


def globs(copies: Mapping[str, int], names: Iterable[str]) -> list[str]:
    """Names of layers and their arrays, those in all copies of a block as one: `block.*.fc1`.

    Args:
        copies: how many each block has, see `Tree.copies`.
        names: in any order.
    """
    known = list(dict.fromkeys(names))
    for block, times in copies.items():
        inside = re.compile(rf"{re.escape(block)}\.\d+(?=\.|$)")
        found = {name: inside.sub(f"{block}.*", name, count=1) for name in known if inside.match(name)}
        number = Counter(found.values())
        whole = {name: glob for name, glob in found.items() if number[glob] == times}
        known = list(dict.fromkeys(whole.get(name, name) for name in known))
    return known


def calling(run: Run) -> str:
    """What a run is called: `block.0 ... block.7`."""
    return run[0].name if len(run) == 1 else f"{run[0].name} ... {run[-1].name}"


def kind(run: Run) -> str:
    """`8 x`, or the kind of a block; nothing for one copy."""
    if len(run) > 1:
        return f"{len(run)} x"
    block = run[0].block
    return "" if block is None else str(kind_of("fac.layers", block.layer).name)


def _indented(row: Row, indent: str) -> Row:
    return (indent + row[0], *row[1:])
