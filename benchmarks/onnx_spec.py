"""The specs of `onnx_step`, without torch, because processes that measure memory import this."""

from __future__ import annotations

from typing import Any

INPUT, BATCH = 784, 128
LR = 1e-6
"""Hardly moves a weight: noise that is learnt by heart ends in denormal numbers, which are slow."""
MOMENTUM = 0.9
UPDATES: dict[str, dict[str, Any]] = {
    "sgd": {"rule": "sgd", "lr": LR},
    "momentum": {"rule": "sgd", "lr": LR, "momentum": MOMENTUM},
    "adam": {"rule": "adam", "lr": LR},
}
RULES: dict[str, dict[str, Any]] = {
    "bp": {"rule": "bp"},
    "dfa": {"rule": "dfa"},
    "ldfa, rank 10": {"rule": "ldfa", "rank": 10},
}


def mlp(
    update: str,
    hidden: tuple[int, ...] = (1024, 1024),
    feedback: dict[str, Any] = RULES["bp"],
    dropout: float = 0.0,
    **sections: Any,
) -> dict[str, Any]:
    """784-hidden-10 with ReLU and cross-entropy: layers `fc1`, `fc2`, ... and `logits`."""
    layers: list[dict[str, Any]] = []
    for i, width in enumerate(hidden, 1):
        layers += [{"kind": "linear", "name": f"fc{i}", "out": width}, {"kind": "relu"}]
        layers += [{"kind": "dropout", "rate": dropout}] if dropout else []
    return {
        "fac": 1,
        "name": "onnx-step",
        "input": {"shape": [INPUT]},
        "layers": [*layers, {"kind": "linear", "name": "logits", "out": 10}],
        "loss": {"kind": "cross_entropy"},
        "feedback": feedback,
        "update": UPDATES[update],
        **sections,
    }
