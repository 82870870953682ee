"""What a template is: how a statement of one kind is written, and what memory its result has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from fac.step.ir import Value
from fac.step.types import Batch, Shape
from fac_torch.statements import Statement


class Memory(Enum):
    """Where the result of a statement lives, which decides for how long its operands must.

    A test holds each template against what torch really does.
    """

    FRESH = "fresh"
    """In memory of its own, from torch: the call has no `out=`."""
    OUT = "out"
    """Where `out=` says, which may not be where an operand is."""
    OVER = "over"
    """Where `out=` says, and that may be where an operand of its own shape is: an elementwise call."""
    VIEW = "view"
    """Maybe where the first operand is: all of it, in its order, so that each number has the same place in both."""
    PART = "part"
    """Where a part of the first operand is, mostly with gaps between its rows."""

    ROWS = "rows"
    """Where the operands are, one behind the other: in one place of the workspace, which is all that is written."""

    @property
    def is_told(self) -> bool:
        """Whether a call takes `out=`."""
        return self in (Memory.OUT, Memory.OVER)

    @property
    def is_shared(self) -> bool:
        """Whether it may be memory of the first operand."""
        return self in (Memory.VIEW, Memory.PART)


class Order(Enum):
    """How maps [N, C, H, W], and kernels like them, lie in memory around a statement. No number depends on it."""

    ANY = "any"
    """The statement does not care, or makes its result row by row."""
    ALIKE = "alike"
    """Operands and results are best laid out alike."""
    LAST = "last"
    """All channels of a pixel together: convolutions and pools are several times faster so."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a template may ask: the statement, how operands are written, and which are plain Python numbers."""

    statement: Statement
    arguments: tuple[str, ...]
    host: tuple[bool, ...]
    settings: str = ""
    """The name of the dictionary of the statement's attributes, for optimiser kernels."""
    like: str = "x"
    """A tensor on the session's device, of its floats."""

    def __getitem__(self, attribute: str) -> object:
        return self.statement.attributes[attribute]

    @property
    def result(self) -> Value:
        """The value that the statement makes."""
        assert self.statement.result is not None
        return self.statement.result

    @property
    def shape(self) -> str:
        """The result's shape as a tuple of Python."""
        return python_shape(self.result.type.shape)

    @property
    def given(self) -> str:
        """The operands, as arguments of a call."""
        return ", ".join(self.arguments)


@dataclass(frozen=True, slots=True)
class Template:
    """One kind of statement: its line of torch, which ends in `)` if its result can be told where to go."""

    text: Callable[[Line], str]
    memory: Memory = Memory.FRESH
    order: Order = Order.ANY
    by_strides: bool = False
    """Whether the call takes operands with gaps between their rows as they are; an elementwise one always does."""

    @property
    def takes_gaps(self) -> bool:
        """Whether a part of a tensor need not be copied for it."""
        return self.by_strides or self.memory in (Memory.OVER, Memory.PART)

    @property
    def is_alike(self) -> bool:
        """Whether operands should lie in memory as results do."""
        return self.order is Order.ALIKE or self.memory is Memory.OVER


def python_shape(shape: Shape) -> str:
    """`(n, 512)`; n is the batch size in the emitted function."""
    parts = [("n" if d.times == 1 else f"{d.times} * n") if isinstance(d, Batch) else str(d) for d in shape]
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"


def kernel(name: str, *attributes: str, memory: Memory = Memory.OUT, order: Order = Order.ANY) -> Template:
    """A function of the kernels module, which takes the operands and the values of these attributes."""

    def text(line: Line) -> str:
        values = [repr(line[a]) for a in attributes]
        return f"kernels.{name}({', '.join([*line.arguments, *values])})"

    return Template(text, memory, order)
