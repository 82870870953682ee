"""The network that an import writes, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fac import plugins
from fac.backend import RESERVED, Call, Held
from fac.importing.layout import Atom, Axis, MixedError, Value, fresh, sizes, split
from fac.layers import Flatten, Permute, Reshape
from fac.program.kinds import LayerKind, NoCounterpartError, ShapeError
from fac.program.program import Shape
from fac.spec.layers import Layer, ParametricLayer

ASIDE = frozenset({"flatten", "permute", "reshape"})
"""What is written in front of a layer, so that it reads what it has to: that is no module of its own."""


@dataclass(frozen=True, slots=True)
class Written:
    """A layer that stands in the network."""

    name: str
    layer: Layer
    reads: tuple[str, ...]
    shape: Shape
    arrays: Mapping[str, Held]
    """By the names of its state."""


@dataclass
class Network:
    """Layers in the order in which they are found, each behind those that it reads."""

    input: str
    taken: frozenset[str]
    """Names that no layer may have unless its arrays say so: the input, and all that layers with arrays are called."""
    layers: dict[str, Written] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    _again: dict[tuple[str, tuple[Axis, ...]], Value] = field(default_factory=dict)

    def add(
        self, layer: Layer, reads: Sequence[str], call: Call, arrays: Mapping[str, Held] | None = None
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
        name = self._named(call, kind.name, arrays or {})
        if owner := name if arrays and name in self.layers else None:
            # the module is called again: one more layer, with the arrays of the first
            name = self._free(f"{name}_again")
            layer = layer.model_copy(update={"tie": owner})
        if arrays and isinstance(layer, ParametricLayer) and _still(arrays):
            layer = layer.frozen()
        try:
            facts = kind.infer(layer, name, [self.shapes[read] for read in reads])
        except ShapeError as error:
            raise NoCounterpartError(f"a layer that reads this: {error}") from error
        given = {f"{owner or name}.{part}": array for part, array in (arrays or {}).items()}
        for tensor in facts.tensors if owner is None else ():
            array = given.get(tensor.name)
            if array is None:
                raise NoCounterpartError(f"an array for `{tensor.name}` of the layer `{kind.name}`")
            if array.shape != tensor.shape:
                raise NoCounterpartError(f"`{array.key}` of shape {[*tensor.shape]}, not {[*array.shape]}")
        for part, array in given.items():
            if array.key != part:
                raise NoCounterpartError(f"the array `{array.key}` under the name `{part}`")
        written = Written(name, layer, tuple(reads), facts.shape, {} if owner else given)
        self.layers[name], self.shapes[name] = written, facts.shape
        return written

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
        if have != order:
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

    def _named(self, call: Call, kind: str, arrays: Mapping[str, Held]) -> str:
        """What a layer is called: as its arrays say, or the module that it is, or after the module that it is in."""
        for part, array in arrays.items():
            if array.key.endswith(f".{part}"):
                name = array.key.removesuffix(f".{part}")
                if name in RESERVED:
                    raise NoCounterpartError(
                        f"another name than `{name}`, which means something else in a spec"
                    )
                return name
        taken = {*self.layers, *self.taken}
        base = ".".join(filter(None, (call.module, kind)))
        if call.leaf and call.module:
            alone = call.module not in taken and kind not in ASIDE
            base = call.module if alone else ".".join((*call.module.split(".")[:-1], kind))
        return self._free(base)

    def _free(self, base: str) -> str:
        taken = {*self.layers, *self.taken}
        return next(n for n in (base, *(f"{base}_{i}" for i in range(2, len(taken) + 3))) if n not in taken)


def _still(arrays: Mapping[str, Held]) -> bool:
    """Whether a layer keeps its parameters.

    Raises:
        NoCounterpartError: it keeps some of them.
    """
    learn = {array.learns for array in arrays.values() if not array.statistic}
    if len(learn) > 1:
        raise NoCounterpartError("a layer of which all parameters learn, or none")
    return learn == {False}


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
