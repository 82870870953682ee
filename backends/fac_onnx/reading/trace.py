"""From a graph to operations as `fac import` reads them: those on which the output depends, and arrays by name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fac.backend import RESERVED, Array, Call, Fed, Held, Ref, Traced
from fac_onnx.reading import arithmetic, layers, naming, shapes
from fac_onnx.reading.graph import Graph, Node
from fac_onnx.reading.patterns import PATTERNS
from fac_onnx.reading.steps import PLAIN, Form, Step, Translator, UnreadError, Weight

TRANSLATORS: Mapping[str, Translator] = {
    **arithmetic.TRANSLATORS,
    **shapes.TRANSLATORS,
    **layers.TRANSLATORS,
}
FOLDED = "Conv", "ConvTranspose", "Gemm"
"""Operations into which exporters fold a batch normalisation that stands behind them."""


@dataclass
class Trace:
    """What comes of a graph."""

    traced: Traced
    uses: dict[str, list[Weight]]
    """By key, where the file has an array."""
    arrays: dict[str, Array]
    """By key, as layers keep them."""
    shared: dict[str, str]
    """Keys of arrays that stand under another key before."""
    apart: int
    """How many arrays the file keeps once for several layers, which have one each here."""
    folded: int
    """How many layers hold a batch normalisation that the exporter has folded into them."""


def trace(graph: Graph, fed: str) -> Trace:
    """The operations on which the output of a graph depends, in order."""
    return _Reading(graph).trace(fed)


@dataclass
class _Reading:
    graph: Graph
    taken: set[str] = field(default_factory=set)
    """Names of layers with arrays."""
    arrays: dict[str, Held] = field(default_factory=dict)
    uses: dict[str, list[Weight]] = field(default_factory=dict)
    constants: dict[str, Array] = field(default_factory=dict)
    keys: dict[str, list[str]] = field(default_factory=dict)
    """By array of the file what layers make of it."""
    shared: dict[str, str] = field(default_factory=dict)
    apart: int = 0

    def trace(self, fed: str) -> Trace:
        found = list(self._needed())[::-1]
        paths = {node.index: naming.path(node.proto) for node, _, _ in found}
        leaves = naming.leaves(paths.values())
        calls = [self._call(node, step, value, paths[node.index], leaves) for node, value, step in found]
        folded = len({node.index for node, _, step in found if step.weights and _folds(node, step)})
        traced = Traced(
            (Fed(fed, self.graph.shapes[fed]),),
            self.arrays,
            tuple(calls),
            (Ref(self.graph.outputs[0]),),
            self.constants,
        )
        arrays = {key: self._held(uses[0]) for key, uses in self.uses.items()}
        return Trace(traced, self.uses, arrays, self.shared, self.apart, folded)

    def _needed(self) -> Iterator[tuple[Node, str, Step]]:
        """From the output on downwards: what a pattern has taken up, nobody asks for again."""
        wanted = {*self.graph.outputs}
        for node in reversed(self.graph.nodes):
            for value in reversed(node.outputs):
                if value not in wanted or value in self.graph.constants:
                    continue
                for step in reversed(self._steps(node, value)):
                    yield node, value, step
                    wanted.update(_read(step.args))

    def _steps(self, node: Node, value: str) -> list[Step]:
        try:
            for translate in (*PATTERNS.get(node.op, ()), *filter(None, [TRANSLATORS.get(node.op)])):
                found = translate(self.graph, node, value)
                if found is not None:
                    return [found] if isinstance(found, Step) else [*found]
        except UnreadError as error:
            return [Step(node.op, self._all(node), need=str(error))]
        return [Step(node.op, self._all(node))]

    def _all(self, node: Node) -> dict[str, Any]:
        return {str(i): Ref(name) for i, name in enumerate(node.inputs) if name}

    def _call(self, node: Node, step: Step, value: str, path: str, leaves: frozenset[str]) -> Call:
        name = step.name or value
        shape = step.shape if step.name else self.graph.shapes[value]
        args = {key: self._resolved(arg, node, path) for key, arg in step.args.items()}
        args |= {part: Ref(key) for part, key in self._given(step, path).items()}
        return Call(
            name, step.op, args, path, node.op, path in leaves, shape, step.need, node.proto.name or value
        )

    def _resolved(self, arg: Any, node: Node, path: str) -> Any:
        """An argument, in which arrays have their keys."""
        if isinstance(arg, list):
            return [self._resolved(item, node, path) for item in arg]
        if isinstance(arg, Weight):
            return Ref(self._alone(arg.value, node, path, arg.form))
        if not isinstance(arg, Ref) or arg.name not in self.graph.constants:
            return arg
        array = self.graph.constants[arg.name]
        if array.dtype.kind != "f":
            self.constants[arg.name] = array
            return arg
        return Ref(self._alone(arg.name, node, path))

    def _alone(self, value: str, node: Node, path: str, form: Form = PLAIN) -> str:
        """The key of an array that no layer of the file's own has."""
        readers = [node] if value in node.inputs else self.graph.read[value]
        uses = [
            Weight(reader, slot, form)
            for reader in readers
            for slot, name in enumerate(reader.inputs)
            if name == value
        ]
        known = self._known(uses[0])
        base = next(filter(naming.NAME.fullmatch, (value, path)), "array")
        key = known or self._free([base], self.arrays)
        self._hold(key, uses)
        return key

    def _given(self, step: Step, path: str) -> dict[str, str]:
        """Keys of the arrays of a layer, under the names that it gives them."""
        found = {part: key for part, weight in step.weights.items() if (key := self._known(weight))}
        owners = {key.rpartition(".")[0] for key in found.values()}
        for part, weight in step.weights.items():
            # beside arrays of another layer its own are no others, whatever their numbers are
            same = (f"{owner}.{part}" for owner in owners)
            twin = next((key for key in same if key in self.keys.get(self._source(weight), ())), None)
            if part not in found and twin is not None:
                found[part] = twin
        if len(found) < len(step.weights):
            name = self._named(step, path)
            self.taken.add(name)
            found = {part: found.get(part, f"{name}.{part}") for part in step.weights}
        for part, key in found.items():
            self._hold(key, [step.weights[part]])
        return found

    def _known(self, weight: Weight) -> str | None:
        """The key of an array that another layer has too, in the same form; an even one is not known by its numbers."""
        array = self._held(weight)
        if _even(array):
            return None
        keys = self.keys.get(self._source(weight), ())
        return next((key for key in keys if np.array_equal(self._held(self.uses[key][0]), array)), None)

    def _hold(self, key: str, uses: list[Weight]) -> None:
        first = uses[0]
        array, keys = self._held(first), self.keys.setdefault(self._source(first), [])
        if key not in keys:
            if keys and _even(array):
                self.apart += 1
            elif keys:
                self.shared[key] = keys[0]
            keys.append(key)
        self.arrays.setdefault(key, Held(key, array.shape, not first.statistic, first.statistic))
        self.uses.setdefault(key, []).extend(uses)

    def _named(self, step: Step, path: str) -> str:
        """What a layer with arrays of its own is called."""
        named = {part: naming.owner(weight.value, part) for part, weight in step.weights.items()}
        told = (named.get("weight"), path, *named.values(), step.op.removeprefix("aten."))
        return self._free([name for name in told if name], self.taken)

    def _free(self, bases: Sequence[str], taken: Collection[str]) -> str:
        """The first of some names that nothing has, or one of them with a number."""
        more = (f"{bases[0]}_{i}" for i in range(2, len(taken) + 3))
        return next(name for name in (*bases, *more) if name not in taken and name not in RESERVED)

    def _source(self, weight: Weight) -> str:
        return self.graph.source(weight.value)

    def _held(self, weight: Weight) -> Array:
        """An array as its layer keeps it."""
        return weight.form.there(self.graph.constants[weight.value])


def _read(args: Mapping[str, Any]) -> Iterator[str]:
    for value in args.values():
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, Ref):
                yield item.name


def _even(array: Array) -> bool:
    """Whether all numbers are one: those of a norm that has not learned yet, of which nothing says whose they are."""
    return bool(array.size) and bool((array == array.flat[0]).all())


def _folds(node: Node, step: Step) -> bool:
    """Whether an exporter says, by the class of the module or by the name of the weight, that it made the array."""
    if node.op not in FOLDED:
        return False
    classes = naming.metadata(node.proto, naming.CLASSES)
    made = [weight.value for part, weight in step.weights.items() if part == "weight"]
    return any("batchnorm" in name.lower() for name in classes) or any(
        name.startswith(f"onnx::{node.op}") for name in made
    )
