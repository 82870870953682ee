"""What PyTorch and Keras call layers and their keys: what is said instead, and where nothing near is meant."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pytest

from fac import plugins
from fac.diagnostics import plain
from fac.layers import KINDS
from fac.pipeline import parse
from fac.source import from_data
from fac.spec import words
from fac.spec.base import Model
from fac.spec.core_schema import Schema

LISTED = "`kind` is one of `linear`, "
FOLLOWS = "leave it out: it follows from what the layer reads"
CONV = {"kind": "conv2d", "out": 4, "kernel": 3}
NAMES = {
    "MaxPool2d": "max_pool2d",
    "maxpool": "max_pool2d",
    "MaxPooling2D": "max_pool2d",
    "leakyrelu": "leaky_relu",
    "LeakyReLU": "leaky_relu",
    "BatchNorm": "batch_norm",
    "batchnorm2d": "batch_norm",
    "BatchNormalization": "batch_norm",
    "bn": "batch_norm",
    "Conv2d": "conv2d",
    "Conv1D": "conv1d",
    "conv": "conv2d",
    "ConvTranspose2d": "conv_transpose2d",
    "Conv2DTranspose": "conv_transpose2d",
    "dense": "linear",
    "Linear": "linear",
    "fc": "linear",
    "globalavgpool": "global_avg_pool",
    "AdaptiveAvgPool2d": "adaptive_avg_pool2d",
    "layernorm": "layer_norm",
    "interpolate": "upsample",
    "sum": "add",
    "cat": "concat",
    "linaer": "linear",
}
NOTHING = ("conv3d", "MaxPool3d", "recurrent", "lstm")


def helps(**layer: object) -> list[str]:
    """What is said of a spec of one layer."""
    data: dict[str, Any] = {
        "fac": 1,
        "name": "x",
        "input": {"shape": (4, 8, 8)},
        "layers": (layer,),
        "loss": {"kind": "mse"},
        "update": {"rule": "sgd", "lr": 0.1},
    }
    return [finding.help for finding in parse(from_data(data))[1]]


@pytest.mark.parametrize(("word", "kind"), NAMES.items(), ids=NAMES)
def test_a_kind_under_the_name_of_another_tool(word: str, kind: str) -> None:
    assert helps(kind=word) == [f"did you mean `{kind}`?"]


OTHERS = {
    "ReLU6": "write `kind: clamp`, with `min: 0` and `max: 6`",
    "PReLU": "there is none with a slope that learns; `leaky_relu` has a fixed one",
    "hard_tanh": "write `kind: clamp`, with `min: -1` and `max: 1`",
    "gelu_tanh": "write `kind: gelu`, with `approximate: tanh`",
    "softmin": "there is none; it is the `softmax` of what it reads with the other sign",
    "log_softmax": "leave it out: `cross_entropy` reads logits, and takes the logarithm itself",
    "bilinear": "write a `linear` of each of the two, and a `multiply` that reads both",
    "unflatten": "did you mean `reshape`?",
    "depthwise_conv2d": "write `kind: conv2d`, with as many `groups` as channels are read",
}


@pytest.mark.parametrize(("word", "help"), OTHERS.items(), ids=OTHERS)
def test_another_function_is_not_the_one_of_the_nearest_name(word: str, help: str) -> None:
    assert helps(kind=word) == [help]


@pytest.mark.parametrize("word", NOTHING)
def test_no_kind_is_better_than_a_wrong_one(word: str) -> None:
    (help,) = helps(kind=word)
    assert help.startswith(LISTED)


ACTIVATION = "write it as a layer of its own behind this one, such as `- {kind: relu}`"
ALL = "name all layers that it reads: `from: [a, b]`"
KEYS: dict[str, tuple[dict[str, object], str]] = {
    "out_channels beside out": (
        {**CONV, "out_channels": 16},
        "`out_channels` is `out`, which stands here already",
    ),
    "kernel_size beside kernel": (
        {**CONV, "kernel_size": 5},
        "`kernel_size` is `kernel`, which stands here already",
    ),
    "activation": ({**CONV, "activation": "relu"}, ACTIVATION),
    "activation of linear": ({"kind": "linear", "out": 4, "activation": "relu"}, ACTIVATION),
    "in_channel": ({**CONV, "in_channel": 4}, FOLLOWS),
    "inplace": (
        {"kind": "relu", "inplace": True},
        "leave it out: where values are kept is up to the backend",
    ),
    "start_dim": (
        {"kind": "flatten", "start_dim": 1},
        "leave it out: it flattens all but the batch; for some axes use `reshape`",
    ),
    "inputs of add": ({"kind": "add", "inputs": ("a", "b")}, "did you mean `from`?"),
    "input of add": ({"kind": "add", "input": "a"}, "did you mean `from`?"),
    "size of a pool": ({"kind": "max_pool2d", "size": 2}, "did you mean `kernel`?"),
    "with of add": ({"kind": "add", "with": "a"}, ALL),
    "layers of residual": ({"kind": "residual", "layers": (CONV,)}, "did you mean `body`?"),
    "n of repeat": ({"kind": "repeat", "n": 2, "body": (CONV,)}, "did you mean `times`?"),
    "block of repeat": ({"kind": "repeat", "times": 2, "block": (CONV,)}, "did you mean `body`?"),
    "body of parallel": (
        {"kind": "parallel", "branches": ((CONV,), (CONV,)), "body": (CONV,)},
        "write `branches`, a list of lists of layers",
    ),
    "out_channels": ({"kind": "conv2d", "out_channels": 4, "kernel": 3}, "did you mean `out`?"),
    "filters": ({"kind": "conv2d", "filters": 4, "kernel": 3}, "did you mean `out`?"),
    "kernel_size": ({"kind": "conv2d", "out": 4, "kernel_size": 3}, "did you mean `kernel`?"),
    "in_channels": ({**CONV, "in_channels": 4}, FOLLOWS),
    "padding_mode": ({**CONV, "padding_mode": "zeros"}, "leave it out: what is padded is zeros"),
    "out_features": ({"kind": "linear", "out_features": 4}, "did you mean `out`?"),
    "units": ({"kind": "linear", "units": 4}, "did you mean `out`?"),
    "in_features": ({"kind": "linear", "out": 4, "in_features": 4}, FOLLOWS),
    "num_features": ({"kind": "batch_norm", "num_features": 4}, FOLLOWS),
    "normalized_shape": ({"kind": "layer_norm", "normalized_shape": (4,)}, FOLLOWS),
    "p": ({"kind": "dropout", "p": 0.5}, "did you mean `rate`?"),
    "dim of concat": (
        {"kind": "concat", "dim": 1},
        "write `axis`, which is counted without the batch",
    ),
    "dim of layer_norm": (
        {"kind": "layer_norm", "dim": 1},
        "write `axes`, which are counted without the batch",
    ),
    "identity": (
        {"kind": "residual", "body": (CONV,), "shortcut": ({"kind": "identity"},)},
        "leave it out: a `residual` without a `shortcut` adds what it reads",
    ),
}


@pytest.mark.parametrize(("layer", "help"), KEYS.values(), ids=KEYS)
def test_a_key_of_another_tool(layer: dict[str, object], help: str) -> None:
    assert helps(**layer) == [help]


def test_words_of_other_tools_mean_what_they_say() -> None:
    """Each leads to a key that there is, or is a sentence; none is a word of the format itself, nor of two kinds."""
    seen: set[str] = set()
    for kind in plugins.kinds("fac.layers"):
        schema = Schema.of(kind.spec)
        fields = schema.field_names()
        for word, meant in schema.other_keys().items():
            assert word not in fields, (kind.name, word)
            assert meant in fields or " " in meant, (kind.name, word)
        for word in kind.spec.other_kinds:
            assert word == words.plain(word)
            assert word not in seen | {words.plain(known.name) for known in KINDS}, (kind.name, word)
            seen.add(word)


class Base(Model):
    other_keys: ClassVar = {"first": "a", "second": "a"}
    a: int = 0
    b: int = 0


class Derived(Base):
    other_keys: ClassVar = {"second": "b"}
    kind: Literal["derived"] = "derived"


def test_the_words_of_a_base_count_too() -> None:
    Derived.model_rebuild()
    assert Schema.of(Derived).other_keys() == {"first": "a", "second": "b"}


def test_a_list_of_kinds_ends_between_words_and_says_how_one_of_your_own_comes() -> None:
    (help,) = helps(kind="wobble")
    shown, _, rest = help.removeprefix("`kind` is one of ").partition(" and ")
    names = [name.strip("`") for name in shown.split(", ")]
    assert names == [kind.name for kind in KINDS][: len(names)]
    assert rest == f"{len(KINDS) - len(names)} more; one of your own comes with `--plugin FILE.py`"
    (help,) = helps(kind="linear", out=4, init={"kind": "wobble"})
    assert "plugin" not in help, "laws are no family of plug-ins"


def test_a_message_that_is_too_long_loses_whole_words() -> None:
    head, tail = plain(" ".join(f"word{i}" for i in range(200))).split(" ... ")
    assert {*head.split(), *tail.split()} <= {f"word{i}" for i in range(200)}


def test_settings_of_trainings_and_images_under_the_names_of_other_tools() -> None:
    data = {
        "fac": 1,
        "name": "other",
        "input": {"shape": (3, 8, 8)},
        "layers": ({"kind": "flatten"}, {"kind": "linear", "out": 2}),
        "loss": {"kind": "cross_entropy"},
        "update": {"rule": "sgd", "lr": 0.1},
        "data": {"source": "image_folder", "train": "a", "test_share": 0.2, "channels": "rgb"},
        "train": {"batch": 8, "batch_size": 8, "epoch": 2},
    }
    assert [finding.help for finding in parse(from_data(data))[1]] == [
        "did you mean `colour`?",
        "`batch_size` is `batch`, which stands here already",
        "did you mean `epochs`?",
    ]
