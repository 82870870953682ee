"""Which words `--fix` takes for a slip of the hand, and which for another word."""

from __future__ import annotations

import pytest

from fac.layers import KINDS
from fac.pipeline import parse
from fac.source import from_data
from fac.spec.mending import sure

LAYERS = [kind.name for kind in KINDS]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("linaer", "linear"),
        ("lineer", "linear"),
        ("lnear", "linear"),
        ("linea", "linear"),
        ("linearr", "linear"),
        ("tahn", "tanh"),
        ("Max-Pool2D", "max_pool2d"),
    ],
)
def test_a_slip_is_mended(word: str, meant: str) -> None:
    assert sure(word, meant, LAYERS)


@pytest.mark.parametrize(
    "word",
    [
        "gated_conv2d",
        "softmin",
        "log_softmax",
        "logsoftmax",
        "sinusoid",
        "bilinear",
        "quant_linear",
        "lazy_conv2d",
        "conv2d_same",
        "prelu",
        "gelu_tanh",
        "linear_norm",
    ],
)
def test_another_layer_is_never_put_in_its_place(word: str) -> None:
    data = {
        "fac": 1,
        "name": "x",
        "input": {"shape": (4, 8, 8)},
        "layers": ({"kind": word, "out": 4, "kernel": 3},),
        "loss": {"kind": "mse"},
        "update": {"rule": "sgd", "lr": 0.1},
    }
    found = parse(from_data(data))[1]
    assert found
    assert not any(finding.fix for finding in found)


@pytest.mark.parametrize(("word", "meant"), [("!head", "head"), ("branch_b", "branch_a"), ("netA", "netB")])
def test_names_that_differ_where_names_do_are_two(word: str, meant: str) -> None:
    assert not sure(word, meant, [meant])


def test_the_last_letter_of_a_long_word_may_be_wrong() -> None:
    assert sure("momentun", "momentum", ["momentum", "nesterov"])
