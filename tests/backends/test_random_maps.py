"""Random networks of maps: on torch, which lays maps out in another order, they train as on the reference backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fac.backend import Precision
from fac.pipeline import find_backend
from fac.testing.case import Subject, compare
from fac.testing.nets import Data, answers, conv2d, linear, spec

TOLERANCE: dict[Precision, float] = {"float64": 1e-9, "float32": 1e-3}
PROFILE = settings(max_examples=40, derandomize=True)
CHANNELS, SIZE = 4, (5, 7)
SAME: tuple[Data, ...] = (
    {"kind": "relu"},
    {"kind": "silu"},
    {"kind": "gelu"},
    {"kind": "batch_norm"},
    {"kind": "batch_norm", "eps": 0.5},
    {"kind": "group_norm", "groups": 2},
    {"kind": "layer_norm", "axes": 0},
    {"kind": "max_pool2d", "kernel": 3, "stride": 1, "padding": 1},
    {"kind": "avg_pool2d", "kernel": 3, "stride": 1, "padding": 1},
    {"kind": "dropout", "rate": 0.3},
)
"""Layers that keep the shape of a map."""
CONVOLUTIONS: tuple[Data, ...] = (
    {"kernel": 3, "padding": 1},
    {"kernel": (1, 3), "padding": "same", "bias": False},
    {"kernel": 2, "padding": "same"},
    {"kernel": 3, "padding": 1, "groups": CHANNELS},
    {"kernel": 1},
)
ENDS: tuple[tuple[Data, ...], ...] = (
    ({"kind": "flatten"},),
    ({"kind": "max_pool2d", "kernel": 2}, {"kind": "flatten"}),
    ({"kind": "global_avg_pool"},),
    (conv2d("last", 3, 3, stride=2), {"kind": "flatten"}),
)
RULES: tuple[Data, ...] = (
    {"rule": "bp"},
    {"rule": "fa"},
    {"rule": "dfa"},
    {"rule": "dfa", "learn": {"rule": "kolen_pollack"}},
    {"rule": "fa", "learn": {"rule": "kolen_pollack"}},
)
UPDATES: tuple[Data, ...] = (
    {"rule": "sgd", "lr": 0.02, "momentum": 0.9, "weight_decay": 0.01},
    {"rule": "sgd", "lr": 0.02, "clip": {"by": "norm", "at": 0.5}},
)


@st.composite
def specs(draw: st.DrawFn) -> Data:
    """A convolution, layers each of which reads any map before it, a sum of those that nobody read, and an end."""
    layers: list[Data] = [conv2d("m0", CHANNELS, 3, padding=1)]
    unread = ["m0"]
    for index in range(1, draw(st.integers(3, 7))):
        name, maps = f"m{index}", [str(layer["name"]) for layer in layers]
        source = draw(st.sampled_from([*unread, *maps]))
        reads: Any = source
        match draw(st.sampled_from(["conv", "same", "same", "join"])):
            case "conv":
                layer = {"kind": "conv2d", "out": CHANNELS} | draw(st.sampled_from(CONVOLUTIONS))
            case "join" if len(maps) > 1:
                reads = (source, draw(st.sampled_from([m for m in maps if m != source])))
                layer = {"kind": draw(st.sampled_from(["add", "multiply"]))}
            case _:
                layer = draw(st.sampled_from(SAME))
        layers.append(layer | {"name": name, "from": reads})
        unread = [m for m in unread if m not in (reads if isinstance(reads, tuple) else (reads,))] + [name]
    if len(unread) > 1:
        layers.append(
            {"kind": draw(st.sampled_from(["add", "concat"])), "name": "joined", "from": tuple(unread)}
        )
    whole = (*layers, *draw(st.sampled_from(ENDS)), linear("out", 3))
    return spec(whole, draw(st.sampled_from(RULES)), draw(st.sampled_from(UPDATES)), shape=(2, *SIZE))


def agree(
    data: Data, shape: tuple[int, ...], samples: tuple[int, ...], precision: Precision = "float64"
) -> None:
    """The same steps on both backends, with so many samples each, and what is measured after them."""
    rng = np.random.default_rng(0)
    given = [(rng.standard_normal((n, *shape)), rng.integers(0, 3, n)) for n in samples]
    expected, found = (
        answers(Subject(find_backend(name), precision, "cpu").open(data), given)
        for name in ("reference", "torch")
    )
    compare(found, expected, TOLERANCE[precision])


@PROFILE
@given(specs())
def test_backends_agree(data: Data) -> None:
    agree(data, (2, *SIZE), (5, 4, 3))


SEQUENCE: Data = {"kind": "conv1d", "name": "c1", "out": 4, "kernel": 3, "padding": "same"}
MET: dict[str, tuple[tuple[int, ...], tuple[Data, ...]]] = {
    "a sequence and a batch norm": ((3, 8), (SEQUENCE, {"kind": "batch_norm"})),
    "a map as a sequence": (
        (2, *SIZE),
        (conv2d("c1", 4, 3, padding=1), {"kind": "reshape", "shape": (4, 35)}, {"kind": "batch_norm"}),
    ),
    "groups, then the batch": (
        (2, *SIZE),
        (conv2d("c1", 4, 3), {"kind": "group_norm", "groups": 2}, {"kind": "batch_norm"}),
    ),
    "two norms of one map": (
        (2, *SIZE),
        (
            conv2d("c1", 4, 3),
            {"kind": "batch_norm", "name": "n1"},
            {"kind": "batch_norm", "name": "n2", "eps": 0.5, "from": "c1"},
            {"kind": "add", "from": ("n1", "n2")},
        ),
    ),
    "one channel and a gelu": (
        (1, *SIZE),
        (conv2d("c1", 16, 3), {"kind": "gelu"}, {"kind": "max_pool2d", "kernel": 2}),
    ),
}
"""Maps that come to a kernel in another order than it would like."""


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("name", MET)
def test_no_kernel_takes_one_order_for_another(name: str, precision: Precision) -> None:
    shape, layers = MET[name]
    whole = (*layers, {"kind": "flatten"}, linear("out", 3))
    agree(spec(whole, {"rule": "bp"}, UPDATES[0], shape=shape), shape, (5, 2, 1), precision)
