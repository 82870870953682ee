"""The layers of a spec, blocks written out: flat nodes with dotted names, each behind those that it reads.

Names are lexical, see `fac.program.naming`. Who reads a block reads its output.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from fac.diagnostics import Path
from fac.plugins import PluginError, misuse
from fac.program import bounds
from fac.program.kinds import BlockKind, ShapeError
from fac.program.naming import full_names
from fac.program.program import INPUT, Block, Fault, Node, Shape
from fac.spec.layers import Layer, ParametricLayer

Make = Callable[[Any, Layer, str, tuple[str, ...], Mapping[str, Shape | None], Path, str], Node]
"""`make(kind, layer, name, inputs, shapes, origin, scope)`: the node of a layer that is no block."""


@dataclass
class Writing:
    """What all scopes of a network share while it is written out."""

    kind_of: Callable[[Layer], Any]
    make: Make
    shapes: dict[str, Shape | None]
    """Of what stands already, by full name."""
    outputs: dict[str, str] = field(default_factory=dict)
    """For the full name of each layer and block that stands already the node to read."""
    blocks: list[Block] = field(default_factory=list)
    around: dict[str, str] = field(default_factory=dict)
    """For each block, and each part of one, the scope that it stands in."""
    names: list[str] = field(default_factory=list)
    """Of what stands already, in order."""
    ties: dict[str, str] = field(default_factory=dict)
    """For each layer that stands already and shares the parameters of another one the name of that."""
    inside: Counter[str] = field(default_factory=Counter)
    """How many layers and blocks stand inside of blocks."""

    def count(self, what: str, origin: Path) -> None:
        """One more inside of a block. Kinds that say what they stand for are bounded before: `bounds.few_layers`.

        Raises:
            SpecError: there are too many.
        """
        self.inside[what] += 1
        if self.inside[what] > bounds.MAX_LAYERS:
            message = f"with this layer the blocks stand for more than {bounds.MAX_LAYERS:,} {what}"
            raise bounds.too_large((*origin, "kind"), message, "repeat less often")


@dataclass
class Scope:
    """A place where names are given: the network, a block, or a part of one. Kinds see it as `Inside`."""

    name: str
    input: str
    origin: Path
    around: Scope | None
    writing: Writing
    given: str | None = None
    """What the spec calls the block."""
    inputs: tuple[str, ...] = ()
    """See `Inside`."""
    beside: tuple[str, ...] = ()
    """See `Inside`."""
    twin: tuple[str, str] | None = None
    """A scope around this one, or itself, and another one whose layers of equal names own the parameters of these."""
    frozen: bool = False
    """Whether it stands in a block that is not trainable, or is one."""
    counts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def top(
        cls, shapes: Mapping[str, Shape], start: str, kind_of: Callable[[Layer], Any], make: Make
    ) -> Scope:
        """The scope of the network that reads samples of these shapes, by their names; `input` means `start`."""
        outputs = {name: name for name in shapes}
        return cls("", start, (), None, Writing(kind_of, make, dict(shapes), outputs))

    def shape(self, name: str) -> Shape | None:
        """See `Inside`."""
        return self.writing.shapes.get(name)

    def chain(
        self,
        layers: Sequence[Layer],
        start: str,
        *key: str | int,
        scope: str = "",
        tie: str | None = None,
    ) -> Generator[Node, None, str]:
        """See `Inside`."""
        own = replace(self._part(scope, tie), input=start)
        previous = start
        for index, layer in enumerate(map(own._kept, layers)):
            kind = self.writing.kind_of(layer)
            name = own._called(kind.name, layer.name)
            reads = tuple(map(own._resolved, layer.reads)) or (previous,)
            beside = tuple(map(own._resolved, layer.beside.values()))
            origin: Path = (*self.origin, *key, index)
            if isinstance(kind, BlockKind):
                yield from own._block(kind, layer, name, reads, beside, origin)
            else:
                node = self.writing.make(
                    kind, layer, name, (*reads, *beside), self.writing.shapes, origin, own.name
                )
                yield own._stands(own._tied(node))
            previous = self.writing.outputs[name]
        return previous

    def above(self, word: str) -> str | None:
        """See `Inside`."""
        assert self.around is not None, "the network reads nothing"
        name = self.around._resolved(word)
        return name if name in self.writing.shapes else None

    def leaf(
        self,
        layer: Layer,
        inputs: Sequence[str],
        own: bool = False,
        misfit: ShapeError | None = None,
        scope: str = "",
        tie: str | None = None,
    ) -> Node:
        """See `Inside`."""
        if scope:
            return self._part(scope, tie).leaf(layer, inputs, misfit=misfit)
        layer, kind = self._kept(layer), self.writing.kind_of(layer)
        if own:
            layer = layer.model_copy(update={"name": self.given})
        name = self.name if own else self._called(kind.name, layer.name)
        node = self.writing.make(
            kind, layer, name, tuple(inputs), self.writing.shapes, self.origin, self.name
        )
        node = self._tied(node)
        if misfit is not None:
            node = replace(node, shape=None, tensors=(), weight=None, fault=_fault(misfit))
        # A sum that bears the name of its block stands where the block does.
        return (self.around or self)._stands(node) if own else self._stands(node)

    def _part(self, scope: str, tie: str | None) -> Scope:
        """The scope of some of its layers together; itself if that has no name."""
        if not scope:
            return self
        name = self._full(scope)
        self.writing.around[name] = self.name
        twin = (name, self._full(tie)) if tie else self.twin
        return replace(self, name=name, around=self, counts=Counter(), twin=twin)

    def _block(
        self,
        kind: BlockKind,
        layer: Layer,
        name: str,
        reads: tuple[str, ...],
        beside: tuple[str, ...],
        origin: Path,
    ) -> Iterator[Node]:
        place, last, fault = len(self.writing.names), reads[0], None
        frozen = self.frozen or not getattr(layer, "trainable", True)
        self.writing.around.setdefault(name, self.name)
        inside = Scope(
            name, reads[0], origin, self, self.writing, layer.name, reads, beside, self.twin, frozen
        )
        if self.name:
            self.writing.count("blocks", origin)
        try:
            if len(reads) > 1 and not kind.several:
                problem = f"`{name}` reads one layer, not {len(reads)}"
                raise ShapeError(problem, "join them with an `add` layer first", "from")
            for node in _nodes(kind, layer, inside):
                last = node.name
                yield node
        except ShapeError as error:
            fault = _fault(error)
        except PluginError as error:
            fault = Fault(error.fact, error.help, plugin=True)
        if fault is not None:
            # Stands for the whole block, and reads what there is of it, so that this is the only finding.
            inputs = (*dict.fromkeys((last, *reads[1:])), *beside)
            yield self._stands(Node(name, layer, inputs, None, origin, fault=fault))
            last = name
        self.writing.outputs.setdefault(name, last)
        self.writing.blocks.append(Block(name, layer, (*reads, *beside), last, origin, place, self.name))

    def _stands(self, node: Node) -> Node:
        """A node that others may read from now on."""
        if self.name:
            self.writing.count("layers", node.origin)
        self.writing.names.append(node.name)
        self.writing.shapes.setdefault(node.name, node.shape)
        self.writing.outputs.setdefault(node.name, node.name)
        return node if node.scope == self.name else replace(node, scope=self.name)

    def _tied(self, node: Node) -> Node:
        """The node with the name of the layer that it shares parameters with, if it is meant to share any."""
        word, owner = getattr(node.layer, "tie", None), None
        if self.twin is not None and (node.tensors or isinstance(node.layer, ParametricLayer)):
            own, first = self.twin
            twin = first + node.name.removeprefix(own)
            owner = self.writing.ties.get(twin, twin)
        elif word is not None:
            owner = next((name for name in self._meant(word) if name in self.writing.outputs), word)
        if owner is None:
            return node
        self.writing.ties.setdefault(node.name, owner)
        return replace(node, tie=owner)

    def _kept(self, layer: Layer) -> Layer:
        """The layer, which keeps its parameters if this scope does."""
        still = self.frozen and isinstance(layer, ParametricLayer) and layer.trainable
        return layer.model_copy(update={"trainable": False}) if still else layer

    def _called(self, kind: str, name: str | None) -> str:
        self.counts[kind] += 1
        return self._full(name or f"{kind}_{self.counts[kind]}")

    def _full(self, name: str) -> str:
        return f"{self.name}.{name}" if self.name else name

    def _resolved(self, name: str) -> str:
        """The node that a layer in this scope means by a name; the name itself if there is none."""
        if name == INPUT:
            return self.input
        return next((o for n in self._meant(name) if (o := self.writing.outputs.get(n)) is not None), name)

    def _meant(self, name: str) -> Iterator[str]:
        """What a name could mean here, in full."""
        return full_names(name, self.name, self.writing.around)


def _nodes(kind: BlockKind, layer: Layer, inside: Scope) -> Iterator[Node]:
    """What a kind writes out.

    Raises:
        PluginError: something else than nodes, none, or other ones than it made, each behind those that it reads.
    """
    found = kind.expand(layer, inside)
    if not isinstance(found, Iterator):
        raise misuse(
            kind.expand, f"returns {type(found).__name__} where an iterator of nodes is needed", inside.name
        )
    names, begun = inside.writing.names, len(inside.writing.names)
    made, given, seen, count = set[str](), dict[str, Node](), 0, 0
    for node in found:
        if not isinstance(node, Node):
            raise misuse(kind.expand, f"yields {type(node).__name__} where a node is needed", inside.name)
        made.update(names[begun + seen :])
        seen = len(names) - begun
        problem = _misplaced(node, inside, made, given)
        if problem is not None:
            raise misuse(kind.expand, problem, inside.name)
        given[node.name] = node
        count += 1
        yield node
    if not given:
        raise misuse(kind.expand, "yields no layer", inside.name)
    if len(names) - begun != count:
        problem = f"makes {len(names) - begun} layers, and yields {count} of them"
        raise misuse(kind.expand, problem, inside.name)


def _misplaced(node: Node, inside: Scope, made: Set[str], given: Mapping[str, Node]) -> str | None:
    """Why a node cannot follow those that a block has given so far, if it cannot."""
    if node.name not in made:
        return f"yields `{node.name}`, which it did not make by `inside`"
    before, written = given.get(node.name), node.origin == inside.origin
    if before is node or (before is not None and written):  # two of a spec that share a name are its mistake
        return f"yields `{node.name}` twice"
    if inside.name in given:
        return (
            f"yields `{node.name}` behind the layer that bears the block's own name, which has to be the last"
        )
    named = {inside.input, *inside.inputs, *inside.beside}  # which are not there, if the spec misspells them
    for read in node.inputs:
        if read in made and read not in given and read != node.name:
            return f"yields `{node.name}`, and has not yet yielded `{read}`, which that reads"
        if written and read not in inside.writing.shapes and read not in named:
            return f"yields `{node.name}`, which reads `{read}`, and that there is not"
    return None


def _fault(error: ShapeError) -> Fault:
    return Fault(str(error), error.help, error.field)
