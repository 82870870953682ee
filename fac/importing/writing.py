"""The spec of an imported network, as plain data: its long form, which is all that is known of it."""

from __future__ import annotations

from typing import Any

from fac import pipeline
from fac.diagnostics import Severity
from fac.importing.layout import Value
from fac.importing.nesting import nested
from fac.importing.network import Network, Written

LOSSES = "cross_entropy", "mse"
"""The second for what has no axis along which there could be classes."""


def spec(name: str, network: Network, output: Value, classes: int | None) -> dict[str, Any]:
    """A spec with the layers that lead to an output, and the first loss of a few that it can have.

    Args:
        name: of the spec.
        network: the layers.
        output: of the network.
        classes: how many whole numbers the input tells apart; None if it holds real ones.
    """
    given: dict[str, Any] = {"shape": list(network.shapes[network.input])}
    if classes is not None:
        given["classes"] = classes
    layers = needed(network, output)
    entries = [
        entry for layer in layers for name, array in layer.arrays.items() if (entry := array.said(name))
    ]
    made: dict[str, Any] = {
        "fac": 1,
        "name": name,
        "input": given,
        "layers": nested(layers, network.input),
        "loss": {"kind": LOSSES[0]},
        "feedback": {"rule": "bp"},
        "update": {"rule": "sgd", "lr": 0.01, "momentum": 0.9},
        **({"state_dict": entries} if entries else {}),
    }
    if any(
        found.rule.severity is Severity.ERROR and found.path[:1] == ("loss",)
        for found in pipeline.check(made)
    ):
        made["loss"] = {"kind": LOSSES[1]}
    return made


def needed(network: Network, output: Value) -> list[Written]:
    """The layers on which an output depends, in order; it is that of the last."""
    wanted, found = {output.node}, list[Written]()
    for layer in reversed(network.layers.values()):
        if layer.name in wanted:
            wanted.update(layer.reads)
            found.append(layer)
    return found[::-1]
