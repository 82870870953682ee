"""Layers with adapters, written out: base, the way of low rank beside it, and the sum, which bears the layer's name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fac.program.globs import Names, is_glob
from fac.program.nodes import Block, Fault, Node, Shape
from fac.spec.adapters import AdapterGroup, Lora
from fac.spec.layers import Layer, WeightedLayer

BASE, DOWN, FACTOR, UP = "base_layer", "lora_A", "lora_scale", "lora_B"
"""What the parts are called behind the name of the layer, as PEFT calls them."""
ANY = Lora(kind="lora", rank=1)


@dataclass(frozen=True, slots=True)
class Branch:
    """What a kind of layer writes beside a layer of its own."""

    down: Layer
    """Makes `rank` channels of what the layer reads, with a weight alone."""
    factor: Layer
    up: Layer
    """Makes of these what the layer makes, with a weight alone, of zeros."""
    sum: Layer


@dataclass(frozen=True, slots=True)
class Adapted:
    """A layer with an adapter, and its parts by name."""

    name: str
    adapter: Lora

    @property
    def base(self) -> str:
        """The layer itself."""
        return f"{self.name}.{BASE}"

    @property
    def down(self) -> str:
        """Of which A is the weight."""
        return f"{self.name}.{DOWN}"

    @property
    def up(self) -> str:
        """Of which B is the weight."""
        return f"{self.name}.{UP}"

    @property
    def parts(self) -> tuple[str, ...]:
        """All that is written out of it beside the sum."""
        return self.base, self.down, f"{self.name}.{FACTOR}", self.up


def without(adapted: Sequence[Adapted], names: Iterable[str]) -> dict[str, str]:
    """What arrays of layers are called in the same network without adapters; their own have no name there."""
    base = {layer.base: layer.name for layer in adapted}
    own = {name for layer in adapted for name in (layer.down, layer.up)}
    found = {}
    for name in names:
        owner, _, part = name.rpartition(".")
        if owner not in own:
            found[name] = f"{base.get(owner, owner)}.{part}"
    return found


@dataclass(frozen=True, slots=True)
class Written:
    """A network with its adapters."""

    nodes: tuple[Node, ...]
    blocks: tuple[Block, ...]
    scopes: Mapping[str, str]
    adapted: tuple[Adapted, ...]


def written(
    nodes: Sequence[Node],
    blocks: Sequence[Block],
    scopes: Mapping[str, str],
    groups: Sequence[AdapterGroup],
    kind_of: Callable[[Layer], Any],
    make: Callable[..., Node],
    shapes: Mapping[str, Shape | None],
) -> Written:
    """Write out adapters.

    Args:
        nodes: without them; the layers that share parameters still say so by name alone.
        blocks: that they were written out of.
        scopes: of the program.
        groups: adapters by glob.
        kind_of: the kind of a layer.
        make: see `fac.program.scopes.Make`.
        shapes: of what nodes read.
    """
    adapters = _adapters(nodes, groups, kind_of)
    if not adapters:
        return Written(tuple(nodes), tuple(blocks), scopes, ())
    found, opened, place = list[Node](), list[Block](), list[int]()
    for node in nodes:
        place.append(len(found))
        adapter = adapters.get(node.name)
        if adapter is None:
            found.append(_tied(node, adapters))
            continue
        kind = kind_of(node.layer)
        branch = kind.lora(node.layer, adapter)
        if branch is None:
            problem = f"`{node.name}`, a `{kind.name}` of such settings, can have no adapter"
            fault = Fault(problem, "remove `adapter`", "adapter")
            found.append(replace(node, shape=None, tensors=(), weight=None, fault=fault))
            continue
        found += _parts(node, adapter, branch, kind_of, make, shapes, adapters)
        opened.append(
            Block(node.name, node.layer, node.inputs, node.name, node.origin, place[-1], node.scope)
        )
    moved = (
        replace(block, place=place[block.place] if block.place < len(place) else len(found))
        for block in blocks
    )
    return Written(
        tuple(found),
        (*opened, *moved),
        {**scopes, **{block.name: block.scope for block in opened}},
        tuple(Adapted(block.name, adapters[block.name]) for block in opened),
    )


def able(nodes: Sequence[Node], kind_of: Callable[[Layer], Any]) -> list[str]:
    """The names of the layers that can have an adapter."""
    return [
        node.name
        for node in nodes
        if isinstance(node.layer, WeightedLayer) and kind_of(node.layer).lora(node.layer, ANY) is not None
    ]


def _adapters(
    nodes: Sequence[Node], groups: Sequence[AdapterGroup], kind_of: Callable[[Layer], Any]
) -> dict[str, Lora]:
    names = Names(able(nodes, kind_of) if groups else ())
    ordered = sorted(groups, key=lambda group: not is_glob(group.match))  # names before globs
    found: dict[str, Lora] = {name: group for group in ordered for name in names.matching(group.match)}
    for node in nodes:
        own = getattr(node.layer, "adapter", None)
        if own is not None:
            found[node.name] = own
    return found


def _parts(
    node: Node,
    adapter: Lora,
    branch: Branch,
    kind_of: Callable[[Layer], Any],
    make: Callable[..., Node],
    shapes: Mapping[str, Shape | None],
    adapters: Mapping[str, Lora],
) -> list[Node]:
    """Those of a layer, in order."""
    parts, known = Adapted(node.name, adapter), dict(shapes)

    def part(layer: Layer, name: str, inputs: tuple[str, ...], scope: str) -> Node:
        made = make(kind_of(layer), layer, name, inputs, known, node.origin, scope)
        known[name] = made.shape
        return made

    def shared(made: Node, part: str) -> Node:
        return (
            made if node.tie is None or node.tie not in adapters else replace(made, tie=f"{node.tie}.{part}")
        )

    base = part(node.layer, parts.base, node.inputs, node.name)
    base = replace(
        _tied(replace(base, tie=node.tie), adapters), trainable=node.trainable and not adapter.freeze
    )
    made = [base, shared(part(branch.down, parts.down, node.inputs, node.name), DOWN)]
    last = parts.down
    if adapter.scale != 1:
        last = f"{node.name}.{FACTOR}"
        made.append(part(branch.factor, last, (parts.down,), node.name))
    up = part(branch.up, parts.up, (last,), node.name)
    if up.weight is not None and made[1].weight is not None:  # zeros as feedback would teach A nothing
        up = replace(up, weight=replace(up.weight, like=made[1].weight.init))
    made.append(shared(up, UP))
    made.append(part(branch.sum, node.name, (parts.base, parts.up), node.scope))
    return made


def _tied(node: Node, adapters: Mapping[str, Lora]) -> Node:
    """A layer that shares the parameters of one with an adapter shares those of its base."""
    return node if node.tie not in adapters else replace(node, tie=f"{node.tie}.{BASE}")
