"""The spec of an imported network, as plain data: its long form, which is all that is known of it."""

from __future__ import annotations

from typing import Any

from fac.importing.layout import Value
from fac.importing.nesting import nested
from fac.importing.network import Network, Written


def spec(name: str, network: Network, output: Value, classes: int | None) -> dict[str, Any]:
    """A spec with the layers that lead to an output.

    Args:
        name: of the spec.
        network: the layers.
        output: of the network.
        classes: how many whole numbers the input tells apart; None if it holds real ones.
    """
    given: dict[str, Any] = {"shape": list(network.shapes[network.input])}
    if classes is not None:
        given["classes"] = classes
    return {
        "fac": 1,
        "name": name,
        "input": given,
        "layers": nested(needed(network, output), network.input),
        "loss": {"kind": "cross_entropy"},
        "feedback": {"rule": "bp"},
        "update": {"rule": "sgd", "lr": 0.01, "momentum": 0.9},
    }


def needed(network: Network, output: Value) -> list[Written]:
    """The layers on which an output depends, in order; it is that of the last."""
    wanted, found = {output.node}, list[Written]()
    for layer in reversed(network.layers.values()):
        if layer.name in wanted:
            wanted.update(layer.reads)
            found.append(layer)
    return found[::-1]
