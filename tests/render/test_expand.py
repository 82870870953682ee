"""The long form means the same as the short one, and is YAML that reads back to the same data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fac
from fac.pipeline import compiled
from fac.program.lower import lower
from fac.program.program import Program
from fac.render import expand
from fac.render.expand import expanded
from fac.render.yaml import dump
from fac.source import parse_text
from fac.spec.layers import ParametricLayer
from fac.step.text import to_text

CHAIN = (
    {"kind": "linear", "name": "stem", "out": 7},
    {"kind": "relu"},
    {"kind": "linear", "out": 6, "init": {"kind": "normal", "std": 0.1}},
    {"kind": "dropout", "rate": 0.25},
    {"kind": "tanh"},
    {"kind": "linear", "name": "logits", "out": 4, "bias": False},
)
SKIP = (
    {"kind": "linear", "name": "stem", "out": 6},
    {"kind": "relu", "name": "stem_out"},
    {"kind": "linear", "out": 6},
    {"kind": "relu"},
    {"kind": "add", "name": "join", "from": ("relu_2", "stem_out")},
    {"kind": "linear", "out": 6, "trainable": False},
    {"kind": "gelu"},
    {"kind": "linear", "name": "logits", "out": 4},
)
NORMS = (
    {"kind": "linear", "name": "stem", "out": 6},
    {"kind": "batch_norm"},
    {"kind": "relu"},
    {"kind": "linear", "out": 6},
    {"kind": "batch_norm", "trainable": False},
    {"kind": "batch_norm", "moments": "averages"},
    {"kind": "batch_norm", "affine": False},
    {"kind": "tanh"},
    {"kind": "linear", "name": "logits", "out": 4},
)
"""What a short-hand freezes normalises by the same moments."""
NETWORKS = {"chain": CHAIN, "skip": SKIP, "norms": NORMS}
RULES: dict[str, Any] = {
    "bp": {"rule": "bp"},
    "fa": {"rule": "fa"},
    "fa_scaled": {"rule": "fa", "init": "orthogonal", "learn": {"rule": "kolen_pollack"}, "scale": 1 / 3},
    "dfa": {"rule": "dfa"},
    "dfa_normal": {"rule": "dfa", "init": {"kind": "normal", "std": 1e-05}},
    "ldfa_fixed": {"rule": "ldfa", "rank": 64, "learn": "fixed"},
    "ldfa_kolen_pollack": {"rule": "ldfa", "rank": 3, "learn": "kolen_pollack"},
    "ldfa": {"rule": "ldfa", "rank": 3, "rate": 0.1},
    "ldfa_local": {"rule": "ldfa", "rank": 3, "learn": "local"},
    "ldfa_normative": {"rule": "ldfa", "rank": 3, "learn": "normative", "refresh": 100},
    "direct_ldfa": {"rule": "direct_ldfa", "rank": 3},
    "shallow": {"rule": "shallow"},
    "two_sections": ({"rule": "fa", "nodes": "logits"}, {"rule": "dfa", "nodes": ("linear_*", "stem")}),
    "long": {
        "subspaces": ({"name": "task", "rank": 2, "basis": {"rule": "oja", "rate": 0.5}},),
        "routes": (
            {"to": "linear_*", "from": "task", "matrix": {"kind": "random"}},
            {"to": "linear_2", "matrix": {"kind": "low_rank", "rank": 2, "scale": 0.1}, "combine": "add"},
            {"through": "logits", "matrix": {"kind": "transpose"}},
        ),
    },
}


def text(network: str, rule: str) -> dict[str, Any]:
    return {
        "fac": 1,
        "name": f"{network} {rule}",
        "input": {"shape": (5,)},
        "layers": NETWORKS[network],
        "loss": {"kind": "cross_entropy"},
        "feedback": RULES[rule],
        "update": {
            "rule": "adamw",
            "lr": 6e-4,
            "groups": ({"match": "*.bias", "weight_decay": 0.0},),
            "schedule": {"kind": "cosine", "warmup": {"epochs": 1}},
        },
        "train": {"seed": 0, "batch": 32},
        "constraints": {"max_rank": 64},
    }


def again(program: Program) -> Program:
    """The program of the long form, read from text like a user's file."""
    document = parse_text(expanded(program))
    assert not document.diagnostics
    return lower(fac.load(document))


def bare(program: Program) -> Any:
    """What a program means: all but where it was written and how."""
    return (
        [replace(node, layer=replace_layer(node.layer), origin=()) for node in program.nodes],
        [replace(route, origin=()) for route in program.routes],
        [replace(subspace, origin=()) for subspace in program.subspaces],
        program.arrays,
        program.spec.model_copy(update={"feedback": None, "layers": ()}),
    )


