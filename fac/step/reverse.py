"""Reverse mode, driven by demand, with routing as an edit of it.

`cotangent(v)` is dL/dv: the sum, over the readers of v, of their vector-Jacobian products. A `through` edit
replaces one term of that sum, a `to` edit replaces (or joins) the whole sum. Nothing is built that no one asked for.

An op without a derivative (`fac.step.ops.base.Without`) adds nothing to that sum only where it is a `stop_gradient`, or
where the loss does not depend on its result. Otherwise to ask for the sum is an error: a term left out in silence would
be a wrong gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fac.diagnostics import FacError
from fac.step.builder import Builder
from fac.step.ir import Op, Origin, Phase, Value
from fac.step.ops import OPS
from fac.step.ops.base import STOP, Vjp, Without
from fac.step.types import DType

Send = Callable[[Builder, Value], Value]
"""`send(builder, error)` writes what a feedback operator makes of an error."""


@dataclass(frozen=True, slots=True)
class Injection:
    """A contribution to a cotangent that does not come from a reader of the value."""

    source: Value
    """The value whose cotangent is sent; the loss itself for the error at the output."""
    send: Send
    origin: Origin


@dataclass(frozen=True, slots=True)
class Sum:
    """What a cotangent is made of that has several terms."""

    of: Value
    """The value whose cotangent it is."""
    terms: tuple[tuple[str, Value], ...]
    """Each with the node whose reading of `of`, or whose route, it comes from; those of routes are the last."""
    exact: int
    """How many come from readings."""


@dataclass(frozen=True, slots=True)
class Edits:
    """How a routed sweep differs from the exact one. The empty `Edits` is backpropagation."""

    through: Mapping[tuple[Op, int], tuple[Injection, ...]] = field(default_factory=dict)
    """Terms that are replaced: (op, index of operand)."""
    to: Mapping[Value, tuple[Injection, ...]] = field(default_factory=dict)
    """What arrives at a value besides or instead of the exact sum."""
    cut: frozenset[Value] = frozenset()
    """Values whose exact sum is not computed."""
    kept: frozenset[Op] = frozenset()
    """Readers whose terms stay where a value is cut."""


class NoDerivativeError(FacError):
    """The error of a value would have to go back through an op that has no derivative there, or a change of it on."""

    def __init__(
        self, op: Op, value: Value, why: str, what: str = "the error of `{}` cannot go back through"
    ) -> None:
        """The op, that operand of it whose error was asked for, why there is none, and what this hinders."""
        node = f" of layer `{op.origin.node}`" if op.origin.node else ""
        super().__init__(f"{what.format(value.name)} `{op.kind}`{node}: {why}")
        self.op, self.value, self.why = op, value, why


class Reverse:
    """One reverse sweep over the ops that a builder holds at this moment."""

    def __init__(
        self,
        b: Builder,
        loss: Value,
        edits: Edits,
        parameters: frozenset[Value],
        prefix: str = "",
        *,
        counting: bool = False,
    ) -> None:
        """Seed dL/dL = 1.

        Args:
            b: holds the forward ops, and receives the backward ones.
            loss: a scalar.
            edits: the routing.
            parameters: values whose cotangents are gradients rather than errors (for the phase of their ops).
            prefix: set before the names of cotangents, to tell two sweeps apart.
            counting: leave out what has no derivative. What is left says what a sweep costs, and no more than that.
        """
        self.counting = counting
        self.b, self.edits, self.parameters, self.prefix = b, edits, parameters, prefix
        self.readers: dict[Value, list[tuple[Op, int]]] = {}
        for op in b.ops:
            for index, operand in enumerate(op.operands):
                self.readers.setdefault(operand, []).append((op, index))
        with b.at("loss", Phase.ERROR):
            seed = b.named(b.constant(1.0), f"{prefix}{loss.name}.error")
        self.memo: dict[Value, Value | None] = {loss: seed}
        self.sums: dict[Value, Sum] = {}
        """By cotangent, where it is one; `add` ops that a derivative holds are none."""

    def cotangent(self, value: Value) -> Value | None:
        """dL/dvalue under the routing, or None if no error reaches it. An explicit stack: depth is no limit.

        A value that is not FLOAT has none. What stands for it here says only whether the loss depends on it.

        Raises:
            NoDerivativeError: the loss depends on the value through an op without a derivative.
            RuntimeError: errors feed one another in a cycle (checks report this with positions: FAC305).
        """
        stack, waiting = [value], set[Value]()
        while stack:
            top = stack[-1]
            if top in self.memo:
                stack.pop()
                continue
            missing = [v for v in self._needs(top) if v not in self.memo]
            if not missing:
                self.memo[top] = self._combine(top)
                waiting.discard(top)
                stack.pop()
            elif top in waiting:
                raise RuntimeError(f"the error at `{top.name}` depends on itself")
            else:
                waiting.add(top)
                stack += reversed(missing)
        return self.memo[value]

    def _exact(self, value: Value) -> Sequence[tuple[Op, int]]:
        cut = value in self.edits.cut
        return [
            (op, i)
            for op, i in self.readers.get(value, ())
            if (not cut or op in self.edits.kept)
            and (op, i) not in self.edits.through
            and not self._leaves_out(OPS[op.kind].derivative(i))
        ]

    def _leaves_out(self, vjp: Vjp | Without) -> bool:
        return vjp is STOP or (self.counting and isinstance(vjp, Without))

    def _injections(self, value: Value) -> Sequence[Injection]:
        sent = [i for r in self.readers.get(value, ()) for i in self.edits.through.get(r, ())]
        if value in self.edits.cut:
            sent = []
        return [*sent, *self.edits.to.get(value, ())]

    def _needs(self, value: Value) -> list[Value]:
        return [op.result for op, _ in self._exact(value)] + [i.source for i in self._injections(value)]

    def _combine(self, value: Value) -> Value | None:
        phase = Phase.GRADIENT if value in self.parameters else Phase.ERROR
        terms: list[tuple[str, Value]] = []
        arrived = [(op, i, g) for op, i in self._exact(value) if (g := self.memo[op.result]) is not None]
        if value.type.dtype != DType.FLOAT:
            return arrived[0][2] if arrived else None
        for op, index, g in arrived:
            vjp = _derivative(op, index)
            node = op.origin.node
            with self.b.at(node, phase):
                terms.append((node, vjp(self.b, op, g)))
        exact = len(terms)
        for injection in self._injections(value):
            g = self.memo[injection.source]
            if g is not None:
                node = injection.origin.node
                with self.b.at(node, injection.origin.phase):
                    terms.append((node, injection.send(self.b, g)))
        if not terms:
            return None
        node, total = terms[-1][0], terms[0][1]
        with self.b.at(node, phase):
            for _, term in terms[1:]:
                total = self.b.add(total, term)
        if len(terms) > 1:
            self.sums[total] = Sum(value, tuple(terms), exact)
            for _, part in terms:
                self.b.named(part, f"{self.prefix}{value.name}.error.part")
        kind = "gradient" if value in self.parameters else "error"
        return self.b.named(total, f"{self.prefix}{value.name}.{kind}")


def _derivative(op: Op, index: int) -> Vjp:
    vjp = OPS[op.kind].derivative(index)
    if isinstance(vjp, Without):
        raise NoDerivativeError(op, op.operands[index], vjp.why)
    return vjp
