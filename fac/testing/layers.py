"""Every layer, inside a network that is trained by three rules with batches that change their size."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from fac.testing.case import Answers, Case, Subject, agreement
from fac.testing.nets import (
    DROPOUT,
    RELU,
    SGD,
    SKIP,
    Batch,
    Data,
    Layers,
    answers,
    batches,
    conv2d,
    linear,
    mlp,
    spec,
)
from fac.testing.rules import RULES, UPDATES


def on_maps(*layers: Data) -> Layers:
    """Layers that read a map of odd sizes, below and above others that learn."""
    return (
        linear("fc1", 30),
        {"kind": "reshape", "name": "map", "shape": (2, 5, 3)},
        *layers,
        {"kind": "flatten"},
        linear("out", 3),
    )


def on_tokens(*layers: Data) -> Layers:
    """Layers that make tokens, below one that learns and reads their mean."""
    return (*layers, {"kind": "mean", "name": "mean", "axes": (0,)}, linear("out", 3))


NORMED: Layers = (
    {"kind": "batch_norm", "name": "n1"},
    {"kind": "flatten"},
    linear("fc1", 8),
    {"kind": "batch_norm", "name": "n2", "momentum": 0.3},
    RELU,
)
"""Over the places of a map, and over the samples alone."""
STEP: Layers = (
    linear("hh", 6),
    {"kind": "add", "name": "sum", "from": ("hh", "token")},
    {"kind": "tanh"},
)
"""Of a recurrent layer, as the body of a `repeat`."""
LAYERS: dict[str, Layers] = {
    "linear": (linear("fc1", 8, bias=False), linear("fc2", 6), {"kind": "tanh"}, linear("out", 3)),
    "linear adapters": (
        linear("fc1", 8, adapter={"kind": "lora", "rank": 3, "alpha": 2}),
        {"kind": "tanh"},
        linear("fc2", 6, adapter={"kind": "lora", "rank": 2, "freeze": False}),
        {"kind": "tanh"},
        linear("out", 3),
    ),
    "linear tokens": (
        linear("fc1", 6),
        {"kind": "layer_norm"},
        {"kind": "tanh"},
        linear("fc2", 4, bias=False),
        {"kind": "mean", "name": "mean", "axes": (0,)},
        linear("out", 3),
    ),
    **{kind: mlp(8, 6, 3, activation={"kind": kind}) for kind in ("relu", "tanh", "sigmoid", "gelu")},
    "leaky_relu": mlp(8, 6, 3, activation={"kind": "leaky_relu", "slope": 0.2}),
    **{
        kind: mlp(8, 6, 3, activation={"kind": kind})
        for kind in ("silu", "selu", "hardsigmoid", "hardswish", "abs")
    },
    "gelu tanh": mlp(8, 6, 3, activation={"kind": "gelu", "approximate": "tanh"}),
    "elu": mlp(8, 6, 3, activation={"kind": "elu", "alpha": 0.6}),
    "softplus": mlp(8, 6, 3, activation={"kind": "softplus", "beta": 2.0}),
    # of numbers that have an end: powers of powers have none that float32 holds
    "exp": (
        linear("fc1", 8),
        {"kind": "tanh"},
        {"kind": "exp"},
        linear("fc2", 6),
        {"kind": "tanh"},
        linear("out", 3),
    ),
    "erf": mlp(8, 6, 3, activation={"kind": "erf"}),
    "pow": (*mlp(8, 6), {"kind": "tanh"}, {"kind": "pow", "exponent": 3}, linear("head", 3)),
    "pow of a fraction": (
        linear("fc1", 8),
        {"kind": "softplus"},
        {"kind": "pow", "exponent": -0.5},
        linear("out", 3),
    ),
    "sqrt": (linear("fc1", 8), {"kind": "softplus"}, {"kind": "sqrt"}, linear("out", 3)),
    "clamp": mlp(8, 6, 3, activation={"kind": "clamp", "min": -0.6, "max": 0.8}),
    "rescaling": mlp(8, 6, 3, activation={"kind": "rescaling", "scale": -0.7, "offset": 0.4}),
    "softmax": (*mlp(8, 6), {"kind": "softmax", "axis": 0}, linear("head", 3)),
    "conv2d": (
        conv2d("c1", 6, (3, 2), padding="same"),
        {"kind": "tanh"},
        conv2d("c2", 4, 3, stride=(2, 1), padding=(0, 1)),
        RELU,
        {"kind": "flatten"},
        linear("out", 3),
    ),
    "conv2d groups": (
        conv2d("c1", 6, 3, padding=1, groups=2),
        {"kind": "tanh"},
        conv2d("c2", 12, (3, 2), groups=6, bias=False),
        RELU,
        {"kind": "flatten"},
        linear("out", 3),
    ),
    "conv1d": (
        {"kind": "conv1d", "name": "c1", "out": 6, "kernel": 3, "padding": "same", "dilation": 2},
        {"kind": "tanh"},
        {"kind": "conv1d", "name": "c2", "out": 4, "kernel": 3, "stride": 2, "groups": 2},
        {"kind": "tanh"},
        {"kind": "conv1d", "name": "c3", "out": 3, "kernel": 2},
        RELU,
        {"kind": "flatten"},
        linear("out", 3),
    ),
    "conv_transpose2d": (
        conv2d("c1", 6, 2, stride=2),
        {"kind": "tanh"},
        conv2d("t1", 4, 3, stride=(2, 1), padding=1, output_padding=(1, 0)) | {"kind": "conv_transpose2d"},
        {"kind": "tanh"},
        conv2d("t2", 2, (2, 3), groups=2) | {"kind": "conv_transpose2d"},
        RELU,
        {"kind": "flatten"},
        linear("out", 3),
    ),
    "dropout": DROPOUT,
    "alpha_dropout": (linear("fc1", 40), {"kind": "alpha_dropout", "rate": 0.2}, linear("out", 3)),
    "drop_path": (linear("fc1", 6), RELU, {"kind": "drop_path", "rate": 0.4}, linear("out", 3)),
    "batch_norm": (
        *NORMED,
        linear("fc2", 6),
        {"kind": "batch_norm", "affine": False},
        RELU,
        linear("out", 3),
    ),
    "layer_norm": (
        {"kind": "layer_norm", "name": "places", "axes": 0},
        {"kind": "layer_norm", "axes": (0, 1, 2)},
        {"kind": "flatten"},
        linear("fc1", 6),
        {"kind": "layer_norm", "bias": False},
        RELU,
        linear("out", 3),
    ),
    "scale": on_maps({"kind": "scale", "axes": 0, "init": 0.3}, {"kind": "scale", "axes": (-2, -1)}, RELU),
    "bias": on_maps({"kind": "bias", "axes": 0, "init": -0.2}, {"kind": "bias", "axes": (0, 2)}, RELU),
    "slice": (
        linear("fc1", 6),
        {"kind": "tanh"},
        {"kind": "slice", "start": 1, "stop": -1},
        {"kind": "slice", "axis": -1, "stop": 4},
        {"kind": "flatten"},
        linear("out", 3),
    ),
    "group_norm": ({"kind": "group_norm", "groups": 2}, {"kind": "flatten"}, *mlp(8, 3)),
    "rms_norm": ({"kind": "rms_norm", "axes": -1}, {"kind": "flatten"}, *mlp(8, 3)),
    "flatten": ({"kind": "flatten"}, *mlp(8, 6, 3)),
    "add": SKIP,
    "concat": (
        linear("fc1", 6),
        {"kind": "tanh", "name": "t1"},
        linear("fc2", 4),
        {"kind": "concat", "name": "joined", "from": ("t1", "fc2", "fc1")},
        linear("out", 3),
    ),
    "reshape": on_maps({"kind": "reshape", "shape": (5, -1, 2)}),
    "max_pool2d": on_maps({"kind": "max_pool2d", "kernel": (3, 2), "stride": 2, "padding": 1}),
    "max_pool2d over the edge": on_maps(
        {"kind": "max_pool2d", "kernel": (2, 3), "stride": 2, "padding": (0, 1), "ceil_mode": True}
    ),
    "avg_pool2d over the edge": on_maps(
        {"kind": "avg_pool2d", "kernel": (2, 3), "stride": (2, 3), "padding": 1, "ceil_mode": True}
    ),
    "avg_pool2d": on_maps({"kind": "avg_pool2d", "kernel": (3, 2), "stride": (2, 1), "padding": 1}),
    "avg_pool2d of the map": on_maps(
        {"kind": "avg_pool2d", "kernel": 3, "stride": (2, 1), "padding": (1, 0), "count_include_pad": False}
    ),
    "adaptive_avg_pool2d": on_maps({"kind": "adaptive_avg_pool2d", "out": (2, 3)}),
    "global_avg_pool": on_maps({"kind": "global_avg_pool"}),
    "pad": on_maps({"kind": "pad", "padding": (0, 2)}),
    "upsample": on_maps(
        {"kind": "upsample", "scale_factor": (1, 2)},
        {"kind": "upsample", "scale_factor": (2, 1), "mode": "bilinear"},
        {"kind": "max_pool2d", "kernel": 2},
    ),
    "embedding": (
        {"kind": "embedding", "name": "words", "num_embeddings": 6, "out": 4, "padding_idx": 2},
        *on_tokens(linear("fc1", 6), {"kind": "tanh"}),
    ),
    "embedding tied": (
        {"kind": "embedding", "name": "words", "num_embeddings": 4, "out": 6},
        {"kind": "positional_embedding", "name": "places"},
        {"kind": "attention", "name": "look", "heads": 3, "causal": True},
        {"kind": "mean", "name": "mean", "axes": (0,)},
        linear("out", 4, tie="words"),
    ),
    "one_hot": ({"kind": "one_hot", "num_classes": 4}, {"kind": "flatten"}, *mlp(8, 6, 3)),
    "permute": on_maps({"kind": "permute", "axes": (1, 2, 0)}),
    "mean": on_maps({"kind": "mean", "axes": "channels", "keep": True}),
    "max": on_maps({"kind": "max", "axes": "spatial"}),
    "multiply": on_maps(
        {"kind": "global_avg_pool", "name": "each"},
        linear("gate", 2),
        {"kind": "sigmoid", "name": "channels"},
        {"kind": "max", "name": "places", "from": "map", "axes": "channels", "keep": True},
        {"kind": "multiply", "from": ("map", "channels", "places")},
    ),
    "matmul": on_tokens(
        linear("q", 6),
        linear("k", 6, **{"from": "input"}),
        {"kind": "permute", "name": "turned", "axes": (1, 0)},
        {"kind": "matmul", "name": "looks", "from": ("q", "turned")},
        {"kind": "softmax", "name": "shares"},
        linear("v", 4, **{"from": "input"}),
        {"kind": "matmul", "name": "seen", "from": ("shares", "v")},
    ),
    "attend": on_tokens(
        linear("fc1", 12), {"kind": "attend", "heads": 4, "kv_heads": 1, "causal": True, "rotary": 50.0}
    ),
    "attend dropout": on_tokens(
        linear("fc1", 12), {"kind": "attend", "heads": 2, "causal": True, "dropout": 0.3}
    ),
    "attend three": on_tokens(
        linear("q", 8),
        linear("k", 4, **{"from": "input"}),
        linear("v", 4, **{"from": "input"}),
        {"kind": "attend", "heads": 4, "kv_heads": 2, "from": ("q", "k", "v")},
    ),
    "attention": on_tokens(
        {"kind": "positional_embedding", "name": "place", "length": 6},
        {
            "kind": "residual",
            "name": "mix",
            "body": ({"kind": "layer_norm"}, {"kind": "attention", "name": "look", "heads": 5}),
        },
        {
            "kind": "residual",
            "name": "feed",
            "body": (
                {"kind": "layer_norm"},
                {"kind": "mlp", "name": "mlp", "ratio": 1.2, "activation": (RELU,)},
            ),
        },
    ),
    "attention cross": on_tokens(
        {"kind": "rotary", "name": "places"},
        linear("fc1", 4),
        linear("memory", 6, **{"from": "input"}),
        {
            "kind": "attention",
            "name": "look",
            "heads": 4,
            "kv_heads": 2,
            "from": ("fc1", "memory"),
            "bias": False,
        },
    ),
    "positional_embedding": on_tokens({"kind": "positional_embedding"}, linear("fc1", 6), {"kind": "tanh"}),
    "positional_embedding fixed": on_tokens(
        linear("fc1", 6), {"kind": "positional_embedding", "sinusoidal": True}, {"kind": "tanh"}
    ),
    "rotary": on_tokens(linear("fc1", 12), {"kind": "rotary", "heads": 3, "base": 20.0}, {"kind": "tanh"}),
    "patch_embed": on_tokens(
        {"kind": "patch_embed", "name": "patches", "out": 6, "patch": (2, 1)}, {"kind": "tanh"}
    ),
    "class_token": (
        {"kind": "class_token"},
        linear("fc1", 6),
        {"kind": "tanh"},
        {"kind": "select", "index": -5},
        linear("out", 3),
    ),
    "select": (
        linear("fc1", 6),
        {"kind": "tanh"},
        {"kind": "select", "axis": -1, "index": 2},
        linear("out", 3),
    ),
    "stack": (
        linear("fc1", 6),
        {"kind": "tanh", "name": "t1"},
        linear("fc2", 6, tie="fc1", **{"from": "input"}),
        {"kind": "stack", "name": "both", "from": ("t1", "fc2")},
        {"kind": "mean", "axes": (0,)},
        linear("out", 3),
    ),
    "zeros": (
        linear("fc1", 6),
        {"kind": "zeros", "name": "start", "shape": (6,)},
        {
            "kind": "repeat",
            "name": "loop",
            "times": 4,
            "tie": True,
            "steps": "fc1",
            "gather": True,
            "body": STEP,
        },
        {"kind": "mean", "axes": (0,)},
        linear("out", 3),
    ),
    "rnn": ({"kind": "rnn", "name": "state", "out": 6}, linear("out", 3)),
    "rnn masked": ({"kind": "rnn", "name": "state", "out": 6, "mask": "kept"}, linear("out", 3)),
    "gru": on_tokens(linear("fc1", 6), {"kind": "gru", "name": "state", "out": 4, "gather": True}),
    "gru masked": on_tokens(
        linear("fc1", 6), {"kind": "gru", "name": "state", "out": 4, "gather": True, "mask": "kept"}
    ),
    "carry": (
        {"kind": "flatten", "name": "flat"},
        linear("before", 6),
        linear("next", 6, **{"from": "flat"}),
        {"kind": "carry", "name": "state", "index": 2, "mask": "kept", "from": ("next", "before")},
        {"kind": "tanh"},
        linear("out", 3),
    ),
    "gru_gates": (
        linear("given", 12),
        linear("own", 12, **{"from": "input"}),
        linear("state", 4, **{"from": "input"}),
        {"kind": "gru_gates", "name": "next", "from": ("given", "own", "state")},
        linear("out", 3),
    ),
    "mlp": on_tokens({"kind": "mlp", "name": "mlp", "ratio": 1.6, "out": 6, "activation": (RELU,)}),
    "sequence": ({"kind": "sequence", "name": "body", "body": mlp(8, 6, 4)}, linear("head", 3)),
    "residual": (
        {"kind": "residual", "name": "block", "body": mlp(8, 6), "shortcut": (linear("skip", 6),)},
        {"kind": "residual", "body": (RELU, linear("fc2", 6))},
        linear("head", 3),
    ),
    "repeat": ({"kind": "repeat", "name": "deep", "times": 3, "body": mlp(4, 5)}, linear("head", 3)),
    "parallel": (
        {"kind": "parallel", "name": "wide", "branches": (mlp(8, 6), (linear("fc1", 6), {"kind": "tanh"}))},
        linear("head", 3),
    ),
}
"""By the kind of layer; a second word tells several networks of one kind apart."""
TOKENS = (
    *(
        "linear tokens",
        "matmul",
        "attend",
        "attend dropout",
        "attend three",
        "attention",
        "positional_embedding",
        "positional_embedding fixed",
    ),
    *("class_token", "select", "slice", "mlp"),
    *("zeros", "rnn", "rnn masked", "gru", "gru masked", "carry"),
)
"""Networks that read tokens."""
SHAPES: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("batch_norm", "flatten", "layer_norm", "rms_norm"), (2, 4, 3)),
    "group_norm": (4, 3, 2),
    **dict.fromkeys(("conv2d", "conv2d groups", "conv_transpose2d"), (2, 5, 4)),
    "conv1d": (2, 9),
    **dict.fromkeys(TOKENS, (4, 5)),
    **dict.fromkeys(("rotary", "attention cross"), (4, 6)),
    "patch_embed": (2, 4, 3),
}
"""Of a sample, where it is not a vector of 5."""
WHOLE = {"one_hot": 4, "embedding": 5, "embedding tied": 4}
"""How many whole numbers the input has, where it has those."""
MASKED = ("rnn masked", "gru masked", "carry")
"""Networks that read a mask of their tokens besides, called `kept`."""
SIZES = (7, 7, 3, 1, 7)
MEASURED = "ldfa_oja_kp"
TAUGHT_BY = {"float64": ("bp", "dfa", MEASURED), "float32": ("bp", MEASURED)}
"""In float32, where kernels may be others, what the layer makes and sends: `law/` has direct routes past products."""


def cases() -> Iterator[Case]:
    """One for each kind of layer."""
    for kind in LAYERS:
        yield agreement("layer", kind, partial(run, kind))


def network(name: str, feedback: Any = None, update: Data = SGD) -> Data:
    """One of `LAYERS` as a whole spec, with the input that it reads."""
    data = spec(LAYERS[name], feedback, update, SHAPES.get(name, (5,)))
    read = data.pop("input") | ({"classes": WHOLE[name]} if name in WHOLE else {})
    if name not in MASKED:
        return data | {"input": read}
    return data | {"inputs": {"x": read, "kept": {"shape": read["shape"][:1], "mask": True}}}


def given_to(name: str) -> list[Batch]:
    """Batches that change their size. Of a mask some sequences are whole, some have gaps, and the first is empty."""
    given = batches(*SIZES, shape=SHAPES.get(name, (5,)), whole=WHOLE.get(name))
    if name not in MASKED:
        return given
    rng, (steps, _) = np.random.default_rng(3), SHAPES[name]
    kept = rng.integers(0, 2, (max(SIZES), steps)).astype(float)
    kept[0], kept[1] = 0, 1
    return [({"x": x, "y": y, "kept": kept[: len(y)]}, None) for x, y in given]


def run(kind: str, subject: Subject) -> Answers:
    """What steps make, for each rule; all else once, with the rule whose errors are the most ops."""
    given = given_to(kind)
    found: dict[str, Any] = {}
    for rule in TAUGHT_BY[subject.precision]:
        data = network(kind, RULES[rule], UPDATES["momentum"])
        asked = data if rule == MEASURED else data | {"probes": ()}
        said = answers(subject.open(asked), given, network=rule == MEASURED)
        found |= {f"{rule}: {name}": value for name, value in said.items()}
    return found
