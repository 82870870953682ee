"""Layers of tokens that cannot read what they are given: exact words, place and remedy, and no other finding."""

from __future__ import annotations

from typing import Any

import pytest

from fac.diagnostics import dotted
from fac.program.lower import lower
from fac.spec.model import ModelSpec
from fac.testing.nets import Layers, linear
from tests.checks.specs import SGD, diagnosed

HEAD: Layers = ({"kind": "mean", "axes": (0,)}, linear("logits", 4))
Case = tuple[dict[str, Any], str, str, str]
TOKENS: dict[str, Case] = {
    "heads that do not divide": (
        {"kind": "attention", "name": "look", "heads": 5},
        "heads",
        "`look` has 5 heads, which do not divide 6 channels",
        "choose a divisor of the number of channels: 1, 2, 3, 6",
    ),
    "heads of keys that do not divide": (
        {"kind": "attention", "name": "look", "heads": 3, "kv_heads": 2},
        "kv_heads",
        "`look` has 2 heads of keys, which do not divide 3 heads of queries",
        "choose a divisor of `heads`",
    ),
    "one product of two layers": (
        {"kind": "attention", "name": "look", "heads": 3, "from": ("input", "fc1"), "fused": True},
        "fused",
        "`look` makes queries of one layer and keys of another, which one product cannot",
        "leave `fused` out",
    ),
    "three layers": (
        {"kind": "attention", "name": "look", "heads": 3, "from": ("input", "fc1", "fc1")},
        "from",
        "`look` reads the layer whose tokens look and the one that they look at, not 3",
        "name two at most",
    ),
    "pairs of an odd width": (
        {"kind": "attention", "name": "look", "heads": 2, "rotary": 10000.0},
        "rotary",
        "`look` turns pairs of channels, and a head has 3",
        "choose a width of which each head has an even part",
    ),
    "and by themselves": (
        {"kind": "rotary", "name": "turn", "heads": 2},
        "heads",
        "`turn` turns pairs of channels, and a head has 3",
        "choose a width of which each head has an even part",
    ),
    "a core of other heads": (
        {"kind": "attend", "name": "core", "heads": 4},
        "heads",
        "`core` has 12 heads of queries, keys and values, which do not divide 6 channels",
        "choose a divisor of the number of channels: 1, 2, 3, 6",
    ),
    "a core of two": (
        {"kind": "attend", "name": "core", "heads": 2, "from": ("input", "fc1")},
        "from",
        "`core` reads queries, keys and values, as one layer or as three, not 2",
        "name them: `from: [q, k, v]`",
    ),
    "keys of another width": (
        {"kind": "attend", "name": "core", "heads": 2, "from": ("fc1", "few", "fc1")},
        "from",
        "`core` reads queries [5, 6], keys [5, 4] and values [5, 6], with 2 heads of queries and 2 of keys",
        "make keys [5, 6], and as many values",
    ),
    "causal among others": (
        {"kind": "attention", "name": "look", "heads": 2, "causal": True, "from": ("short", "fc1")},
        "causal",
        "`look.attend` is causal, and reads 3 queries and 5 keys: which of them stand before which is not said",
        "leave `causal` out",
    ),
    "a table that is too short": (
        {"kind": "positional_embedding", "name": "place", "length": 4},
        "length",
        "`place` has a table of 4 places, and reads 5 tokens",
        "write `length: 5` or more, or leave it out",
    ),
    "an index behind the last": (
        {"kind": "select", "name": "one", "index": 5},
        "index",
        "`one` takes number 5 of 5 along axis 0",
        "use an index from -5 to 4",
    ),
    "an axis behind the last": (
        {"kind": "select", "name": "one", "axis": 2},
        "axis",
        "`one` takes one along axis 2 of [5, 6]",
        "use an axis from -2 to 1",
    ),
    "no tokens": (
        {"kind": "class_token", "name": "first", "from": "vector"},
        "kind",
        "`first` reads tokens [number, channels], not [6]",
        "",
    ),
    "a part of a channel": (
        {"kind": "mlp", "name": "feed", "ratio": 0.25},
        "ratio",
        "`feed` reads 6 channels, of which 0.25 times as many are no whole number",
        "write a multiple of 1/6",
    ),
}


@pytest.mark.parametrize("case", TOKENS)
def test_what_tokens_cannot_be(case: str) -> None:
    layer, field, message, help = TOKENS[case]
    below: Layers = (
        linear("fc1", 6),
        linear("few", 4),
        {"kind": "mean", "name": "vector", "axes": (0,), "from": "fc1"},
        {"kind": "permute", "name": "turned", "axes": (1, 0), "from": "input"},
        linear("tall", 3),
        {"kind": "permute", "name": "short", "axes": (1, 0)},
    )
    layers = (*below, {"from": "fc1", **layer}, *HEAD)
    found = [d for d in diagnosed(layers, input={"shape": (5, 6)}) if d.rule.code == "FAC203"]
    assert [(dotted(d.path), d.message, d.help or "") for d in found] == [
        (f"layers[6].{field}", message, help)
    ]


