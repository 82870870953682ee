"""What is found in blocks stands at its place in the text, and is said once however often a block is repeated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from fac.backend import Precision
from fac.checks.places import copies
from fac.diagnostics import Diagnostic, dotted
from fac.layers import Linear, Relu
from fac.layers.blocks import SEQUENCE
from fac.pipeline import check
from fac.plugins import kinds
from fac.program.kinds import BlockKind, Inside
from fac.program.lower import lower
from fac.program.program import Node
from fac.source import parse_text
from fac.spec.model import ModelSpec
from fac.testing.nets import spec
from tests.checks.specs import RANDOM, diagnosed, found, linear, routes

RELU: dict[str, Any] = {"kind": "relu"}
OUT = linear("logits", 4)


def places(found: Iterable[Diagnostic]) -> list[tuple[str, str]]:
    """Code and place of findings."""
    return [(finding.rule.code, dotted(finding.path)) for finding in found]


def block(*body: dict[str, Any], kind: str = "sequence", **fields: Any) -> dict[str, Any]:
    return {"kind": kind, "name": "block", "body": body, **fields}


def repeated(*body: dict[str, Any], times: int = 3) -> dict[str, Any]:
    return {"kind": "repeat", "name": "deep", "times": times, "body": body}


NAMES: dict[str, tuple[tuple[dict[str, Any], ...], str, str, str]] = {
    "a name inside, from outside": (
        (block(linear("fc1", 8), RELU), {"kind": "relu", "from": "fc1"}, OUT),
        "layers[1].from",
        "`fc1` stands inside of a block, and is not known by this name outside",
        "write `block.fc1`",
    ),
    "a name of another block": (
        (
            block(linear("fc1", 8)),
            block(linear("fc2", 8), {"kind": "add", "from": ("input", "fc1")}) | {"name": "b"},
            OUT,
        ),
        "layers[1].body[1].from[1]",
        "`fc1` stands inside of a block, and is not known by this name outside",
        "write `block.fc1`",
    ),
    "a name that there is not": (
        (block(linear("fc1", 8), {"kind": "relu", "from": "fc9"}), OUT),
        "layers[0].body[1].from",
        "no layer is called `fc9`",
        "did you mean `fc1`?",
    ),
    "a name that comes later": (
        (block(linear("fc1", 8), {"kind": "relu", "from": "fc2"}, linear("fc2", 8)), OUT),
        "layers[0].body[1].from",
        "`block.relu_1` reads `block.fc2`, which comes later",
        "a layer reads layers above it: move `block.relu_1` below `block.fc2`",
    ),
    "a block that comes later": (
        (linear("stem", 8, **{"from": "block"}), block(linear("fc1", 8)), OUT),
        "layers[0].from",
        "`stem` reads `block`, which comes later",
        "a layer reads layers above it: move `stem` below `block`",
    ),
    "the block around": (
        (block(linear("fc1", 8, **{"from": "block"})), OUT),
        "layers[0].body[0].from",
        "`block.fc1` stands inside of `block` and cannot read it",
        "`input` is what the block reads",
    ),
    "a block that reads itself": (
        (linear("stem", 8), block(linear("fc1", 8), **{"from": "block"}), OUT),
        "layers[1].from",
        "`block` reads itself",
        "name a layer above it, or `input`",
    ),
    "an unknown name that a block reads": (
        (
            linear("stem", 8),
            block(linear("fc1", 8), {"kind": "relu", "from": "input"}, **{"from": "stern"}),
            OUT,
        ),
        "layers[1].from",
        "no layer is called `stern`",
        "did you mean `stem`?",
    ),
}


@pytest.mark.parametrize("case", NAMES)
def test_a_name_that_cannot_be_read_is_one_finding(case: str) -> None:
    layers, path, message, help = NAMES[case]
    (found,) = (f for f in diagnosed(layers) if f.rule.code == "FAC201")
    assert places((found,)) == [("FAC201", path)]
    assert (found.message, found.help) == (message, help)


@pytest.mark.parametrize("kind", ["sequence", "residual"])
def test_a_name_in_two_scopes_is_two_names_and_in_one_a_finding(kind: str) -> None:
    one = block(linear("fc1", 6), RELU, kind=kind)
    other = block(linear("fc1", 6), RELU, kind=kind) | {"name": "other"}
    assert diagnosed((one, linear("fc1", 6), RELU, other, OUT)) == ()
    twice = block(linear("fc1", 6), RELU, linear("fc1", 6), kind=kind)
    found = diagnosed((twice, OUT))
    assert [f.message for f in found if f.rule.code == "FAC202"] == [
        "`layers[0].body[0]` is already called `block.fc1`"
    ]
    assert ("FAC202", "layers[0].body[2].name") in places(found)
    found = diagnosed((one, RELU, one, OUT))
    expected = "a block is already called `block`"
    assert next(f.message for f in found if f.rule.code == "FAC202") == expected


def reads(name: str, *others: str) -> dict[str, Any]:
    """A relu of a layer, or the sum of several."""
    return {"kind": "add", "from": (name, *others)} if others else {"kind": "relu", "from": name}


FC1 = linear("fc1", 6)
SCOPES: dict[str, tuple[tuple[dict[str, Any], ...], str, str]] = {
    "read before it is made": (
        (FC1, block(reads("fc1"), FC1), OUT),
        "layers[1].body[0].from",
        "`fc1` means `fc1` of layer 1 here, and not yet `block.fc1` of `layers[1].body[1]`, which comes later",
    ),
    "one of several": (
        (FC1, RELU, block(reads("input", "fc1"), FC1), OUT),
        "layers[2].body[0].from[1]",
        "`fc1` means `fc1` of layer 1 here, and not yet `block.fc1` of `layers[2].body[1]`, which comes later",
    ),
    "by the layer of that name": (
        (FC1, block(linear("fc1", 6, **{"from": "fc1"}), RELU), OUT),
        "layers[1].body[0].from",
        "`fc1` means `fc1` of layer 1 here, and not `block.fc1`, the reader itself",
    ),
    "inside of the block of that name": (
        (FC1, block(block(reads("fc1"), RELU) | {"name": "fc1"}), OUT),
        "layers[1].body[0].body[0].from",
        "`fc1` means `fc1` of layer 1 here, and not `block.fc1` of `layers[1].body[0]`, the block around",
    ),
    "inside of a residual of that name": (
        (FC1, RELU, block(block(linear("a", 6), reads("fc1", "a"), kind="residual") | {"name": "fc1"}), OUT),
        "layers[2].body[0].body[1].from[0]",
        "`fc1` means `fc1` of layer 1 here, and not `block.fc1` of `layers[2].body[0]`, the block around",
    ),
    "from two scopes away, in copies": (
        (FC1, repeated(block(reads("fc1"), RELU), FC1, RELU), OUT),
        "layers[1].body[0].body[0].from",
        "`fc1` means `fc1` of layer 1 here, and not yet `deep.0.fc1` of `layers[1].body[1]`, which comes later",
    ),
    "a block of that name": (
        (block(FC1, RELU), block(reads("block"), block(FC1)) | {"name": "other"}, OUT),
        "layers[1].body[0].from",
        "`block` means `block` of layer 1 here, and not yet `other.block` of `layers[1].body[1]`, which comes later",
    ),
}


@pytest.mark.parametrize("case", SCOPES)
def test_a_name_that_means_a_layer_outside_although_one_inside_has_it(case: str) -> None:
    layers, path, message = SCOPES[case]
    (found,) = (f for f in diagnosed(layers) if f.rule.code == "FAC223")
    assert (dotted(found.path), found.message) == (path, message)
    assert found.help.startswith("give one of the two another name")


def test_a_name_that_means_what_it_seems_to_mean_is_no_finding() -> None:
    """Behind the inner layer, in the other block, in the network, and where nothing inside has the name."""
    inner = block(FC1, RELU, reads("fc1"))
    for layers in (
        (FC1, RELU, inner, OUT),
        (FC1, inner, reads("fc1"), OUT),
        (FC1, block(RELU, reads("input", "fc1")), OUT),
        (FC1, repeated(FC1, RELU, reads("fc1")), OUT),
        (block(FC1), block(FC1, block(RELU, reads("input", "fc1"))) | {"name": "other"}, OUT),
        (FC1, block(block(RELU) | {"name": "fc1"}, reads("input", "fc1")), OUT),
        (FC1, block(block(RELU, kind="residual") | {"name": "fc1"}, reads("input", "fc1")), OUT),
    ):
        assert not [f for f in diagnosed(layers) if f.rule.code in ("FAC201", "FAC223")]


@pytest.mark.parametrize("name", ["input", "loss", "a b"])
def test_a_name_inside_that_means_something_else(name: str) -> None:
    assert ("FAC204", "layers[0].body[0].name") in places(diagnosed((block(linear(name, 8), RELU), OUT)))


def test_input_means_what_the_block_reads_whatever_is_called_so() -> None:
    """Which is told of the names alone: no reader is in doubt, be it behind the layer of that name or before it."""
    named = linear("input", 6)
    for layers in (
        (named, block(reads("input"), named), OUT),
        (named, block(block(reads("input"), RELU), named), OUT),
    ):
        assert {f.rule.code for f in diagnosed(layers)} == {"FAC204"}


def test_a_residual_of_two_shapes_names_both_branches() -> None:
    uneven = block(linear("fc1", 8), RELU, kind="residual", shortcut=(linear("skip", 7),))
    (found,) = diagnosed((uneven, OUT))
    assert places((found,)) == [("FAC203", "layers[0].body")]
    assert found.message == (
        "the body of `block`, `block.relu_1`, makes [8], and its shortcut, `block.skip`, [7]: "
        "only equal shapes can be added"
    )


def test_branches_of_two_shapes_are_named() -> None:
    branches = ((linear("fc1", 8),), (linear("fc1", 8),), (linear("fc1", 7),))
    (found,) = diagnosed(({"kind": "parallel", "name": "wide", "branches": branches}, OUT))
    assert places((found,)) == [("FAC203", "layers[0].branches")]
    assert "`wide.0.fc1`, makes [8], and branch 2 of `wide`, `wide.2.fc1`, [7]" in found.message


def test_a_block_reads_one_layer() -> None:
    layers = (linear("a", 8), linear("b", 8, **{"from": "input"}), block(RELU) | {"from": ("a", "b")}, OUT)
    (found,) = diagnosed(layers)
    assert places((found,)) == [("FAC203", "layers[2].from")]
    assert found.message == "`block` reads one layer, not 2"


@pytest.mark.parametrize("times", [1, 3, 1000])
def test_what_is_wrong_in_a_repeated_block_is_said_once(times: int) -> None:
    stay = linear("fc2", 8, init="zeros")
    layers = (linear("stem", 8), repeated(linear("fc1", 8, **{"from": "nope"}), RELU, RELU, times=times), OUT)
    assert places(diagnosed(layers)) == [("FAC201", "layers[1].body[0].from")]
    layers = (linear("stem", 8), repeated(stay, RELU, RELU, times=times), OUT)
    found = places(f for f in diagnosed(layers) if f.rule.code in ("FAC215", "FAC216"))
    assert found == [("FAC216", "layers[1].body[0].init"), ("FAC215", "layers[1].body[2].kind")]


@pytest.mark.parametrize("times", [1, 2, 1000])
def test_how_often_a_finding_is_repeated_is_said(times: int) -> None:
    layers = (linear("stem", 8), repeated(linear("fc1", 8), RELU, RELU, times=times), OUT)
    (found,) = (f for f in diagnosed(layers) if f.rule.code == "FAC215")
    assert found.message == "`deep.0.relu_2` changes nothing: the output of `deep.0.relu_1` is never negative"
    remove = "remove `deep.0.relu_2`, or put another layer between the two"
    more = f"; {times - 1} more like it, in other copies of the block" if times > 1 else ""
    assert found.help == remove + more


def test_a_layer_is_idle_only_if_it_is_so_in_every_copy() -> None:
    """The first copy reads a relu; without its own, the others would be one linear map."""
    stem = linear("stem", 8), RELU
    idle = [f for f in diagnosed((*stem, repeated(RELU, linear("fc1", 8)), OUT)) if f.rule.code == "FAC215"]
    assert not idle
    pair = [f for f in diagnosed((*stem, repeated(linear("fc1", 8)), OUT)) if f.rule.code == "FAC212"]
    assert "`deep.1.fc1` reads `deep.0.fc1` with nothing between" in pair[0].message


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_what_a_backend_lacks_is_said_once(precision: Precision) -> None:
    layers = (linear("stem", 8), repeated(linear("fc1", 8), {"kind": "gelu"}, times=4), OUT)
    found = [f for f in check(spec(layers), backend="onnx", precision=precision) if f.rule.code == "FAC401"]
    assert places(found) == ([("FAC401", "layers[1].body[1]")] if precision == "float64" else [])
    assert all(f.help.endswith("; 3 more like it, in other copies of the block") for f in found)


@pytest.fixture
def _written_by_a_kind() -> Iterator[None]:
    """A `sequence` stands for layers of its own, two of which never move."""

    def expand(layer: Any, inside: Inside) -> Iterator[Node]:
        last = inside.input
        for each in (
            Linear(name="q", out=8, init="zeros"),
            Relu(name="r"),
            Linear(name="p", out=8, init="zeros"),
        ):
            yield (node := inside.leaf(each, (last,)))
            last = node.name

    before = SEQUENCE.expand
    object.__setattr__(SEQUENCE, "expand", expand)
    yield
    object.__setattr__(SEQUENCE, "expand", before)


@pytest.mark.usefixtures("_written_by_a_kind")
def test_layers_that_a_block_writes_in_one_place_are_told_apart() -> None:
    """Two of one block are no copies of each other, be the block repeated or not."""
    inner = {"kind": "sequence", "name": "b", "body": (RELU,)}
    stem = linear("stem", 8), RELU
    alone = [f for f in diagnosed((*stem, inner, RELU, OUT)) if f.rule.code == "FAC216"]
    assert [f.message.split("`")[1] for f in alone] == ["b.q", "b.p"]
    both = [f for f in diagnosed((*stem, repeated(inner, RELU), OUT)) if f.rule.code == "FAC216"]
    assert [f.message.split("`")[1] for f in both] == ["deep.0.b.q", "deep.0.b.p"]
    assert all(f.help.endswith("; 2 more like it, in other copies of the block") for f in both)


def test_an_unknown_name_in_a_body_is_counted_once_for_each_copy() -> None:
    """The layers above differ from copy to copy, and so may what is guessed; the nearest scope goes first."""
    body = linear("fc1", 8), {"kind": "add", "from": ("input", "fcc1")}
    (found,) = diagnosed((linear("fcx", 8), repeated(*body, times=3), OUT))
    assert places((found,)) == [("FAC201", "layers[1].body[1].from[1]")]
    assert found.help == "did you mean `fc1`?; 2 more like it, in other copies of the block"


BODIES: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "no body": (
        {"kind": "repeat", "times": 2},
        "layers[0]",
        "`repeat` needs `body`",
        "`body` takes a list",
    ),
    "an empty body": (
        {"kind": "sequence", "body": ()},
        "layers[0].body",
        "`body` needs at least 1 item, has 0",
        "write at least one: `[{kind: linear, ...}]`",
    ),
    "nothing": (
        {"kind": "sequence", "body": None},
        "layers[0].body",
        "expected a list for `body`, found nothing",
        "give `body` a value",
    ),
    "one layer": (
        {"kind": "residual", "body": {"kind": "relu"}},
        "layers[0].body",
        "expected a list for `body`, found a mapping",
        "write it in brackets: `[{...}]`",
    ),
    "an empty body in a body": (
        {"kind": "sequence", "body": ({"kind": "residual", "body": ()},)},
        "layers[0].body[0].body",
        "`body` needs at least 1 item, has 0",
        "write at least one: `[{kind: linear, ...}]`",
    ),
    "one branch": (
        {"kind": "parallel", "branches": ((RELU,),)},
        "layers[0].branches",
        "`branches` needs at least 2 items, has 1",
        "",
    ),
    "an empty branch": (
        {"kind": "parallel", "branches": ((RELU,), ())},
        "layers[0].branches[1]",
        "`branches[1]` needs at least 1 item, has 0",
        "write at least one: `[{kind: linear, ...}]`",
    ),
    "never": (
        {"kind": "repeat", "times": 0, "body": (RELU,)},
        "layers[0].times",
        "`times` must be at least 1, is 0",
        "",
    ),
    "too often": (
        {"kind": "repeat", "times": 1_000_000, "body": (RELU,)},
        "layers[0].times",
        "`times` must be at most 10000, is 1000000",
        "",
    ),
    "a kind that there is not": (
        {"kind": "sequence", "body": ({"kind": "rleu"},)},
        "layers[0].body[0].kind",
        "no kind is called `rleu`",
        "did you mean `relu`?",
    ),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_is_none(case: str) -> None:
    layer, path, message, help = BODIES[case]
    (found,) = check(spec((layer, OUT), shape=(6,)))
    assert (dotted(found.path), found.message, found.help) == (path, message, help)


ROUTES: dict[str, tuple[str, str, str]] = {
    "a block": (
        "deep",
        "`deep` is a block, and no layer",
        "name a layer inside: `deep.0.fc1` or `deep.1.fc1`",
    ),
    "a name inside": (
        "fc1",
        "`fc1` stands inside of a block, and is not known by this name outside",
        "write `deep.0.fc1`",
    ),
}


@pytest.mark.parametrize("case", ROUTES)
def test_a_route_names_a_layer_inside_in_full(case: str) -> None:
    name, message, help = ROUTES[case]
    layers = (repeated(linear("fc1", 6), RELU, times=2), OUT)
    routes = {"routes": ({"to": name, "from": "loss", "matrix": RANDOM},)}
    (found,) = diagnosed(layers, feedback=routes)
    assert places((found,)) == [("FAC201", "feedback.routes[0].to")]
    assert (found.message, found.help) == (message, help)
    assert (
        diagnosed(layers, feedback={"routes": ({"to": "deep.*.fc1", "from": "loss", "matrix": RANDOM},)})
        == ()
    )


def test_every_node_of_a_copy_stands_where_the_text_has_it() -> None:
    layers = (repeated(block(linear("fc1", 6), kind="residual"), RELU, times=2), OUT)
    nodes = lower(ModelSpec.model_validate(spec(layers, shape=(6,)))).nodes
    assert [(node.name, node.origin) for node in nodes[:3]] == [
        ("deep.0.block.fc1", ("layers", 0, "body", 0, "body", 0)),
        ("deep.0.block", ("layers", 0, "body", 0)),
        ("deep.0.relu_1", ("layers", 0, "body", 1)),
    ]
    assert [node.origin for node in nodes[3:6]] == [node.origin for node in nodes[:3]]


@pytest.mark.parametrize("kind", ["sequence", "residual"])
@pytest.mark.parametrize("place", [0, 1])
def test_the_name_of_a_block_that_a_layer_has_is_the_only_finding(kind: str, place: int) -> None:
    """A block without a name takes one, as a layer does."""
    layers = [linear("stem", 8), RELU, {"kind": kind, "body": (linear("fc1", 8), RELU)}, OUT]
    layers[2 + place : 2 + place] = [linear(f"{kind}_1", 8), RELU]
    assert [code for code, _ in places(diagnosed(tuple(layers)))] == ["FAC202"]


def test_copies_of_a_block_are_no_layers_and_their_layers_have_names() -> None:
    deep = linear("stem", 8), RELU, repeated(linear("fc1", 8), RELU), OUT
    (target,) = diagnosed(deep, feedback={"routes": ({"to": "deep.1", "matrix": RANDOM},)})
    assert (target.message, target.help) == (
        "`deep.1` is a part of a block, and no layer",
        "name a layer inside: `deep.1.fc1`",
    )
    (source,) = diagnosed(deep, feedback={"routes": ({"to": "stem", "from": "deep.0", "matrix": RANDOM},)})
    assert (source.message, source.help) == (
        "`deep.0` is a part of a block, and no layer",
        "its last layer is `deep.0.relu_1`",
    )
    (read,) = diagnosed((*deep[:3], linear("beside", 8, **{"from": "deep.0"}), OUT))
    assert (read.message, read.help) == (source.message, source.help)
    (glob,) = diagnosed(deep, feedback={"rule": "fa", "nodes": "deep"})
    assert (glob.rule.code, glob.help) == ("FAC209", "for the layers inside of `deep` write `deep.*`")
    # Inside, a layer of another copy goes by its number.
    named = repeated(linear("fc1", 8), {"kind": "add", "from": ("fc1", "0.fc1")})
    assert not diagnosed((linear("stem", 8), RELU, named, OUT))


def test_blocks_that_stand_once_are_no_copies() -> None:
    """Nor is the sum that ends a block a copy of it."""
    inner = {"kind": "residual", "name": "res", "body": (linear("fc1", 8), RELU)}
    layers = linear("stem", 8), block(inner), repeated(inner, times=3), OUT
    counts = copies(lower(ModelSpec.model_validate(spec(layers))))
    assert {times for (origin, _), times in counts.items() if origin[:2] == ("layers", 1)} == {1}
    assert {times for (origin, _), times in counts.items() if origin[:2] == ("layers", 2)} == {3}


SHORTCUTS: dict[str, tuple[tuple[int, ...], dict[str, Any], str]] = {
    "channels": ((4, 8, 8), {"padding": 1}, "add `shortcut: [{kind: conv2d, kernel: 1, out: 6}]`"),
    "channels and places": (
        (4, 9, 9),
        {"padding": 1, "stride": 2},
        "add `shortcut: [{kind: conv2d, kernel: 1, stride: 2, out: 6}]`",
    ),
    "unequal sides": (
        (4, 9, 8),
        {"padding": 1, "stride": (1, 2)},
        "add `shortcut: [{kind: conv2d, kernel: 1, stride: [1, 2], out: 6}]`",
    ),
    "no stride makes it": ((4, 8, 8), {}, "make the shapes equal"),
}


@pytest.mark.parametrize("name", SHORTCUTS)
def test_the_shortcut_that_would_fit_is_said_and_fits(name: str) -> None:
    shape, settings, help = SHORTCUTS[name]
    block: dict[str, Any] = {
        "kind": "residual",
        "name": "r",
        "body": ({"kind": "conv2d", "name": "a", "out": 6, "kernel": 3, **settings},),
    }
    rest: Any = ({"kind": "flatten"}, linear("out", 4))
    (finding,) = diagnosed((block, *rest), input={"shape": shape})
    assert (finding.rule.code, finding.help) == ("FAC203", help)
    if "shortcut" in help:
        written = parse_text(help.removeprefix("add `").removesuffix("`")).data
        assert not found(({**block, **written}, *rest), input={"shape": shape})


def test_the_shortcut_of_vectors() -> None:
    block = {"kind": "residual", "name": "r", "body": (linear("a", 5),)}
    (finding,) = diagnosed((block, linear("out", 4)))
    assert finding.help == "add `shortcut: [{kind: linear, out: 5}]`"
    shortcut = ({"kind": "linear", "out": 5},)
    assert not found(({**block, "shortcut": shortcut}, linear("out", 4)))
    (finding,) = diagnosed(({**block, "shortcut": ({"kind": "linear", "out": 7},)}, linear("out", 4)))
    assert finding.help == "make the shapes equal"


def test_a_name_without_the_numbers_of_copies_means_the_glob() -> None:
    block = {"kind": "repeat", "name": "st", "times": 3, "body": (linear("a", 6), {"kind": "relu"})}
    layers: Any = (block, linear("out", 4))
    told = diagnosed(layers, feedback=routes({"through": "st.a"}))
    (finding,) = (f for f in told if f.rule.code == "FAC201")
    assert finding.message == "`st.a` stands in parts of a block, which have numbers"
    assert finding.help == "write `st.*.a` for all of them, or `st.0.a` for one"
    assert "FAC201" not in {code for code, _ in found(layers, feedback=routes({"through": "st.*.a"}))}


def test_two_layers_of_one_name_inside_of_a_block_are_told_by_their_place() -> None:
    block = {"kind": "residual", "name": "r", "body": (linear("a", 6), linear("a", 6))}
    told = diagnosed(({"kind": "relu"}, block, linear("out", 4)))
    (finding,) = (f for f in told if f.rule.code == "FAC202")
    assert finding.message == "`layers[1].body[0]` is already called `r.a`"


BLOCKS: dict[str, dict[str, Any]] = {
    **{kind: {"body": (RELU,)} for kind in ("sequence", "residual")},
    "repeat": {"times": 2, "body": (RELU,)},
    "parallel": {"branches": ((RELU,), (RELU,))},
    "attention": {"heads": 2, "mask": "kept"},
    **{kind: {"out": 4, "mask": "kept"} for kind in ("rnn", "gru")},
    "patch_embed": {"out": 4, "patch": 2},
    "mlp": {},
}


def test_a_block_that_reads_what_there_is_not_is_told_as_a_layer_is() -> None:
    """By one finding, at the word; the kind is not blamed for layers that it cannot make."""
    assert {kind.name for kind in kinds("fac.layers") if isinstance(kind, BlockKind)} == BLOCKS.keys()
    inputs = {"x": {"shape": (4, 6)}, "kept": {"shape": (4,), "mask": True}}
    for kind, fields in BLOCKS.items():
        for key in {"from": "xx", "mask": "kpt"} if "mask" in fields else {"from": "xx"}:
            written = {"kind": kind, "from": "x", **fields, key: {"from": "xx", "mask": "kpt"}[key]}
            data = spec((written, {"kind": "flatten"}, OUT), inputs=inputs)
            del data["input"]
            # a mask that nobody names is unread
            told = [f for f in check(data) if f.rule.code != "FAC242"]
            assert [(f.rule.code, dotted(f.path)) for f in told] == [("FAC201", f"layers[0].{key}")], kind
            assert told[0].help in ("did you mean `x`?", "did you mean `kept`?")
