"""What is wrong with inputs, and where each finding points."""

from __future__ import annotations

from typing import Any

import pytest

from fac.diagnostics import dotted
from fac.pipeline import check, compiled, load, lowered
from fac.program.lower import lower
from fac.spec.model import ModelSpec
from tests.checks.specs import SGD, linear

TWO = {"left": {"shape": (6,)}, "right": {"shape": (6,)}}
WORDS = {"words": {"shape": (5,), "classes": 7}, "kept": {"shape": (5,), "mask": True}}
JOINED = ({"kind": "concat", "from": ("left", "right")}, linear("logits", 3))
VECTORS = {"kind": "one_hot", "name": "vectors", "num_classes": 7}


def base(layers: Any, **sections: Any) -> dict[str, Any]:
    return {
        "fac": 1,
        "name": "example",
        "layers": layers,
        "loss": {"kind": "cross_entropy"},
        "update": SGD,
        **sections,
    }


def told(layers: Any, **sections: Any) -> list[tuple[str, str, str]]:
    """(code, place, message) of every finding."""
    return [(d.rule.code, dotted(d.path), d.message) for d in check(base(layers, **sections))]


def pooled(mask: str) -> tuple[dict[str, Any], ...]:
    return (VECTORS, {"kind": "mean", "axes": (0,), "mask": mask}, linear("logits", 3))


@pytest.mark.parametrize(
    ("layers", "inputs"),
    [
        (JOINED, TWO),
        (pooled("kept"), WORDS),
        ((linear("logits", 3),), {"x": {"shape": (6,)}}),
        ((linear("fc1", 4), linear("fc2", 4, **{"from": "input"}), {"kind": "add", "from": ("fc1", "fc2")},
          {"kind": "relu"}, linear("logits", 3)), {"one": {"shape": (6,)}}),
        (({"kind": "sequence", "body": ({"kind": "concat", "from": ("input", "right")},), "from": "left"},
          linear("logits", 3)), TWO),
    ],
    ids=["joined", "masked", "the input is called x", "`input` is the only one", "from inside of a block"],
)  # fmt: skip
def test_what_is_sound(layers: Any, inputs: Any) -> None:
    assert told(layers, inputs=inputs) == []


@pytest.mark.parametrize(
    ("shape", "mask", "help"),
    [
        (
            (5,),
            False,
            "name it in a `from:`, or write `mask: true` beside its shape and name it in a `mask:`",
        ),
        ((5,), True, "name it in a `mask:`, or remove it"),
        ((4,), False, "name it in a `from:`, or remove it"),
    ],
)
def test_what_an_input_that_nobody_reads_could_be(shape: Any, mask: bool, help: str) -> None:
    inputs = {"words": WORDS["words"], "more": {"shape": shape, "mask": mask}}
    layers = (VECTORS | {"from": "words"}, {"kind": "mean", "axes": (0,)}, linear("logits", 3))
    (finding,) = check(base(layers, inputs=inputs))
    assert (finding.rule.code, finding.help) == ("FAC242", help)


def test_both_forms() -> None:
    assert told(JOINED, input={"shape": (6,)}, inputs=TWO) == [
        ("FAC241", "inputs", "the spec has `input`, and `inputs` beside it")
    ]


def test_neither_form() -> None:
    assert told(JOINED) == [("FAC104", "", "the spec needs `input`")]


def test_a_mask_has_no_classes() -> None:
    found = told(JOINED, inputs=TWO | {"m": {"shape": (6,), "mask": True, "classes": 2}})
    assert found == [("FAC102", "inputs.m", "a mask holds 0 and 1, and has no `classes`")]


def test_names() -> None:
    """An input and a layer cannot share one, and inputs are named like layers, but that one may be `x`."""
    clash = told((linear("left", 4, **{"from": "right"}), *JOINED), inputs=TWO)
    assert ("FAC202", "layers[0].name", "an input is already called `left`") in clash
    layers = (linear("logits", 3, **{"from": "y"}),)
    assert ("FAC204", "inputs.y", "`y` is a reserved name") in told(layers, inputs={"y": {"shape": (6,)}})
    layers = (linear("logits", 3, **{"from": "a b"}),)
    assert ("FAC204", "inputs.a b", "`a b` cannot be a name") in told(layers, inputs={"a b": {"shape": (6,)}})
    found = told((linear("logits", 3),), inputs={"a.b": {"shape": (6,)}})
    assert [(code, place) for code, place, _ in found] == [("FAC204", "inputs.a.b")]
    found = told((linear("logits", 3, **{"from": "lfet"}),), inputs=TWO)
    assert ("FAC201", "layers[0].from", "no layer is called `lfet`") in found