def test_patches_that_leave_some_over() -> None:
    layers: Layers = ({"kind": "patch_embed", "name": "patches", "patch": (4, 3), "out": 6}, *HEAD)
    (found,) = diagnosed(layers, input={"shape": (1, 8, 8)})
    assert (dotted(found.path), found.message) == (
        "layers[0].patch",
        "`patches` cuts 8 x 8 into patches of 4 x 3, and some are left over",
    )
    assert found.help == "choose divisors of the sizes, or `pad` the map"


def test_sines_of_an_odd_width() -> None:
    layers: Layers = ({"kind": "positional_embedding", "name": "place", "sinusoidal": True}, *HEAD)
    (found,) = diagnosed(layers, input={"shape": (5, 3)})
    assert dotted(found.path) == "layers[0].sinusoidal"
    assert found.message == "`place` makes a sine and a cosine of each wavelength, and a token has 3 channels"


def test_what_has_no_table_has_no_length() -> None:
    place = {"kind": "positional_embedding", "name": "place", "sinusoidal": True, "length": 9}
    (found,) = diagnosed((linear("fc1", 6), place, *HEAD), input={"shape": (5, 6)})
    assert (found.rule.code, dotted(found.path)) == ("FAC314", "layers[1].length")


def test_a_number_behind_the_last_row() -> None:
    words = {"kind": "embedding", "name": "words", "num_embeddings": 9, "out": 4}
    (found,) = diagnosed((words, *HEAD), input={"shape": (5,), "classes": 10})
    assert (found.rule.code, dotted(found.path)) == ("FAC240", "layers[0].num_embeddings")
    assert found.message == "`words` reads the numbers from 0 to 8, and `input` goes up to 9"
    assert found.help == "leave `num_embeddings` out, or write `input.classes: 9`"


VECTORS: dict[str, dict[str, Any]] = {
    "num_embeddings": {"kind": "embedding", "name": "words", "out": 4},
    "num_classes": {"kind": "one_hot", "name": "words"},
}
EACH_FIELD = pytest.mark.parametrize("field", VECTORS)


@EACH_FIELD
def test_as_many_as_the_input_has_are_told_apart(field: str) -> None:
    """Also in a block, and of several inputs those of the one that is read. Written out it is the same network."""
    few, many = {"shape": (5,), "classes": 3}, {"shape": (5,), "classes": 10}
    for count, read in ((3, "few"), (10, "many")):
        nodes = []
        for said in ({}, {field: count}):
            words = VECTORS[field] | said | {"from": read}
            layers = ({"kind": "sequence", "name": "block", "from": "many", "body": (words,)}, *HEAD)
            text = {"fac": 1, "name": "words", "inputs": {"few": few, "many": many}, "layers": layers}
            spec = ModelSpec.model_validate(text | {"loss": {"kind": "cross_entropy"}, "update": SGD})
            nodes.append(lower(spec).by_name["block.words"])
        (found, same), vector = nodes, count if field == "num_classes" else 4
        assert found.shape == (5, vector)
        assert [tensor.shape for tensor in found.tensors] == (
            [(count, 4)] if field == "num_embeddings" else []
        )
        assert found == same


@EACH_FIELD
def test_of_real_numbers_nobody_knows_how_many_there_are(field: str) -> None:
    (found,) = diagnosed((VECTORS[field], *HEAD), input={"shape": (5,)})
    assert (found.rule.code, dotted(found.path)) == ("FAC240", "layers[0].name")
    assert found.message == "`words` reads whole numbers, and `input` holds real ones"
    assert found.help == "write `classes`, how many there are, beside the `shape` of `input`"
    said, count = VECTORS[field] | {field: 7}, "write `classes: 7` beside the `shape` of `input`"
    assert [d.help for d in diagnosed((said, *HEAD), input={"shape": (5,)})] == [count]


def test_padding_by_a_number_that_the_input_has_not() -> None:
    words = VECTORS["num_embeddings"] | {"padding_idx": 9}
    (found,) = diagnosed((words, *HEAD), input={"shape": (5,), "classes": 9})
    assert found.message == "`words` has 9 rows, and pads with number 9"


def test_padding_by_a_number_that_there_is_not() -> None:
    words = {"kind": "embedding", "name": "words", "num_embeddings": 9, "out": 4, "padding_idx": 9}
    (found,) = diagnosed((words, *HEAD), input={"shape": (5,), "classes": 9})
    assert dotted(found.path) == "layers[0].padding_idx"
    assert found.message == "`words` has 9 rows, and pads with number 9"
    assert found.help == "use a number up to 8"


@pytest.mark.parametrize("kind", ["attention", "attend"])
def test_a_mask_of_other_tokens(kind: str) -> None:
    look = {"kind": kind, "name": "look", "heads": 2, "mask": "shown"}
    inputs = {"tokens": {"shape": (5, 6)}, "shown": {"shape": (4,), "mask": True}}
    (found,) = diagnosed((look, *HEAD), input=None, inputs=inputs)
    of = "look.attend" if kind == "attention" else "look"
    assert (found.rule.code, dotted(found.path)) == ("FAC203", "layers[0].mask")
    assert found.message == f"`{of}` looks at 5 tokens, and its mask `shown` has shape [4]"
    assert found.help == "a mask has one number for each token: declare it with `shape: [5]`"
