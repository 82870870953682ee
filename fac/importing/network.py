"""The network that an import writes, layer by layer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fac import plugins
from fac.backend import RESERVED, Call, Held
from fac.importing.bound import Bound
from fac.importing.layout import Atom, Axis, MixedError, Value, fresh, sizes, split
from fac.layers import Flatten, Permute, Reshape
from fac.program.kinds import LayerKind, NoCounterpartError, ShapeError
from fac.program.program import Shape
from fac.program.tensors import Role
from fac.spec.layers import Layer, ParametricLayer

ODD = re.compile(r"[^A-Za-z0-9_-]")
"""What no name of a layer has."""
ASIDE = frozenset({"flatten", "permute", "reshape"})
"""What is written in front of a layer, so that it reads what it has to: that is no module of its own."""


@dataclass(frozen=True, slots=True)
class Written:
    """A layer that stands in the network."""

    name: str
    layer: Layer
    reads: tuple[str, ...]
    shape: Shape
    arrays: Mapping[str, Bound]
    """By the names of its state; without those of a layer that it is tied to."""


@dataclass
class Network:
    """Layers in the order in which they are found, each behind those that it reads."""

    input: str
    taken: frozenset[str]
    """Names that no layer may have unless its arrays say so: the input, and all that layers with arrays are called."""
    layers: dict[str, Written] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    owners: dict[str, tuple[str, str]] = field(default_factory=dict)
    """For the key of each array that stands in the network the layer that has it, and what that calls it."""
    products: dict[str, tuple[Value, Value]] = field(default_factory=dict)
    """By layer the two tensors whose matrices it multiplies, as they were before they were settled for that."""
    _again: dict[tuple[str, tuple[Axis, ...]], Value] = field(default_factory=dict)

    def add(
        self, layer: Layer, reads: Sequence[str], call: Call, arrays: Mapping[str, Held | Bound] | None = None
    ) -> Written:
        """One more layer.

        Args:
            layer: without a name.
            reads: layers, or the input.
            call: what it is for; it is named after the module in whose code that stands.
            arrays: those of the module that are the layer's, by the last part of their names.

        Raises:
            NoCounterpartError: the layer cannot read these.
        """
        kind = next(k for k in plugins.kinds("fac.layers") if k.spec is type(layer))
        assert isinstance(kind, LayerKind)
        taken = {
            part: array if isinstance(array, Bound) else Bound(array, array.shape)
            for part, array in (arrays or {}).items()
        }
        name = self._named(call, kind.name, taken)
        try:
            facts = kind.infer(layer, name, [self.shapes[read] for read in reads])
        except ShapeError as error:
            raise NoCounterpartError(f"a layer that reads this: {error}") from error
        given = dict[str, Bound]()
        for tensor in facts.tensors:
            if tensor.part not in taken:
                raise NoCounterpartError(f"an array for `{tensor.name}` of the layer `{kind.name}`")
            given[tensor.part] = taken[tensor.part].fitted(tensor.shape)
        if spare := taken.keys() - given.keys():
            raise NoCounterpartError(f"a `{kind.name}` without a place for `{taken[min(spare)].held.key}`")
        learning = [given[t.part] for t in facts.tensors if t.role is Role.PARAMETER]
        if learning and isinstance(layer, ParametricLayer) and _still(learning):
            layer = layer.frozen()
        shared = dict[str, Bound]()
        if (owner := self._owner(kind, given)) is not None:
            layer = layer.model_copy(update={"tie": owner.name})
            shared = {part: array for part, array in given.items() if f"{owner.name}.{part}" in owner.arrays}
        own = {f"{name}.{part}": array for part, array in given.items() if part not in shared}
        written = Written(name, layer, tuple(reads), facts.shape, own)
        self.layers[name], self.shapes[name] = written, facts.shape
        for part, array in own.items():
            self.owners[array.held.key] = name, part.rpartition(".")[2]
        return written

    def _owner(self, kind: LayerKind, arrays: Mapping[str, Bound]) -> Written | None:
        """The layer that has arrays of this one already: that of a module which is called again, or one that is tied.

        Raises:
            NoCounterpartError: the two cannot share them.
        """
        known = {part: self.owners[a.held.key] for part, a in arrays.items() if a.held.key in self.owners}
        if not known:
            return None
        owner = self.layers[next(iter(known.values()))[0]]
        other = next(k for k in plugins.kinds("fac.layers") if k.spec is type(owner.layer))
        theirs = {part: f"{owner.name}.{part}" for part in arrays if f"{owner.name}.{part}" in owner.arrays}
        alike = all(
            known.get(part) == (owner.name, part) and owner.arrays[name] == arrays[part]
            for part, name in theirs.items()
        )
        if not alike or len(theirs) < len(known) or other.name not in (kind.name, *kind.ties):
            key = arrays[next(iter(known))].held.key
            raise NoCounterpartError(
                f"`{key}` for itself: it is an array of `{owner.name}`, a `{other.name}`, too, and a layer shares "
                "arrays of its own kind, all that both have, or an `embedding` its table with a `linear`"
            )
        return owner

    def settled(self, value: Value, call: Call) -> Value:
        """The same tensor, of a layer that makes its axes in their order, but for the batch, which it has in front.

        Raises:
            NoCounterpartError: it is no tensor of a layer.
        """
        wanted = tuple(part for axis in value.axes for part in split(axis))
        if wanted == value.own:
            return value
        key = value.node, wanted
        if key in self._again:
            return Value(self._again[key].node, wanted, value.axes)
        have, order = [a for axis in value.own for a in axis], [a for axis in wanted for a in axis]
        node, shape = value.node, sizes(value.own)
        if have != order and (whole := _order(value.own, wanted)) is not None:
            node = self.add(Permute(axes=whole), (node,), call).name
            shape = self.shapes[node]
        elif have != order:
            runs = _runs(have, order)
            ranked = sorted(runs, key=lambda run: have.index(run[0]))
            node, shape = self._reshaped(node, shape, sizes(ranked), call)
            axes = tuple(ranked.index(run) for run in runs)
            node = self.add(Permute(axes=axes), (node,), call).name
            shape = self.shapes[node]
        node, _ = self._reshaped(node, shape, sizes(wanted), call)
        self._again[key] = found = Value(node, wanted, value.axes)
        return found

    def reshaped(self, value: Value, own: tuple[Axis, ...], call: Call) -> str:
        """A layer that makes the same numbers in the same order, with other axes."""
        key = value.node, own
        if key not in self._again:
            node, _ = self._reshaped(value.node, value.sample, sizes(own), call)
            self._again[key] = Value(node, own, value.axes)
        return self._again[key].node

    def _reshaped(self, node: str, shape: Shape, wanted: Shape, call: Call) -> tuple[str, Shape]:
        if shape == wanted:
            return node, shape
        layer = Flatten() if len(wanted) == 1 else Reshape(shape=wanted)
        return self.add(layer, (node,), call).name, wanted

    def viewed(self, value: Value, shape: Sequence[int], call: Call) -> Value:
        """The tensor with other axes, for which it is written anew where it has to be."""
        try:
            return value.viewed(shape)
        except MixedError:
            try:
                return self.relaid(value, call).viewed(shape)
            except MixedError:
                text = f"a tensor {[*value.shape]} seen as {[*shape]} without cutting the batch"
                raise NoCounterpartError(text) from None

    def relaid(self, value: Value, call: Call) -> Value:
        """The tensor, as one long axis beside the batch."""
        if value.array is not None or not value.alone or value.batch:
            raise MixedError
        found = self.settled(value, call)
        count = 1
        for size in found.sample:
            count *= size
        flat = self.add(Reshape(shape=(count,)), (found.node,), call)
        batch, (axis,) = value.axes[0], fresh(flat.shape)
        return Value(flat.name, (axis,), (batch, axis))

    def _named(self, call: Call, kind: str, arrays: Mapping[str, Bound]) -> str:
        """What a layer is called: as its arrays say, or the module that it is, or after the module that it is in."""
        if arrays:
            own = any(f"{call.module}.{part}" in array.keys for part, array in arrays.items())
            part, array = next(iter(arrays.items()))
            base = sayable(call.module if own else _before(array.held.key, part))
            again = any(held.held.key in self.owners for held in arrays.values())
            return self._free(f"{base}_again" if again else base) if base in self.layers else base
        taken, module = {*self.layers, *self.taken}, sayable(call.module)
        base = ".".join(filter(None, (module, kind)))
        if call.leaf and module:
            alone = module not in taken and kind not in ASIDE
            base = module if alone else ".".join((*module.split(".")[:-1], kind))
        return self._free(base)

    def _free(self, base: str) -> str:
        taken = {*self.layers, *self.taken}
        return next(n for n in (base, *(f"{base}_{i}" for i in range(2, len(taken) + 3))) if n not in taken)


def names(key: str) -> Iterator[str]:
    """What a layer could be called that has an array with that key: `a` of `a.weight`, of `a_weight`, `a` of `a`."""
    found = key.rpartition(".")[0], key.rpartition("_")[0], key
    yield from (sayable(name) for name in found if name)


def sayable(name: str) -> str:
    """A name that a spec may have: no word that means something else, and without marks of globs and others."""
    parts = [ODD.sub("_", part) or "_" for part in name.split(".")]
    return ".".join((f"{parts[0]}_" if parts[0] in RESERVED else parts[0], *parts[1:])) if name else ""


def _before(key: str, part: str) -> str:
    """What a layer is called whose array with the name `part` has that key in the module."""
    ends = next((end for end in (f".{part}", f"_{part}") if key.endswith(end) and key != end), "")
    return key.removesuffix(ends)


def _still(arrays: Sequence[Bound]) -> bool:
    """Whether a layer keeps its parameters.

    Raises:
        NoCounterpartError: it keeps some of them.
    """
    learn = {array.held.learns for array in arrays}
    if len(learn) > 1:
        raise NoCounterpartError("a layer of which all parameters learn, or none")
    return learn == {False}


def _order(have: Sequence[Axis], wanted: Sequence[Axis]) -> tuple[int, ...] | None:
    """Which of the axes each of those wanted is, if all are the same ones."""
    left = dict(enumerate(have))
    found: list[int] = []
    for axis in wanted:
        at = next((i for i, one in left.items() if one == axis), None)
        if at is None:
            return None
        found.append(at)
        del left[at]
    return None if left else tuple(found)


def _runs(have: Sequence[Atom], order: Sequence[Atom]) -> list[tuple[Atom, ...]]:
    """The atoms in their new order, those together that stay side by side."""
    runs: list[tuple[Atom, ...]] = []
    for atom in order:
        at = have.index(atom)
        if runs and at and have[at - 1] is runs[-1][-1]:
            runs[-1] = (*runs[-1], atom)
        else:
            runs.append((atom,))
    return runs
