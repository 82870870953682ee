"""Small networks that together give every pass of every backend something to do."""

from __future__ import annotations

from fac.testing.nets import RELU, Data, conv2d, linear, mlp, spec

MOMENTUM: Data = {"rule": "sgd", "lr": 0.05, "momentum": 0.9}
POOL: Data = {"kind": "max_pool2d", "kernel": 2}
LORA: Data = {"kind": "lora", "rank": 2}
TOKENS = (
    {"kind": "embedding", "name": "words", "num_embeddings": 7, "out": 6},
    {"kind": "attention", "name": "look", "heads": 2, "causal": True},
    {"kind": "layer_norm", "name": "norm"},
    {"kind": "flatten"},
    linear("out", 3),
)
SPECS: dict[str, Data] = {
    "bp, momentum": spec(mlp(8, 6, 3), {"rule": "bp"}, MOMENTUM),
    "ldfa learned, adamw": spec(mlp(8, 6, 3), {"rule": "ldfa", "rank": 2}, {"rule": "adamw", "lr": 0.01}),
    "deep": spec(mlp(*[3] * 9), {"rule": "bp"}, {"rule": "adam", "lr": 0.01}),
    "convolutions": spec(
        (
            conv2d("c1", 4, 3, padding=1),
            RELU,
            POOL,
            conv2d("c2", 5, 3, padding=1),
            {"kind": "batch_norm", "name": "norm"},
            RELU,
            POOL,
            {"kind": "flatten"},
            linear("out", 3),
        ),
        {"rule": "ldfa", "rank": 2},
        MOMENTUM,
        shape=(2, 8, 8),
    ),
    "attention": spec(TOKENS, {"rule": "bp"}, MOMENTUM, input={"shape": [5], "classes": 7}),
    "recurrence": spec(
        ({"kind": "gru", "name": "state", "out": 6}, linear("out", 3)), {"rule": "bp"}, MOMENTUM, shape=(4, 5)
    ),
    "adapters": spec((linear("fc1", 8, adapter=LORA), RELU, linear("out", 3)), {"rule": "fa"}, MOMENTUM),
    "mixed precision": spec(
        mlp(8, 8, 6, 3), {"rule": "ldfa", "rank": 2}, MOMENTUM, train={"mixed_precision": "bfloat16"}
    ),
    "dropout, dfa": spec(
        (linear("fc1", 8), RELU, {"kind": "dropout", "rate": 0.5}, linear("out", 3)),
        {"rule": "dfa"},
        MOMENTUM,
    ),
}
