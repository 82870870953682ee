"""Adapters of a trained network, merged into the weights beside them."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

import numpy as np

from fac.backend import Array
from fac.diagnostics import FacError
from fac.program.adapters import Adapted
from fac.program.program import Program


def unlike(program: Program) -> tuple[str, str] | None:
    """A layer, and one whose weight it shares and the adapter of which it has not: one weight cannot be both."""
    factors = {layer.base: layer.adapter.scale for layer in program.adapted}
    names = {layer.base: layer.name for layer in program.adapted}
    for node in program.nodes:
        if node.tie is not None and factors.get(node.name) != factors.get(node.tie):
            return names.get(node.name, node.name), names.get(node.tie, node.tie)
    return None


def merged(program: Program, state: Mapping[str, Array], kept: Container[str] = ()) -> dict[str, Array]:
    """The parameters and averages of the same network without adapters.

    W + s B A stands in the place of W, and what belongs to the layer under its own name.

    Args:
        program: the network, with adapters or without.
        state: of it. Feedback and what an update keeps are left out.
        kept: the names of layers whose adapters stay beside them.

    Raises:
        FacError: layers share a weight and not its adapter.
    """
    if (pair := unlike(program)) is not None:
        first, second = pair
        raise FacError(
            f"adapters cannot be merged, because `{first}` and `{second}` share a weight and not its adapter: give "
            "both one and train anew, or write the network with them, `fac export RUN -o model.onnx`, or them alone, "
            "`fac export RUN --to peft -o FOLDER`"
        )
    found = {tensor.name: state[tensor.name] for node in program.nodes for tensor in node.tensors}
    for layer in _own(program.adapted, found):
        if layer.name in kept:
            continue
        a, b = found.pop(f"{layer.down}.weight"), found.pop(f"{layer.up}.weight")
        # in float64, so that what is merged is rounded once
        product = np.float64(b).reshape(len(b), -1) @ np.float64(a).reshape(len(a), -1)
        for name in [name for name in found if name.startswith(f"{layer.base}.")]:
            array = found.pop(name)
            part = name.removeprefix(f"{layer.base}.")
            if part == "weight":
                array = (array + layer.adapter.scale * product.reshape(array.shape)).astype(array.dtype)
            found[f"{layer.name}.{part}"] = array
    return found


def _own(adapted: Sequence[Adapted], state: Mapping[str, Array]) -> list[Adapted]:
    """Without those that share the arrays of another one."""
    return [layer for layer in adapted if f"{layer.down}.weight" in state]