def replace_layer(layer: Any) -> Any:
    """A layer without its name and `trainable`, which stand on the node, and with what follows from it."""
    layer = layer.frozen() if isinstance(layer, ParametricLayer) else layer
    return layer.model_copy(update={"name": None, "trainable": True})


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("network", NETWORKS)
def test_round_trip(network: str, rule: str) -> None:
    short = lower(fac.load(text(network, rule)))
    long = again(short)
    assert bare(long) == bare(short)
    one, other = compiled(short), compiled(long)
    for name in ("forward", "evaluate", "step", "probe"):
        assert to_text(getattr(one, name)) == to_text(getattr(other, name))
    assert one.state == other.state
    assert expanded(long) == expanded(short)


def test_the_long_form_to_the_character() -> None:
    assert (
        expanded(lower(fac.load(text("chain", "ldfa"))))
        == """\
fac: 1
name: chain ldfa
input: {shape: [5]}
layers:
  - {kind: linear, name: stem, out: 7}
  - {kind: relu}
  - {kind: linear, name: linear_2, out: 6, init: {kind: normal, std: 0.1}}
  - {kind: dropout, rate: 0.25}
  - {kind: tanh}
  - {kind: linear, name: logits, out: 4, bias: false}
loss: {kind: cross_entropy}
feedback:
  routes:
    - {through: linear_2, matrix: {kind: low_rank, rank: 3, read: {rule: oja, rate: 0.1}, write: {rule: kolen_pollack}}}
    - {through: logits, matrix: {kind: low_rank, rank: 3, read: {rule: oja, rate: 0.1}, write: {rule: kolen_pollack}}}
update:
  rule: adamw
  lr: 0.0006
  schedule: {kind: cosine, warmup: {epochs: 1}}
  groups:
    - {match: "*.bias", weight_decay: 0.0}
train: {batch: 32, seed: 0}
constraints: {max_rank: 64}
"""
    )


def test_frozen_layers_and_layers_that_routes_name_say_so() -> None:
    lines = expanded(lower(fac.load(text("chain", "shallow")))).splitlines()
    assert "  - {kind: linear, name: stem, out: 7, trainable: false}" in lines
    assert "feedback: {routes: []}" in lines
    lines = expanded(lower(fac.load(text("norms", "shallow")))).splitlines()
    assert [line for line in lines if "batch_norm" in line] == [
        "  - {kind: batch_norm, trainable: false, moments: batch}",
        "  - {kind: batch_norm, trainable: false}",
        "  - {kind: batch_norm, trainable: false, moments: averages}",
        "  - {kind: batch_norm, affine: false}",
    ]
    lines = expanded(lower(fac.load(text("chain", "dfa")))).splitlines()
    assert "  - {kind: linear, name: linear_2, out: 6, init: {kind: normal, std: 0.1}}" in lines
    assert (
        "    - {to: linear_2, from: loss, matrix: {kind: random, init: launay, learn: {rule: fixed}}}"
        in lines
    )


def test_another_place_of_entry_is_kept() -> None:
    data = text("chain", "bp")
    data["feedback"] = {"routes": ({"to": "linear_2", "at": "linear_2", "matrix": {"kind": "random"}},)}
    program = lower(fac.load(data))
    assert (
        "{to: linear_2, from: loss, matrix: {kind: random, learn: {rule: fixed}}, at: linear_2}"
        in expanded(program)
    )
    assert bare(again(program)) == bare(program)


@pytest.mark.parametrize("kept", [(), ("trainable",), ("moments",)], ids=["nothing", "trainable", "moments"])
def test_blocks_are_left_only_where_that_means_the_same(
    kept: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever gets lost in writing down what a short-hand froze, the guard sees it, and blocks are written out."""
    body = ({"kind": "batch_norm"}, {"kind": "relu"})
    data = text("chain", "shallow")
    data["layers"] = (*CHAIN[:2], {"kind": "repeat", "times": 2, "body": body}, CHAIN[-1])
    program = lower(fac.load(data))
    assert "kind: repeat" in expanded(program, blocks=True)
    frozen = expand._frozen

    def forgetful(value: Any, path: Any, facts: Any) -> Any:
        return frozen(value, path, {name: fact for name, fact in facts.items() if name in kept})

    monkeypatch.setattr(expand, "_frozen", forgetful)
    assert expanded(program, blocks=True) == expanded(program)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**62), 2**62),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(
        ["on", "No", "~", "null", "1e5", "0x1F", "2026-01-01", "a: b", "a #b", "-", "*", "a,b", "12:30"]
    ),
)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(lambda key: key != "<<")
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(KEYS, DATA, min_size=1, max_size=4))
def test_any_plain_data_reads_back(data: dict[str, Any]) -> None:
    document = parse_text(dump(data))
    assert not document.diagnostics
    assert document.data == data
    assert repr(document.data) == repr(data)


def test_only_plain_data_is_written() -> None:
    with pytest.raises(TypeError, match="object is not plain data"):
        dump({"a": object()})
