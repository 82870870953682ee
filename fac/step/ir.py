"""Values, ops and functions of the step IR. Everything is frozen; passes make new functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from fac.step.types import Shape, Type

Attribute = bool | int | float | str | Shape | tuple[float, ...]


class Phase(StrEnum):
    """What an op is for. Cost tables are sums over phases."""

    FORWARD = "forward"
    ERROR = "error"
    GRADIENT = "gradient"
    LEARN = "learn"
    TANGENT = "tangent"
    """Forward mode: how the loss changes where a layer moves, which some feedback learns from."""
    UPDATE = "update"
    PROBE = "probe"


@dataclass(frozen=True, slots=True)
class Origin:
    """Which node of the network an op was made for, and in which phase."""

    node: str
    phase: Phase


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A tensor that is computed once. Two values are the same only if they are one object."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """`result = kind(operands) {attributes}`; the meaning stands in `fac.step.ops`."""

    kind: str
    operands: tuple[Value, ...]
    attributes: tuple[tuple[str, Attribute], ...]
    result: Value
    origin: Origin

    def __getitem__(self, attribute: str) -> Attribute:
        """The attribute of that name. `KeyError` if the op has none."""
        for name, value in self.attributes:
            if name == attribute:
                return value
        raise KeyError(attribute)


@dataclass(frozen=True, slots=True)
class Region:
    """A fusion mark: the ops between `inputs` and `outputs` are, together, what `kind` names.

    The ops themselves say what is computed. A backend that has one kernel for the whole region may call it
    instead; one that has none ignores the mark.
    """

    kind: str
    inputs: Mapping[str, Value]
    outputs: Mapping[str, Value]
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True, slots=True)
class Function:
    """A straight-line program. `outputs` pairs a public name with a value; inputs are named by themselves."""

    name: str
    inputs: tuple[Value, ...]
    ops: tuple[Op, ...]
    outputs: tuple[tuple[str, Value], ...]
    regions: tuple[Region, ...] = ()
