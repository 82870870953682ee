"""Blocks are short-hands: the network written out has the same steps and the same initial values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fac
from fac.pipeline import compiled, lowered
from fac.program.lower import lower
from fac.program.program import Program
from fac.render.expand import expanded
from fac.source import parse_text
from fac.step.text import to_text
from fac.testing.nets import batch, linear, mlp, spec

WIDTH = 4
RULES: tuple[Any, ...] = (
    {"rule": "bp"},
    {"rule": "fa", "learn": {"rule": "kolen_pollack"}},
    {"rule": "dfa"},
    {"rule": "ldfa", "rank": 2},
    {"rule": "shallow"},
)
LEAVES = (
    {"kind": "linear", "out": WIDTH},
    {"kind": "linear", "out": WIDTH, "trainable": False},
    {"kind": "relu"},
    {"kind": "dropout", "rate": 0.25},
    {
        "kind": "sequence",
        "body": (
            linear("fc", WIDTH),
            {"kind": "relu"},
            {"kind": "add", "from": ("fc", "input", "stem", "relu_1")},
        ),
    },
)


def blocks(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    body = st.lists(inner, min_size=1, max_size=3).map(tuple)
    named = st.sampled_from(({}, {"name": "a"}, {"trainable": False}))

    def block(**fields: Any) -> st.SearchStrategy[Any]:
        return st.tuples(st.fixed_dictionaries(fields), named).map(lambda pair: pair[0] | pair[1])

    return st.one_of(
        block(kind=st.just("sequence"), body=body),
        block(kind=st.just("residual"), body=body, shortcut=st.one_of(st.just(()), body)),
        block(kind=st.just("repeat"), times=st.integers(1, 3), body=body),
        block(kind=st.just("parallel"), branches=st.lists(body, min_size=2, max_size=3).map(tuple)),
    ).map(_with_own_names)


def _with_own_names(block: dict[str, Any]) -> dict[str, Any]:
    """The block, with names that are given once in each scope."""
    index = 0

    def distinct(layers: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        nonlocal index
        found = []
        for layer in layers:
            index += 1
            found.append(layer | {"name": f"a{index}"} if "name" in layer else layer)
        return tuple(found)

    for key in ("body", "shortcut"):
        if key in block:
            block = block | {key: distinct(block[key])}
    if "branches" in block:
        block = block | {"branches": tuple(map(distinct, block["branches"]))}
    return block


NESTED = st.recursive(st.sampled_from(LEAVES), blocks, max_leaves=6)
NETWORK = blocks(NESTED).map(lambda block: (linear("stem", WIDTH), block, {"kind": "tanh"}, linear("out", 3)))


def functions_of(program: Program) -> list[str]:
    made = compiled(program)
    return [to_text(f) for f in (made.forward, made.evaluate, made.step, made.probe)]


@settings(max_examples=25)
@given(NETWORK, st.sampled_from(RULES))
def test_the_network_written_out_is_the_same(layers: Any, rule: Any) -> None:
    program = lowered(spec(layers, rule))
    flat = lowered(parse_text(expanded(program)))
    assert flat.blocks == ()
    assert functions_of(flat) == functions_of(program)
    one, other = compiled(program).initial(), compiled(flat).initial()
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)
    # Routes of several layers in one block stand in another order then, and so does what is measured.
    short = lowered(parse_text(expanded(program, blocks=True)))
    assert functions_of(short)[:3] == functions_of(program)[:3]


def frozen(layer: Any) -> Any:
    """A layer, or a block and every layer in it, that keeps its parameters."""
    if layer["kind"] == "relu":
        return layer
    return (
        layer | {"body": tuple(map(frozen, layer["body"]))}
        if "body" in layer
        else layer | {"trainable": False}
    )


def test_a_frozen_block_is_one_whose_layers_are_frozen_however_deep() -> None:
    """Those that a block makes by itself as well, which no spec could name."""
    attention = {"kind": "attention", "name": "attn", "heads": 2}
    norm = {"kind": "layer_norm", "name": "norm"}
    body = (
        norm,
        linear("fc", 4),
        {"kind": "relu"},
        {"kind": "residual", "name": "deep", "body": (attention,)},
    )
    block = {"kind": "repeat", "name": "block", "times": 2, "body": body}

    def program(middle: Any) -> Program:
        ends = (linear("stem", 4), middle, {"kind": "flatten"}, linear("out", 3))
        return lowered(spec(ends, {"rule": "ldfa", "rank": 2}) | {"input": {"shape": [3, 5]}})

    short, long = program(block | {"trainable": False}), program(frozen(block))
    assert {node.name for node in short.nodes if node.tensors and not node.trainable} == {
        f"block.{i}.{name}" for i in (0, 1) for name in ("norm", "fc", "deep.attn.qkv", "deep.attn.proj")
    }
    assert functions_of(short) == functions_of(long) != functions_of(program(block))


def test_a_residual_adds_its_body_and_its_shortcut() -> None:
    body = (linear("fc1", 6), {"kind": "relu"}, linear("fc2", 3))
    block = {"kind": "residual", "name": "block", "body": body, "shortcut": (linear("skip", 3),)}
    session = fac.compile(spec((block,)), backend="reference").open()
    state, (x, _) = session.state(), batch()
    w = {name: np.asarray(state[f"block.{name}.weight"]) for name in ("fc1", "fc2", "skip")}
    expected = np.maximum(x @ w["fc1"].T, 0) @ w["fc2"].T + x @ w["skip"].T
    assert np.allclose(session.forward(x), expected, rtol=0, atol=1e-12)


def test_without_a_shortcut_what_it_reads_is_added() -> None:
    block = {"kind": "residual", "name": "block", "body": (linear("fc", 5),)}
    session = fac.compile(spec((block,)), backend="reference").open()
    x, _ = batch()
    expected = x + x @ np.asarray(session.state()["block.fc.weight"]).T
    assert np.allclose(session.forward(x), expected, rtol=0, atol=1e-12)


def test_copies_and_branches_have_parameters_of_their_own() -> None:
    repeat = {"kind": "repeat", "name": "deep", "times": 2, "body": (linear("fc", 5), {"kind": "relu"})}
    branches = ((linear("fc", 3),), (linear("fc", 6), {"kind": "relu"}, linear("up", 3)))
    session = fac.compile(
        spec((repeat, {"kind": "parallel", "name": "wide", "branches": branches})), backend="reference"
    ).open()
    x, _ = batch()
    w = {
        name.removesuffix(".weight"): np.asarray(array)
        for name, array in session.state().items()
        if "weight" in name
    }
    h = np.maximum(np.maximum(x @ w["deep.0.fc"].T, 0) @ w["deep.1.fc"].T, 0)
    expected = h @ w["wide.0.fc"].T + np.maximum(h @ w["wide.1.fc"].T, 0) @ w["wide.1.up"].T
    assert not np.array_equal(w["deep.0.fc"], w["deep.1.fc"])
    assert np.allclose(session.forward(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("input", "stem_out"),
        ("stem", "stem"),
        ("fc1", "block.fc1"),
        ("block.fc1", "block.fc1"),
        ("inner", "block.inner.fc2"),
        ("inner.fc2", "block.inner.fc2"),
        ("other", "other.fc2"),
    ],
)
def test_names_are_lexical(name: str, read: str) -> None:
    inner = {"kind": "sequence", "name": "inner", "body": (linear("fc1", 8), linear("fc2", 8))}
    last = {"kind": "relu", "name": "last", "from": name}
    other = {"kind": "sequence", "name": "other", "body": (linear("fc1", 8), linear("fc2", 8))}
    block = {"kind": "sequence", "name": "block", "body": (linear("fc1", 8), inner, last)}
    layers = (
        linear("stem", 8),
        other,
        {"kind": "relu", "name": "stem_out", "from": "stem"},
        block,
        linear("out", 3),
    )
    program = lower(fac.load(spec(layers)))
    assert program.by_name["block.last"].inputs == (read,)


def test_who_names_a_block_means_its_output() -> None:
    block = {"kind": "sequence", "name": "block", "body": mlp(8, 6, 4)}
    routes = ({"to": "fc0", "from": "block", "at": "r0", "matrix": {"kind": "random"}},)
    layers = (linear("fc0", 8), {"kind": "relu", "name": "r0"}, block, linear("out2", 3, **{"from": "block"}))
    program = lowered(spec(layers, {"subspaces": (), "routes": routes}))
    assert program.by_name["out2"].inputs == ("block.out",)
    assert [route.source for route in program.routes] == ["block.out"]


def test_globs_name_layers_inside() -> None:
    block = {"kind": "residual", "body": (linear("fc1", 5), {"kind": "relu"}, linear("fc2", 5))}
    layers = ({"kind": "repeat", "name": "block", "times": 2, "body": (block,)}, linear("out", 3))
    program = lowered(spec(layers, {"rule": "dfa", "nodes": ("block.*.fc1",)}))
    assert [route.node for route in program.routes] == [f"block.{i}.residual_1.fc1" for i in range(2)]


def test_feedback_belongs_to_its_layer_whatever_that_is_called() -> None:
    inner = {"kind": "sequence", "name": "feedback", "body": (linear("feedback", 5), {"kind": "relu"})}
    program = lowered(spec((inner, linear("out", 3)), {"rule": "dfa"}))
    assert [(t.name, t.owner) for route in program.routes for t in route.tensors] == [
        ("feedback.feedback.feedback.B", "feedback.feedback")
    ]


def test_a_block_knows_how_many_layers_come_before_it() -> None:
    inner = {"kind": "sequence", "name": "b", "body": (linear("a", 4), {"kind": "relu"})}
    layers = (
        linear("stem", 4),
        {"kind": "repeat", "name": "r", "times": 2, "body": (inner,)},
        linear("out", 3),
    )
    program = lowered(spec(layers))
    assert {block.name: block.place for block in program.blocks} == {"r.0.b": 1, "r.1.b": 3, "r": 1}
    assert program.nodes[3].name == "r.1.b.a"
