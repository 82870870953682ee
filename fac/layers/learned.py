"""Numbers that are learned for each place along some axes: factors, and numbers that are added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fac.layers.inputs import counted, only
from fac.program.kinds import Facts, LayerKind, Mode, ShapeError, State
from fac.program.program import Shape
from fac.program.tensors import Tensor, constant
from fac.program.traits import Traits
from fac.spec.layers import ParametricLayer
from fac.step.builder import Builder
from fac.step.ir import Value

Axes = int | tuple[int, ...]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Along(ParametricLayer):
    """What both have."""

    axes: Axes | None = Field(
        None,
        description="Axes of a sample along which the numbers differ: the last one of a vector or of tokens if left "
        "out; of a map [C, H, W], 0 is one for each channel. The weight has their sizes.",
    )


class Scale(Along):
    """weight x, a factor for each channel, or for each place: `layer_scale` of deep networks (arXiv 2103.17239)."""

    kind: Literal["scale"] = "scale"
    other_kinds: ClassVar = {"layerscale": "", "gain": ""}
    other_keys: ClassVar = {"init_values": "init"}
    init: Number = Field(
        1.0, description="What each factor starts with; on branches of deep networks 1e-4 or less."
    )


class Bias(Along):
    """x + weight, a number for each channel, or for each place."""

    kind: Literal["bias"] = "bias"
    other_kinds: ClassVar = {"shift": "write `kind: bias`, or `kind: rescaling` for a number that stays"}
    init: Number = Field(0.0, description="What each number starts with.")


def axes_of(layer: Along, name: str, shape: Shape) -> tuple[int, ...]:
    """The axes along which the numbers differ, in order.

    Raises:
        ShapeError: the sample has not those, or which ones are meant of a map.
    """
    if layer.axes is None:
        if len(shape) > 2:
            raise ShapeError(
                f"`{name}` reads {list(shape)}, and does not say along which axes its numbers differ",
                "add `axes: 0` for a number of each channel",
            )
        return (len(shape) - 1,)
    wanted = (layer.axes,) if isinstance(layer.axes, int) else layer.axes
    found = sorted({at for axis in wanted if (at := counted(axis, len(shape))) is not None})
    if len(found) < len(wanted) or not found:
        raise ShapeError(
            f"the numbers of `{name}` differ along the axes {list(wanted)} of {list(shape)}",
            f"name different axes from 0 to {len(shape) - 1}",
            "axes",
        )
    return tuple(found)


def infer(layer: Scale | Bias, name: str, inputs: Sequence[Shape]) -> Facts:
    """The shape that it reads; the weight has the sizes of the axes."""
    shape = only(name, inputs)
    sizes = tuple(shape[axis] for axis in axes_of(layer, name, shape))
    return Facts(shape, (Tensor(f"{name}.weight", sizes, constant(layer.init)),))


def _wide(b: Builder, layer: Along, mode: Mode, x: Value, weight: Value) -> Value:
    """The weight with axes of 1 where it is the same."""
    sample = tuple(dim for dim in x.type.shape[1:] if isinstance(dim, int))
    axes = axes_of(layer, mode.node, sample)
    return b.reshape(weight, tuple(dim if axis in axes else 1 for axis, dim in enumerate(sample)))


def scale(b: Builder, layer: Scale, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The product, broadcast."""
    return b.mul(inputs[0], _wide(b, layer, mode, inputs[0], state["weight"]))


def bias(b: Builder, layer: Bias, inputs: Sequence[Value], state: State, mode: Mode) -> Value:
    """The sum, broadcast."""
    return b.add(inputs[0], _wide(b, layer, mode, inputs[0], state["weight"]))


SCALE = LayerKind("scale", Scale, infer, scale, traits=lambda *_: Traits(zero=True, homogeneous=True))
BIAS = LayerKind("bias", Bias, infer, bias)
LEARNED = (SCALE, BIAS)
