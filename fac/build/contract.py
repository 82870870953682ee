"""What the functions of kinds return, held against what they promised: a wrong shape is told where it was made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fac.plugins import misuse
from fac.program.kinds import Learned, Made, State, Updated
from fac.program.tensors import Role, Tensor
from fac.step.ir import Value
from fac.step.types import Batch, Type


def made(function: Callable[..., Any], value: object, type: Type, node: str, why: str = "") -> Value:
    """The value, if it is one of that type.

    Args:
        function: a field of a kind, which returned the value.
        value: what it returned.
        type: what it has to be.
        node: that it was made for.
        why: completes "... is needed", where the type alone does not say it.

    Raises:
        PluginError: it is something else.
    """
    if not isinstance(value, Value):
        raise misuse(function, f"returns {value.__class__.__name__} where a Value is needed", node)
    if value.type != type:
        raise misuse(function, f"returns {value.type} where {type} is needed{why}", node)
    return value


def rows(function: Callable[..., Any], value: object, piece: str) -> Value:
    """What a piece of a solve rule makes, if it is rows of numbers, as many for each sample.

    Raises:
        PluginError: it is something else.
    """
    shape = value.type.shape if isinstance(value, Value) else ()
    if not isinstance(value, Value) or len(shape) != 2 or not isinstance(shape[0], Batch):
        raise misuse(function, f"makes {getattr(value, 'type', value)} of `{piece}` where rows are needed")
    return value


def moved(function: Callable[..., Any], found: Value | Made, tensors: tuple[Tensor, ...], node: str) -> State:
    """What follows in training on all statistics of a layer, by the last part of their names.

    Raises:
        PluginError: one stays without a next value, one is no statistic of the layer, or has another shape.
    """
    state = found.state if isinstance(found, Made) else {}
    statistics = {tensor.part: tensor for tensor in tensors if tensor.role is Role.STATISTIC}
    for part, value in state.items():
        if part not in statistics:
            named = ", ".join(f"`{known}`" for known in statistics)
            may = f"and may move {named or 'nothing'}: updates move parameters"
            raise misuse(function, f"moves `{part}`, {may}", node)
        tensor = statistics[part]
        made(function, value, Type(tensor.shape), node, f", the shape of `{tensor.name}`")
    for part in statistics:
        if part not in state:
            raise misuse(
                function, f"does not move `{part}` in training, which `infer` says is a statistic", node
            )
    return state


def learned(
    function: Callable[..., Any], found: object, tensors: tuple[Tensor, ...], node: str
) -> tuple[Tensor, Learned]:
    """What a rule says of one of some matrices, and that matrix.

    Raises:
        PluginError: it says nothing of any of them, or has another shape.
    """
    if not isinstance(found, Learned):
        raise misuse(function, f"returns {found.__class__.__name__} where a Learned is needed", node)
    tensor = next((t for t in tensors if t.part == found.tensor), None)
    if tensor is None:
        parts = ", ".join(f"`{t.part}`" for t in tensors)
        raise misuse(function, f"teaches `{found.tensor}`, but there is {parts or 'no tensor'}", node)
    made(function, found.value, Type(tensor.shape), node, f", the shape of `{tensor.name}`")
    return tensor, found


def updated(
    function: Callable[..., Any], found: object, tensor: Tensor, slots: tuple[Tensor, ...]
) -> Updated:
    """The next values of a parameter and of all its optimiser state.

    Raises:
        PluginError: one is missing, or has another shape.
    """
    node = tensor.owner
    if not isinstance(found, Updated):
        raise misuse(function, f"returns {found.__class__.__name__} where an Updated is needed", node)
    why = f", the shape of `{tensor.name}`"
    made(function, found.parameter, Type(tensor.shape), node, why)
    if found.slots.keys() != {slot.part for slot in slots}:
        given, said = (
            ", ".join(sorted(names)) or "nothing" for names in (found.slots, {s.part for s in slots})
        )
        raise misuse(function, f"moves the state {given}, but `slots` says {said}", node)
    for value in found.slots.values():
        made(function, value, Type(tensor.shape), node, why)
    return found