def test_no_input_is_called_like_what_functions_return() -> None:
    """A graph has one name for one value: all that a loss can have counted beside it."""
    loss = {"kind": "cross_entropy", "weight": (1.0, 2.0, 1.0), "ignore_index": 0}
    made = compiled(lowered(load(base((linear("logits", 3),), inputs={"a": {"shape": (6,)}}, loss=loss))))
    states = {slot.name for slot in made.state}
    functions = made.forward, made.evaluate, made.step
    returned = {name for function in functions for name, _ in function.outputs} - states
    assert returned == {"loss", "output", "hits", "counted", "weight"}
    for name in returned:
        found = told((linear("logits", 3),), inputs={name: {"shape": (6,)}})
        assert [(code, place) for code, place, _ in found] == [("FAC204", f"inputs.{name}")], name


@pytest.mark.parametrize(("target", "owner"), [("left", "an input"), ("logits", "a layer")])
def test_targets_are_called_like_nothing_else(target: str, owner: str) -> None:
    spec = base(JOINED, inputs=TWO, losses=({"kind": "mse", "of": "logits", "target": target},))
    del spec["loss"]
    found = [(d.rule.code, dotted(d.path), d.message) for d in check(spec)]
    assert found == [("FAC202", "losses[0].target", f"{owner} is already called `{target}`")]


def test_masks() -> None:
    """One of another shape, one that is none, one that is not there."""
    wide = WORDS | {"kept": {"shape": (4,), "mask": True}}
    message = "`mean_1` goes along axes of [5], and its mask `kept` has shape [4]"
    assert told(pooled("kept"), inputs=wide) == [("FAC203", "layers[1].mask", message)]
    assert ("FAC243", "layers[1].mask", "`words` is no mask") in told(pooled("words"), inputs=WORDS)
    assert ("FAC201", "layers[1].mask", "no layer is called `kpet`") in told(pooled("kpet"), inputs=WORDS)


def test_data_with_one_array_for_a_network_with_two() -> None:
    found = told(JOINED, inputs=TWO, data={"source": "digits"})
    message = "`digits` has the arrays `x` and `y`, and the network is fed with `left`, `right` and `y`"
    assert found == [("FAC219", "data.source", message)]
    files = {"source": "arrays", "train": "a.npz", "test": "b.npz"}
    assert told(JOINED, inputs=TWO, data=files | {"names": ("y", "left", "right")}) == []
    message = "`arrays` has the arrays `left` and `y`, and the network is fed with `left`, `right` and `y`"
    found = told(JOINED, inputs=TWO, data=files | {"names": ("left", "y")})
    assert found == [("FAC219", "data.names", message)]
    found = told(JOINED, inputs=TWO, data=files | {"names": ("y", "left", "right", "left")})
    message = "`left` is named twice among the arrays of `arrays`"
    assert found == [("FAC219", "data.names", message)]
    assert told((linear("logits", 3),), inputs={"image": {"shape": (6,)}}, data=files) == []


def test_digits_are_no_whole_numbers() -> None:
    layers = ({"kind": "one_hot", "num_classes": 17}, {"kind": "flatten"}, linear("logits", 10))
    found = told(layers, input={"shape": (64,), "classes": 17}, data={"source": "digits"})
    assert found == [
        ("FAC219", "input.classes", "`digits` holds real numbers, and the input takes whole ones")
    ]


def test_the_first_layer_reads_the_one_that_is_no_mask() -> None:
    program = lower(ModelSpec.model_validate(base(pooled("kept"), inputs=WORDS)))
    assert [node.inputs for node in program.nodes] == [("words",), ("vectors", "kept"), ("mean_1",)]
