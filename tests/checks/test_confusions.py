"""One thing that is taken for another is told as what it is, with what was meant."""

from __future__ import annotations

import pytest

from fac.pipeline import check
from fac.source import parse_text

SPEC = """\
fac: 1
name: example
{input}
layers:
{layers}
{loss}
{feedback}
update: {{rule: sgd, lr: 0.1}}
{data}
"""
USUAL = {
    "input": "input: {shape: [8]}",
    "layers": """\
  - {kind: linear, name: fc1, out: 8}
  - {kind: relu}
  - {kind: linear, name: logits, out: 3}""",
    "loss": "loss: {kind: cross_entropy}",
    "feedback": "",
    "data": "",
}


def told(**sections: str) -> list[tuple[str, str]]:
    """(message, help) of each finding."""
    return [(one.message, one.help) for one in check(parse_text(SPEC.format(**USUAL | sections)))]


def test_a_law_that_needs_a_number_is_told_with_its_key() -> None:
    ((_, help),) = told(layers="  - {kind: linear, name: logits, out: 3, init: normal}")
    assert help == "write `{kind: normal, std: ...}`"


def test_a_layer_of_a_later_copy_is_not_told_to_move() -> None:
    body = "[{kind: linear, name: fc1, out: 8}, {kind: add, name: join, from: [fc1, block.1.join]}]"
    layers = f"  - {{kind: repeat, name: block, times: 2, body: {body}}}\n  - {{kind: linear, name: logits, out: 3}}"
    message, help = told(layers=layers)[0]
    assert message == "`block.0.join` reads `block.1.join`, which stands in a later copy of its block"
    assert help.startswith("no copy reads one behind it: what the one before makes is `input`")


def test_a_mask_that_nobody_reads_is_named_in_a_mask() -> None:
    inputs = "inputs:\n  tokens: {shape: [4, 8]}\n  valid: {shape: [4], mask: true}"
    layers = "  - {kind: mean, axes: [0], from: tokens}\n  - {kind: linear, name: logits, out: 3}"
    assert told(input=inputs, layers=layers) == [
        ("no layer reads `valid`", "name it in a `mask:`, or remove it")
    ]


def test_two_sorts_of_route_in_one_item_are_one_finding() -> None:
    route = "feedback: {routes: [{to: fc1, through: logits, from: loss, matrix: {kind: random}}]}"
    assert told(feedback=route) == [
        (
            "`feedback.routes[0]` has `through` and `to`, and takes one of the two",
            "remove one, or write an item for each",
        )
    ]


@pytest.mark.parametrize("more", ["", "\n  - {kind: cross_entropy, name: side, of: fc1, target: z}"])
def test_a_loss_is_no_error_source(more: str) -> None:
    route = "feedback: {routes: [{to: fc1, from: main, matrix: {kind: random}}]}"
    assert told(loss="losses:\n  - {kind: cross_entropy, name: main}" + more, feedback=route) == [
        (
            "`main` is a loss, which is no error source by its name",
            "write `logits`, the layer that it reads: the error there is what its losses make",
        )
    ]


def test_a_length_of_the_data_is_told_as_one_that_may_change() -> None:
    """And of the labels, which are as many, nothing: how many there should be is not known yet."""
    found = told(
        input="input: {shape: [8], classes: 256}",
        layers="  - {kind: embedding, name: table, out: 4}\n  - {kind: linear, name: logits, out: 256}",
        data="data: {source: text, path: letters, length: 16}",
    )
    assert found == [
        ("a sample of `text` has 16 values, and the input takes 8", "use `[16]`, or `length: 8` in `data`")
    ]
