"""Small parameters that are updated alike, side by side: one chain of nodes for all of them.

A bias has fewer numbers than what onnxruntime takes for a node is worth, and Adam is 13 nodes for each. So what such
chains read is joined along the first axis, and what they make is split again. Every op of them is elementwise, so each
number comes of the same operations as before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fac.step.ir import Op, Origin, Phase, Region, Value
from fac.step.transform import Keeps, Pass
from fac.step.types import Batch, Shape, Type, numel
from fac_onnx.draft import Draft, Line, Split

FEWEST, LARGEST = 8, 1024
"""Parameters, and numbers of each. With fewer, or larger ones, copies take as long as the nodes that are saved."""
ELEMENTWISE = frozenset(
    {"add", "sub", "mul", "div", "neg", "abs", "sign", "sqrt", "maximum", "minimum", "clamp"}
)
ORIGIN = Origin("", Phase.UPDATE)
Part = tuple[str, object]
"""An operand of a chain, as it is in all that are alike: what it is, and its number, or the scalar that all read."""


@dataclass
class Chain:
    """The update of one parameter as ops on arrays of its shape."""

    shape: Shape
    ends: tuple[Value, ...]
    leaves: list[Value] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    parts: dict[Value, Part] = field(default_factory=dict)

    @property
    def form(self) -> object:
        """What chains that are alike have in common."""
        ops = tuple(
            (op.kind, repr(op.attributes), tuple(self.parts[v] for v in op.operands)) for op in self.ops
        )
        return self.shape[1:], ops, tuple(self.parts[v] for v in self.ends)


def together(draft: Draft) -> Draft:
    """The same draft, in which chains that are alike are one."""
    made = {line.result: line for line in draft.lines if not isinstance(line, Split)}
    reads = Counter(v for line in draft.lines for v in line.operands)
    outputs = {value for _, value in draft.function.outputs}
    alike: dict[object, list[Chain]] = {}
    for region in draft.function.regions:
        chain = _chain(region, made, outputs)
        if chain is not None and _closed(chain, reads, outputs):
            alike.setdefault(chain.form, []).append(chain)
    lines = draft.lines
    for chains in alike.values():
        if len(chains) >= FEWEST:
            lines = _replaced(lines, chains)
    return replace(draft, lines=lines)


def _chain(region: Region, made: Mapping[Value, Line], outputs: set[Value]) -> Chain | None:
    """What makes the outputs of an update of its inputs; None where it is large, or more than a chain."""
    ends, inputs = tuple(region.outputs.values()), set(region.inputs.values())
    shape = ends[0].type.shape
    small = not any(isinstance(dim, Batch) for dim in shape) and numel(shape, 1) <= LARGEST
    if not shape or not small or not outputs.issuperset(ends):
        return None
    chain = Chain(shape, ends)

    def visit(value: Value) -> bool:
        """Whether all that the value is made of can be a part of a chain."""
        if value in chain.parts:
            return True
        if value.type.shape == ():
            chain.parts[value] = "all", value
            return True
        if value.type.shape != shape:
            return False
        line = made.get(value)
        if value in inputs or not isinstance(line, Op) or line.kind not in ELEMENTWISE:
            chain.parts[value] = "own", len(chain.leaves)
            chain.leaves.append(value)
            return True
        if not all(map(visit, line.operands)):
            return False
        chain.parts[value] = "op", len(chain.ops)
        chain.ops.append(line)
        return True

    whole_chain = all(map(visit, ends)) and all(chain.parts[end][0] == "op" for end in ends)
    return chain if whole_chain else None


def _closed(chain: Chain, reads: Mapping[Value, int], outputs: set[Value]) -> bool:
    """Whether nobody else reads what is made on the way, or the new state."""
    inside = Counter(v for op in chain.ops for v in op.operands)
    return all(
        reads[op.result] == inside[op.result] and (op.result in chain.ends or op.result not in outputs)
        for op in chain.ops
    )


def _replaced(lines: Sequence[Line], chains: Sequence[Chain]) -> list[Line]:
    """One chain in the place of the last line of all of them."""
    gone = {op.result for chain in chains for op in chain.ops}
    last = max(
        index for index, line in enumerate(lines) if not isinstance(line, Split) and line.result in gone
    )
    kept: list[Line] = []
    for index, line in enumerate(lines):
        if isinstance(line, Split) or line.result not in gone:
            kept.append(line)
        if index == last:
            kept += _joined(chains)
    return kept


def _joined(chains: Sequence[Chain]) -> Iterable[Line]:
    first = chains[0]
    rows = sum(dim for chain in chains for dim in chain.shape[:1] if isinstance(dim, int))
    shape = (rows, *first.shape[1:])
    whole: dict[Value, Value] = {}
    for number, leaf in enumerate(first.leaves):
        joined = whole[leaf] = _like(leaf, shape)
        parts = tuple(chain.leaves[number] for chain in chains)
        yield Op("concat", parts, (("axis", 0),), joined, ORIGIN)
    for op in first.ops:
        made = whole[op.result] = _like(op.result, shape)
        operands = tuple(whole.get(value, value) for value in op.operands)
        yield replace(op, operands=operands, result=made, origin=ORIGIN)
    for number, end in enumerate(first.ends):
        yield Split(whole[end], tuple(chain.ends[number] for chain in chains), ORIGIN)


def _like(value: Value, shape: Shape) -> Value:
    return Value(f"{value.name}.together", Type(shape, value.type.dtype))


UPDATE_TOGETHER = Pass(
    "update_together",
    together,
    Keeps.BITS,
    "small parameters that are updated alike are updated side by side, by one chain of nodes",
)
