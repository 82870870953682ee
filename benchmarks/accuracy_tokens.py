"""What `benchmarks.accuracy` trains of networks of tokens: a vision transformer, and a transformer of characters."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator

from benchmarks.accuracy_rows import BITS, Plain, Row, Study, ldfa


def adamw(lr: float, feedback: float = 1.0) -> Plain:
    """Adam with decoupled decay; `feedback` is the factor on the learning rate of learned feedback."""
    return {
        "rule": "adamw",
        "lr": lr,
        "weight_decay": 0.05,
        "schedule": {"kind": "cosine", "warmup": 200},
        "feedback": {"lr_scale": feedback},
    }


def blocks(times: int, heads: int, ratio: int, **attention: bool) -> Iterator[Plain]:
    """Pre-norm blocks of attention and `mlp`, and the norm behind the last."""
    norm = {"kind": "layer_norm", "name": "norm"}
    attend = {"kind": "attention", "name": "attn", "heads": heads, **attention}
    mlp = {"kind": "mlp", "name": "mlp", "ratio": ratio, "activation": [{"kind": "gelu"}]}
    body = [
        {"kind": "residual", "name": "mix", "body": [norm, attend]},
        {"kind": "residual", "name": "feed", "body": [norm, mlp]},
    ]
    yield {"kind": "repeat", "name": "block", "times": times, "body": body}
    yield norm


def patches() -> Iterator[Plain]:
    """49 patches of 4×4, four blocks 64 wide, their mean to the head."""
    yield {"kind": "patch_embed", "name": "patches", "patch": 4, "out": 64}
    yield {"kind": "positional_embedding", "name": "places"}
    yield from blocks(4, 4, 2)
    yield {"kind": "mean", "axes": [0]}
    yield {"kind": "linear", "name": "logits", "out": 10}


def text() -> Iterator[Plain]:
    """Bytes, three causal blocks 128 wide, the head shared with the embedding."""
    start = {"kind": "normal", "std": 0.02}
    yield {"kind": "embedding", "name": "bytes", "num_embeddings": 256, "out": 128, "init": start}
    yield {"kind": "positional_embedding", "name": "places"}
    yield from blocks(3, 4, 4, causal=True)
    yield {"kind": "linear", "name": "logits", "out": 256, "tie": "bytes", "bias": False}


RATE = adamw(1e-3)
FASTER = adamw(1e-3, 10)
"""`normative` learns by gradients of its own: as fast as the weights is too slow for it in so few epochs."""

PATCHES = Study(
    "accuracy_patches",
    {"shape": [1, 28, 28]},
    tuple(patches()),
    8,
    (
        Row("bp", {"rule": "bp"}, RATE),
        Row("ldfa normative", ldfa("normative", 16), FASTER),
        Row("ldfa oja_kp", ldfa("oja_kp", 16), RATE),
        Row("shallow", {"rule": "shallow"}, RATE),
        Row("frozen body", {"rule": "bp"}, RATE, frozen=("block",)),
        Row("dfa", {"rule": "dfa"}, RATE),
        Row("fa", {"rule": "fa"}, RATE),
    ),
    (("ldfa normative", "16", "bp", "adamw 0.001", 1.5),),
    name="vit",
)

TEXT = Study(
    "accuracy_text",
    {"shape": [128], "classes": 256},
    tuple(text()),
    1,
    (
        Row("bp", {"rule": "bp"}, RATE),
        Row("ldfa normative", ldfa("normative", 32), FASTER),
        Row("ldfa oja_kp", ldfa("oja_kp", 32), RATE),
        Row("dfa", {"rule": "dfa"}, RATE),
        Row("shallow", {"rule": "shallow"}, RATE),
    ),
    (),
    data={"source": "text", "path": sysconfig.get_paths()["stdlib"], "files": "*.py", "length": 128},
    name="text",
    batch=16,
    measure=BITS,
)
"""The modules of Python's standard library, those that are one file: 4.7 million bytes with Python 3.11."""
