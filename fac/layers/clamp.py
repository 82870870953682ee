"""Numbers that are kept between two limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fac.layers.elementwise import infer
from fac.program.kinds import Counterpart, Facts, LayerKind, Mode, NoCounterpartError, Seen, ShapeError, State
from fac.program.program import Shape
from fac.program.traits import Curve
from fac.spec.layers import Layer
from fac.step.builder import Builder
from fac.step.ir import Value

LARGEST = 1e30
"""Of a limit: what is far from it is a number in float32 too."""
Limit = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]


class Clamp(Layer):
    """min(max(x, min), max): `min: 0, max: 6` is `relu6`, `min: -1, max: 1` is `hardtanh`.

    The derivative is 1 between the limits and at them, as that of `torch.clamp`, and 0 beyond.
    """

    kind: Literal["clamp"] = "clamp"
    other_kinds: ClassVar = {
        "relu6": "write `kind: clamp`, with `min: 0` and `max: 6`",
        "hardtanh": "write `kind: clamp`, with `min: -1` and `max: 1`",
        "clip": "",
    }
    other_keys: ClassVar = {"min_val": "min", "max_val": "max", "low": "min", "high": "max"}
    min: Limit | None = Field(
        None, description="What every smaller number becomes. Default: none is too small."
    )
    max: Limit | None = Field(
        None, description="What every larger number becomes. Default: none is too large."
    )


def infer_clamp(layer: Clamp, name: str, inputs: Sequence[Shape]) -> Facts:
    """The shape of the one input."""
    if layer.min is None and layer.max is None:
        raise ShapeError(f"`{name}` has no limit, and so changes nothing", "give `min`, `max` or both")
    if layer.min is not None and layer.max is not None and layer.min >= layer.max:
        raise ShapeError(
            f"`{name}` makes one number of all, because `min` is not below `max`",
            "let `min` be the smaller one",
            "min",
        )
    return infer(layer, name, inputs)


def forward(b: Builder, layer: Clamp, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The op of that name, with a limit that no number reaches where there is none."""
    (x,) = inputs
    far = 2 * LARGEST
    return b.clamp(x, -far if layer.min is None else layer.min, far if layer.max is None else layer.max)


def curve(layer: Clamp) -> Curve:
    """Flat beyond the limits."""
    low = -float("inf") if layer.min is None else layer.min
    high = float("inf") if layer.max is None else layer.max
    return Curve(lambda x: min(max(x, low), high))


def from_clamp(seen: Seen) -> Clamp:
    """Of `torch.clamp` with numbers."""
    return _between(seen.args["min"], seen.args["max"])


def from_hardtanh(seen: Seen) -> Clamp:
    """Of `torch.nn.functional.hardtanh`."""
    return _between(seen.args["min_val"], seen.args["max_val"])


def _between(low: Any, high: Any) -> Clamp:
    limits = [limit for limit in (low, high) if limit is not None]
    if not limits or any(abs(limit) > LARGEST for limit in limits) or (len(limits) == 2 and low >= high):
        raise NoCounterpartError("a `clamp` between two numbers, the first of which is the smaller one")
    return Clamp(min=low, max=high)


CLAMP = LayerKind(
    "clamp",
    Clamp,
    infer_clamp,
    forward,
    curve=curve,
    counterparts=(
        Counterpart("aten.clamp", from_clamp, input="self"),
        Counterpart("aten.hardtanh", from_hardtanh, input="self"),
        Counterpart("aten.relu6", lambda _: Clamp(min=0.0, max=6.0), input="self"),
    ),
)
