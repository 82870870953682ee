"""Several inputs in what people read: the long form, differences, pictures."""

from __future__ import annotations

from typing import Any

import pytest
from ruamel.yaml import YAML

from fac.program.lower import lower
from fac.render.diff.align import align
from fac.render.diff.network import network
from fac.render.expand import expanded
from fac.render.graph.read import topology
from fac.render.graph.words import calling, facts
from fac.spec.model import ModelSpec
from fac.testing.nets import SGD, linear

INPUTS = {
    "words": {"shape": (5,), "classes": 7},
    "kept": {"shape": (5,), "mask": True},
    "age": {"shape": (1,)},
}
LAYERS: tuple[dict[str, Any], ...] = (
    {"kind": "one_hot", "name": "vectors", "from": "words", "num_classes": 7},
    {
        "kind": "sequence",
        "name": "text",
        "body": (linear("fc", 4), {"kind": "tanh"}, {"kind": "mean", "axes": (0,), "mask": "kept"}),
    },
    {"kind": "concat", "from": ("text", "age")},
    linear("out", 3),
)


def program(inputs: dict[str, Any] = INPUTS, layers: tuple[dict[str, Any], ...] = LAYERS) -> Any:
    spec = {"fac": 1, "name": "demo", "inputs": inputs, "layers": layers}
    return lower(ModelSpec.model_validate({**spec, "loss": {"kind": "cross_entropy"}, "update": SGD}))


@pytest.mark.parametrize("blocks", [False, True])
def test_the_long_form_means_the_same(blocks: bool) -> None:
    """Masks inside of blocks go by their full names, and inputs stay what they are."""
    whole = program()
    text = expanded(whole, blocks)
    again = lower(ModelSpec.model_validate(_tuples(YAML(typ="safe").load(text))))
    assert [(n.name, n.inputs, n.shape) for n in again.nodes] == [
        (n.name, n.inputs, n.shape) for n in whole.nodes
    ]
    assert again.inputs == whole.inputs


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_tuples, value))
    return {k: _tuples(v) for k, v in value.items()} if isinstance(value, dict) else value


def test_each_input_is_a_station() -> None:
    found = topology(program())
    stations = [station for station in found.stations if station.role == "input"]
    assert [(calling(s), facts(found, s)[0]) for s in stations] == [
        ("words", "5 of 7"),
        ("kept", "5 mask"),
        ("age", "1"),
    ]
    reads = {(link.source, link.target) for link in found.links if link.source in (0, 1, 2)}
    assert len(reads) == 3


def test_differences_of_inputs() -> None:
    """A class less, an input that is gone, one that is new."""
    other = {"words": {"shape": (5,), "classes": 6}, "kept": INPUTS["kept"], "length": {"shape": (2,)}}
    layers = (*LAYERS[:2], {"kind": "concat", "from": ("text", "length")}, LAYERS[3])
    old, new = program(), program(other, layers)
    items = network(old, new, align(old, new))
    found = [
        (
            item.old and item.old.name,
            item.new and item.new.name,
            [(c.field, c.old, c.new) for c in item.changes],
        )
        for item in items
    ]
    assert found == [
        ("inputs.words", "inputs.words", [("classes", 7, 6)]),
        ("inputs.age", None, [("shape", (1,), None)]),
        (None, "inputs.length", [("shape", None, (2,))]),
    ]
