"""What is said of an `input.shape` that the first layer cannot read, or reads as what it is not."""

from __future__ import annotations

from typing import Any

import pytest

from fac.diagnostics import dotted
from tests.checks.specs import diagnosed, found, linear

CONV: dict[str, Any] = {"kind": "conv2d", "name": "c1", "out": 8, "kernel": 3, "padding": "same"}
POOL = {"kind": "global_avg_pool"}
SEQUENCE: dict[str, Any] = {"kind": "conv1d", "name": "c1", "out": 8, "kernel": 3}

ENTRANCES: dict[str, tuple[tuple[int, ...], dict[str, Any], str]] = {
    "no channels": ((28, 28), CONV, "write `input: {shape: [1, 28, 28]}`"),
    "a square in a row": ((784,), CONV, "write `input: {shape: [1, 28, 28]}`"),
    "a row": (
        (785,),
        CONV,
        "put a `reshape` layer before it, with `shape: [channels, height, width]`",
    ),
    "a batch": ((128, 1, 28, 28), CONV, "write `input: {shape: [1, 28, 28]}`, which has no batch"),
    "a batch, and no such kernel": (
        (128, 1, 2, 2),
        {**CONV, "padding": 0},
        "put a `reshape` layer before it, with `shape: [channels, height, width]`",
    ),
    "a sequence": ((100,), SEQUENCE, "write `input: {shape: [1, 100]}`"),
    "one layer later": (
        (28, 28),
        {**CONV, "from": "before"},
        "put a `reshape` layer before it, with `shape: [1, 28, 28]`",
    ),
}


@pytest.mark.parametrize("name", ENTRANCES)
def test_a_shape_that_the_first_layer_could_read_is_said(name: str) -> None:
    shape, layer, help = ENTRANCES[name]
    before = ({"kind": "relu", "name": "before"},) if layer.get("from") else ()
    (finding,) = diagnosed((*before, layer, POOL, linear("out", 4)), input={"shape": shape})
    assert (finding.rule.code, finding.help) == ("FAC203", help)


def test_a_batch_in_the_shape_is_no_sample_of_the_data() -> None:
    layers = ({**CONV, "padding": 1}, POOL, linear("out", 10))
    told = diagnosed(layers, input={"shape": (128, 1, 8, 8)}, data={"source": "digits"})
    assert [(d.rule.code, d.help) for d in told] == [
        ("FAC219", "leave the batch out: `[1, 8, 8]`"),
        ("FAC203", "write `input: {shape: [1, 8, 8]}`, which has no batch"),
    ]


IMAGES: dict[str, tuple[tuple[int, ...], bool]] = {
    "grey": ((28, 28, 1), True),
    "colours": ((32, 32, 3), True),
    "colours of a wide image": ((48, 64, 3), True),
    "four": ((32, 32, 4), True),
    "channels first": ((3, 32, 32), False),
    "a small map of many channels": ((64, 4, 4), False),
    "a map of one column": ((64, 200, 1), False),
    "two channels": ((32, 32, 2), False),
    "as long as wide as deep": ((4, 4, 4), False),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images_with_their_channels_last(name: str) -> None:
    shape, last = IMAGES[name]
    layers = (CONV, POOL, linear("out", 4))
    assert found(layers, input={"shape": shape}) == ([("FAC221", "input.shape")] if last else [])


def test_who_turns_an_image_first_reads_it_as_it_is_meant() -> None:
    turned = ({"kind": "permute", "axes": (2, 0, 1)}, CONV, POOL, linear("out", 4))
    assert not found(turned, input={"shape": (32, 32, 3)})
    assert not found(({"kind": "flatten"}, linear("out", 4)), input={"shape": (32, 32, 3)})


def test_channels_last_are_told_beside_a_kernel_that_does_not_fit() -> None:
    told = diagnosed(({**CONV, "padding": 0}, POOL, linear("out", 4)), input={"shape": (28, 28, 1)})
    assert [(d.rule.code, dotted(d.path)) for d in told] == [
        ("FAC221", "input.shape"),
        ("FAC203", "layers[0].kernel"),
    ]
    assert told[0].help == "write `shape: [1, 28, 28]`"


def test_a_block_that_cannot_be_written_out_has_no_entrance() -> None:
    """What it cannot read is said, and nothing else is asked of it."""
    block = {"kind": "residual", "name": "r", "from": ("input", "input"), "body": ({"kind": "relu"},)}
    assert found((block, linear("out", 3)), input={"shape": (28, 28, 1)}) == [("FAC203", "layers[0].from")]


def test_who_forgot_to_flatten_an_image_is_told_once() -> None:
    """By the first layer that takes its rows for channels; layers behind it go on along them."""
    layers = (linear("fc1", 8), {"kind": "relu"}, linear("fc2", 10))
    elsewhere, output = diagnosed(layers, input={"shape": (1, 8, 8)})
    assert (elsewhere.rule.code, dotted(elsewhere.path)) == ("FAC222", "layers[0].name")
    assert elsewhere.help.startswith("put a `flatten` layer before it")
    assert (output.rule.code, output.help.split(" with as")[0]) == (
        "FAC207",
        "end with `global_avg_pool` or `flatten`, and then a `linear` layer",
    )
