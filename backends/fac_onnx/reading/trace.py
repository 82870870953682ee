"""From a graph to operations as `fac import` reads them: those on which the output depends, and arrays by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fac.backend import RESERVED, Array, Call, Fed, Held, Ref, Traced
from fac_onnx.reading import arithmetic, layers, naming, shapes
from fac_onnx.reading.graph import Graph, Node
from fac_onnx.reading.patterns import PATTERNS
from fac_onnx.reading.steps import Step, Translator, UnreadError, Weight

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
    owners: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Of each layer with arrays the arrays of the file that are these."""
    arrays: dict[str, Held] = field(default_factory=dict)
    uses: dict[str, list[Weight]] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    """By array of the file the layer that was the first to have it."""
    apart: int = 0

    def trace(self, fed: str) -> Trace:
        found = list(self._needed())[::-1]
        paths = {node.index: naming.path(node.proto) for node, _, _ in found}
        leaves = naming.leaves(paths.values())
        calls = [self._call(node, step, value, paths[node.index], leaves) for node, value, step in found]
        folded = len({node.index for node, _, step in found if step.weights and _folds(node, step)})
        traced = Traced(
            (Fed(fed, self.graph.shapes[fed]),), self.arrays, tuple(calls), (Ref(self.graph.outputs[0]),)
        )
        arrays = {key: self._held(uses[0]) for key, uses in self.uses.items()}
        return Trace(traced, self.uses, arrays, self._shared(arrays), self.apart, folded)

    def _shared(self, arrays: Mapping[str, Array]) -> dict[str, str]:
        """For each array that another layer has before that one, but for those whose numbers are one."""
        first, found = dict[str, str](), dict[str, str]()
        for key, uses in self.uses.items():
            owner = first.setdefault(self.graph.source(uses[0].value), key)
            if owner != key and not _even(arrays[key]):
                found[key] = owner
        return found

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
        args = {**step.args, **self._given(node, step, path)}
        for ref in _read(args):
            if ref in self.graph.constants:
                self._alone(ref)
        return Call(
            name, step.op, args, path, node.op, path in leaves, shape, step.need, node.proto.name or value
        )

    def _given(self, node: Node, step: Step, path: str) -> dict[str, Ref]:
        """Arrays of a layer, under the names that it gives them."""
        if not step.weights:
            return {}
        name = self._owner(step, path, node)
        for part, weight in step.weights.items():
            key = f"{name}.{part}"
            shape = self._held(weight).shape
            self.arrays.setdefault(key, Held(key, shape, not weight.statistic, weight.statistic))
            self.uses.setdefault(key, []).append(weight)
        return {part: Ref(f"{name}.{part}") for part in step.weights}

    def _owner(self, step: Step, path: str, node: Node) -> str:
        """What the layer of some arrays is called, the same if it is one that has been there already."""
        sources = tuple(self.graph.source(weight.value) for weight in step.weights.values())
        even = [_even(self.graph.constants[weight.value]) for weight in step.weights.values()]
        alike = next((name for name, held in self.owners.items() if held == sources), None)
        if alike is not None and not all(even) and self._same(alike, step):
            return alike
        self.apart += sum(one and source in self.first for one, source in zip(even, sources, strict=True))
        named = {part: naming.owner(weight.value, part) for part, weight in step.weights.items()}
        told = (named.get("weight"), path, *named.values(), step.op.removeprefix("aten."))
        bases = [name for name in told if name]
        more = (f"{bases[0]}_{i}" for i in range(2, len(self.owners) + 4))
        name = next(name for name in (*bases, *more) if name not in self.owners and name not in RESERVED)
        self.owners[name] = sources
        for source in sources:
            self.first.setdefault(source, name)
        return name

    def _same(self, name: str, step: Step) -> bool:
        """Whether a layer keeps these arrays as another one does, and not turned."""
        keys = [f"{name}.{part}" for part in step.weights]
        return all(
            key in self.uses and np.array_equal(self._held(weight), self._held(self.uses[key][0]))
            for key, weight in zip(keys, step.weights.values(), strict=True)
        )

    def _held(self, weight: Weight) -> Array:
        """An array as its layer keeps it."""
        return weight.form.there(self.graph.constants[weight.value])

    def _alone(self, value: str) -> None:
        """An array that no layer of the file's own has."""
        if value not in self.arrays:
            shape = self.graph.shapes[value]
            self.arrays[value] = Held(value, shape, True)


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
