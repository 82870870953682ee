"""Program: the network and its routing, resolved as far as possible. Names that dangle stay as they were written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod

from fac.program.adapters import Adapted
from fac.program.counted import Counted, Known, counted
from fac.program.globs import Names, is_glob
from fac.program.layout import UNKNOWN, Between, Layout, layouts, loses, of_samples, pools
from fac.program.nodes import INPUT, Block, Fault, Node, Shape
from fac.program.places import Copies, Places, copies_of, led
from fac.program.policy import NO_POLICY, Policy
from fac.program.routes import LOSS, TARGET, TARGETS, Ends, Objective, Route, Subspace, Unmatched
from fac.program.tensors import Tensor
from fac.spec.layers import Head
from fac.spec.model import Input, ModelSpec
from fac.spec.updates import Group, Update

__all__ = [
    "INPUT",
    "LOSS",
    "TARGET",
    "TARGETS",
    "Block",
    "Ends",
    "Fault",
    "Node",
    "Objective",
    "Program",
    "Route",
    "Shape",
    "Subspace",
    "Unmatched",
]


@dataclass(frozen=True)
class Program:
    """What `fac` knows of a spec before any op is written. Checks read this, `fac.build` makes ops of it."""

    spec: ModelSpec
    nodes: tuple[Node, ...]
    routes: tuple[Route, ...] = ()
    subspaces: tuple[Subspace, ...] = ()
    unmatched: tuple[Unmatched, ...] = ()
    policy: Policy = NO_POLICY
    blocks: tuple[Block, ...] = ()
    """What is written out in `nodes` already: for messages, and for names that mean the output of a block."""
    scopes: Mapping[str, str] = field(default_factory=dict)
    """For each block, and each part of one, the scope around it; empty for the network."""
    adapted: tuple[Adapted, ...] = ()
    """The layers with adapters."""
    disabled: frozenset[str] = frozenset()
    """The names of passes that are left out where it is compiled."""

    @cached_property
    def parts(self) -> Mapping[str, str]:
        """For each part of a layer with an adapter the name of that layer, which is what stands in the spec."""
        return {part: layer.name for layer in self.adapted for part in layer.parts}

    @cached_property
    def inputs(self) -> Mapping[str, Input]:
        """What the network reads, by what its layers call it."""
        if self.spec.inputs is not None:
            return self.spec.inputs
        return {} if self.spec.input is None else {INPUT: self.spec.input}

    @cached_property
    def start(self) -> str:
        """What `input` means, and the first layer reads by itself: the one input that is no mask.

        If there are several that is `input`, as nothing is called then.
        """
        found = [name for name, of in self.inputs.items() if not of.mask]
        return found[0] if len(found) == 1 else INPUT

    @cached_property
    def outputs(self) -> Mapping[str, str]:
        """For the name of each block the node that makes its output; of two that share a name the first."""
        return {block.name: block.output for block in reversed(self.blocks)}

    def meant(self, name: str) -> str:
        """The node whose output a name means: that of a block is its last layer's. Other names stay."""
        return self.outputs.get(name, name)

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """Nodes by name; of two that share a name the first."""
        found: dict[str, Node] = {}
        for node in self.nodes:
            found.setdefault(node.name, node)
        return found

    @cached_property
    def standing(self) -> Mapping[int, tuple[Node, ...]]:
        """The nodes that a layer of the spec stands for, by its identity: several in a block that is repeated."""
        found: dict[int, list[Node]] = {}
        for node in self.nodes:
            found.setdefault(id(node.layer), []).append(node)
        return {layer: tuple(nodes) for layer, nodes in found.items()}

    @cached_property
    def readers(self) -> Mapping[str, tuple[Node, ...]]:
        """Which nodes read a node's output (or `input`)."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found.setdefault(name, []).append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    @cached_property
    def sites(self) -> Mapping[str, str]:
        """For each node the value at which a `to` route to it enters: see `fac.program.site`."""
        found: dict[str, str] = {}
        heads, masks = frozenset(self.heads), frozenset(n for n, of in self.inputs.items() if of.mask)
        for name in reversed(list(self.by_name)):
            way: dict[str, None] = {}
            while name not in found and name not in way:
                way[name] = None
                readers = self.readers.get(name, ())
                if len(readers) != 1 or name in heads:
                    break
                # No error goes to a mask; an adapter and what it stands beside are one layer.
                if name not in self.parts and sum(read not in masks for read in readers[0].inputs) != 1:
                    break
                if readers[0].weighted or readers[0].stops:
                    break
                name = readers[0].name
            site = found.get(name, name)
            found.update(dict.fromkeys(way, site))
        return found

    @cached_property
    def layouts(self) -> Mapping[str, Layout]:
        """Along which axes channels lie, of inputs and of what nodes make."""
        found = {
            name: UNKNOWN if of.mask or of.classes else of_samples(of.shape)
            for name, of in self.inputs.items()
        }
        return layouts(self.nodes, found)

    @cached_property
    def losses(self) -> tuple[Objective, ...]:
        """What is minimised the sum of; one, unless the spec writes several."""
        last = self.nodes[-1].name if self.nodes else self.start
        if self.spec.loss is not None:
            return (Objective(self.spec.loss, last, ("loss",)),)
        found: list[Objective] = []
        for index, loss in enumerate(self.spec.losses or ()):
            assert isinstance(loss, Head)
            of = last if loss.of is None else self.meant(loss.of)
            name = loss.name or loss.of or last
            found.append(Objective(loss, of, ("losses", index), loss.target, loss.scale, name))
        return tuple(found)

    @cached_property
    def heads(self) -> tuple[str, ...]:
        """The nodes whose outputs losses read, in the order of the losses."""
        return tuple(dict.fromkeys(objective.of for objective in self.losses))

    @property
    def output(self) -> str:
        """The node whose output the first loss reads: what the network answers; `input` if there are no nodes."""
        return self.losses[0].of

    def class_axis(self, head: str) -> int | None:
        """Along which axis of a head's output a loss over classes finds them; None if nobody knows."""
        node, layout = self.by_name.get(head), self.layouts.get(head)
        if node is None or node.shape is None or layout is None:
            return None
        return 0 if len(node.shape) == 1 else layout.channels

    def classes(self, head: str) -> int | None:
        """How many classes a loss over such finds at a head; None if nobody knows."""
        node, axis = self.by_name.get(head), self.class_axis(head)
        return None if node is None or node.shape is None or axis is None else node.shape[axis]

    @cached_property
    def tapped(self) -> frozenset[str]:
        """Heads at which errors of others arrive too: layers read them, or a route feeds them."""
        fed = {r.site for r in self.routes if not r.through and self.root(r.source) != r.site}
        return frozenset(head for head in self.heads if self.readers.get(head) or head in fed)

    @cached_property
    def weighted(self) -> tuple[Node, ...]:
        """The nodes that feedback can go through."""
        return tuple(node for node in self.nodes if node.weighted)

    @cached_property
    def weighted_names(self) -> Names:
        """Their names, for globs."""
        return Names(node.name for node in self.weighted)

    @cached_property
    def parametric(self) -> tuple[Node, ...]:
        """The nodes that feedback can be brought to."""
        return tuple(node for node in self.nodes if node.parametric)

    @cached_property
    def parametric_names(self) -> Names:
        """Their names, for globs."""
        return Names(node.name for node in self.parametric)

    @cached_property
    def needed(self) -> frozenset[str]:
        """Nodes whose error somebody asks for if no route brings another one: they learn, or something below does."""
        found: set[str] = set()
        for node in self.nodes:
            if node.learns or not (node.stops or found.isdisjoint(node.inputs)):
                found.add(node.name)
        return frozenset(found)

    @cached_property
    def thawed(self) -> Program:
        """The same with every layer learning: what a short-hand stands for once none is frozen any more."""
        return replace(self, nodes=tuple(replace(node, trainable=True) for node in self.nodes))

    @cached_property
    def anchored(self) -> Program | None:
        """The program of the steps that `train.anchor` puts in the place of others; None if it asks for none.

        It differs from this one in nothing but its routes and what its rule freezes.
        """
        from fac.program.lower import lower

        train = self.spec.train
        if train.anchor is None:
            return None
        update = {"feedback": train.anchor, "train": train.model_copy(update={"anchor": None})}
        anchored = lower(self.spec.model_copy(update=update))
        return replace(anchored, policy=self.policy, disabled=self.disabled)

    @cached_property
    def crossing(self) -> frozenset[str]:
        """Nodes from whose output some way to a loss crosses a weight; losses reach the others exactly."""
        found = set[str]()
        for node in reversed(self.nodes):
            readers = self.readers.get(node.name, ())
            above = [reader for reader in readers if reader.name in self.felt and not reader.stops]
            if any(reader.weighted or reader.name in found for reader in above):
                found.add(node.name)
        return frozenset(found)

    @cached_property
    def felt(self) -> frozenset[str]:
        """Nodes whose output has a say in a loss by which an error could come back: not where it is a mask alone."""
        found = set(self.heads)
        for node in reversed(self.nodes):
            readers = self.readers.get(node.name, ())
            if any(reader.name in found and not reader.stops for reader in readers):
                found.add(node.name)
        return frozenset(found)

    @cached_property
    def sharing(self) -> Mapping[str, tuple[Node, ...]]:
        """For each layer whose parameters others share all layers that have them, in order, itself among them."""
        found: dict[str, list[Node]] = {node.owner: [] for node in self.nodes if node.shared}
        for node in self.nodes if found else ():
            if node.owner in found:
                found[node.owner].append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    @cached_property
    def arrays(self) -> tuple[Tensor, ...]:
        """Parameters and feedback matrices in the order of the spec, each once, whoever shares it."""
        owners: tuple[Node | Route | Subspace, ...] = (*self.nodes, *self.routes, *self.subspaces)
        found: dict[str, Tensor] = {}
        for owner in owners:
            for tensor in owner.tensors:
                found.setdefault(tensor.name, tensor)
        return tuple(found.values())

    @cached_property
    def leading(self) -> Mapping[str, frozenset[str]]:
        """For each node the heads to which some way leads from its output, itself among them if it is one."""
        found: dict[str, frozenset[str]] = {}
        for node in reversed(self.nodes):
            own = {node.name} & set(self.heads)
            above = (found.get(reader.name, frozenset()) for reader in self.readers.get(node.name, ()))
            found[node.name] = frozenset(own).union(*above)
        return found

    @cached_property
    def array_names(self) -> Names:
        """The names of all arrays, for globs: of layers, of feedback matrices, and of subspaces."""
        return Names(tensor.name for tensor in self.arrays)

    @property
    def update(self) -> Update:
        """How parameters move, in a spec in which steps move them."""
        assert self.spec.update is not None
        return self.spec.update

    @property
    def groups(self) -> tuple[Group, ...]:
        """Those of the update, if there is one."""
        return self.spec.update.groups if self.spec.update else ()

    @cached_property
    def grouped(self) -> Mapping[str, int]:
        """For each array that a group of the update matches the number of the one that counts.

        That is the last one, those with the array's own name behind all globs.
        """
        last = {group.match: number for number, group in enumerate(self.groups)}
        found: dict[str, int] = {}
        for glob, number in sorted(last.items(), key=lambda of: (not is_glob(of[0]), of[1])):
            found.update(dict.fromkeys(self.array_names.matching(glob), number))
        return found

    @cached_property
    def kept(self) -> frozenset[str]:
        """The arrays that groups of the update freeze, where they are parameters."""
        groups = self.groups
        return frozenset(name for name, number in self.grouped.items() if not groups[number].trainable)

    @cached_property
    def subspace(self) -> Mapping[str, Subspace]:
        """Subspaces by name."""
        return {s.name: s for s in reversed(self.subspaces)}

    def dim(self, source: str) -> int | None:
        """Numbers per sample of an error source; None if the name dangles or the shape is unknown."""
        if source in self.subspace:
            return self.subspace[source].rank * prod(self.tokens(source))
        node = self.by_name.get(self.root(source) or "")
        return None if node is None or node.shape is None else prod(node.shape)

    def width(self, source: str) -> int | None:
        """As `dim`, of each token: what a subspace reads, and a matrix that tokens share."""
        dim = self.dim(source)
        return None if dim is None else dim // prod(self.tokens(source))

    def tokens(self, source: str) -> Shape:
        """The axes in front of the channels of an error source, if these come last: [T] of [T, d], none of others."""
        root = self.root(source)
        shape = None if root is None else self.by_name[root].shape
        if root is None or shape is None or self.layouts[root].channels != len(shape) - 1:
            return ()
        return shape[:-1]

    def apart(self, site: str, source: str) -> bool:
        """Whether some way from a node to an error source goes through a layer to which tokens are not alike."""
        return any(self._losing.of(site, self.root(source) or ""))

    def mask(self, site: str, source: str) -> str | None:
        """The mask of tokens by which every layer pools them that lies between; None if there is no such one."""
        found = set[str | None]()
        for node in self._pooling.of(site, self.root(source) or ""):
            masks = (name for name in node.inputs if name in self.inputs and self.inputs[name].mask)
            found.add(next((name for name in masks if self.inputs[name].shape == self.tokens(site)), None))
        return found.pop() if len(found) == 1 else None

    def along(self, site: str, source: str, step: int | None) -> bool:
        """Whether the tokens of a node are those of an error source, or of its element, and alike to all between."""
        root = self.root(source) or ""
        count, skip = len(self.tokens(site)), int(step is not None)
        return self._places.same(site, root, count, skip) and not self.apart(site, source)

    def looked_at(self, site: str, source: str) -> bool:
        """Whether all ways from a node to an error source lead through keys or values, which others look at."""
        root = self.root(source) or ""
        if root not in self._led:
            self._led[root] = led(self.nodes, root)
        return site not in self._led[root]

    def step(self, site: str, source: str) -> int | None:
        """Which element of an error source is of this copy, in a block that gathers what its copies make."""
        root, scope = self.root(source), self.by_name[site].scope
        while root is not None and scope:
            gathered = self._copies.get(scope)
            if gathered is not None and self.tokens(source) and self._places.same(gathered[0], root, 1):
                return gathered[1]
            scope = self.scopes.get(scope, "")
        return None

    @cached_property
    def _places(self) -> Places:
        read = {name: of.shape for name, of in self.inputs.items() if not of.mask}
        return Places(self.nodes, read, self.scopes, self._copies)

    @cached_property
    def _copies(self) -> Copies:
        return copies_of(self.nodes, self.outputs, self.scopes)

    @cached_property
    def _led(self) -> dict[str, frozenset[str]]:
        return {}

    @cached_property
    def counted(self) -> Mapping[str, Counted]:
        """For nodes of whose output a mask leaves places out, on every way to a loss, which of them count."""
        masks = {name: of.shape for name, of in self.inputs.items() if of.mask}
        heads: dict[str, Known] = dict.fromkeys(self.heads, frozenset())
        for objective in self.losses:
            own, known = objective.mask, heads[objective.of]
            fits = own in masks and masks[own] == self.tokens(objective.of)
            heads[objective.of] = known | {Counted(own)} if own and fits and known is not None else None
        return counted(self.nodes, masks, heads, lambda node: loses(node, self.layouts))

    @cached_property
    def _losing(self) -> Between:
        return Between(self.nodes, lambda node: loses(node, self.layouts))

    @cached_property
    def _pooling(self) -> Between:
        return Between(self.nodes, lambda node: pools(node, self.layouts))

    def root(self, source: str) -> str | None:
        """The node whose error a source reads, or of what it has the shape; None if a name dangles.

        Subspaces are resolved. That of targets is the head at which their losses are.
        """
        if source in self.subspace:
            source = self.subspace[source].of
        if self.of_targets(source):
            head = self.output if source == TARGETS else self.meant(source.removeprefix(f"{TARGETS}."))
            return head if head in self.heads and head in self.by_name else None
        name = self.output if source == LOSS else source
        return name if name in self.by_name else None

    def of_targets(self, source: str) -> bool:
        """Whether a source is made of targets, without any error; so is a subspace of them."""
        of = self.subspace[source].of if source in self.subspace else source
        return of == TARGETS or of.startswith(f"{TARGETS}.")

    def maker(self, source: str) -> str | None:
        """The node whose error has to be known before a source is; None if that of losses alone, or a name dangles.

        A head at which other errors arrive too means, as a source, what its losses say.
        """
        root = self.root(source)
        return None if root in self.tapped or self.of_targets(source) else root
