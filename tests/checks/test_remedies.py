"""Remedies of findings: what they say, and that a spec which follows them is without that finding."""

from __future__ import annotations

from typing import Any

import pytest

from fac.diagnostics import dotted
from fac.pipeline import check
from fac.testing.nets import spec
from tests.checks.specs import RANDOM, Layers, linear, routes

MAPS = (4, 8, 8)
CONV: dict[str, Any] = {"kind": "conv2d", "name": "c", "out": 8, "kernel": 3}
RELU: dict[str, Any] = {"kind": "relu"}
HEAD: Layers = ({"kind": "flatten"}, linear("head", 10))
STACK: Layers = (
    {"kind": "flatten"},
    {"kind": "repeat", "name": "st", "times": 2, "body": (linear("a", 6),)},
    linear("head", 10),
)
COPIES = "write `st.*.a` for all of them, or `st.0.a` for one"
GROUPED: Layers = (CONV | {"out": 4}, RELU, CONV | {"name": "d", "out": 4, "groups": 4}, RELU, *HEAD)
DIGITS = {"data": {"source": "digits"}, "train": {"epochs": 1, "batch": 32, "seed": 0}}


def told(layers: Layers, feedback: Any = None, **sections: Any) -> list[tuple[str, str, str]]:
    """Code, place and help of every finding."""
    found = check(spec(layers, feedback, **{"shape": MAPS} | sections))
    return [(finding.rule.code, dotted(finding.path), finding.help) for finding in found]


@pytest.mark.parametrize(
    ("layers", "nodes", "place", "help"),
    [
        (HEAD, (), "feedback.nodes", "name at least one, or leave it out, for all of them"),
        (
            (CONV, *HEAD),
            "!head",
            "feedback.nodes",
            "globs cannot exclude: list the layers, or write `[!h]*`; they are `c`",
        ),
        (
            (CONV, CONV | {"name": "hidden"}, *HEAD),
            ("^head",),
            "feedback.nodes[0]",
            "globs cannot exclude: list the layers; they are `c` and `hidden`",
        ),
        (STACK, "st.a", "feedback.nodes", COPIES),
        (STACK, "a", "feedback.nodes", COPIES),
        ((CONV, *HEAD), "c[ab", "feedback.nodes", "close the bracket: `c[ab]`"),
        ((CONV, *HEAD), "Conv,head", "feedback.nodes", "a list has brackets: `[Conv, head]`"),
    ],
)
@pytest.mark.parametrize("rule", ["fa", "dfa"])
def test_nodes_that_match_nothing(layers: Layers, nodes: Any, place: str, help: str, rule: str) -> None:
    """FAC209."""
    found = check(spec(layers, {"rule": rule, "nodes": nodes}, shape=MAPS))
    assert [(f.rule.code, dotted(f.path), f.help, f.fix) for f in found if f.rule.code == "FAC209"] == [
        ("FAC209", place, help, None)
    ]


def test_a_copy_is_read_by_its_number() -> None:
    """FAC201."""
    layers = (*STACK[:2], linear("head", 10, **{"from": "st.a"}))
    assert told(layers) == [("FAC201", "layers[2].from", "write `st.0.a`")]


def test_an_empty_list_of_names_names_no_layer() -> None:
    """FAC102."""
    for layer in (CONV | {"from": ()}, {"kind": "add", "from": ()}):
        (found,) = check(spec((layer, *HEAD), shape=MAPS))
        assert (dotted(found.path), found.message) == ("layers[0].from", "`from` names no layer")


def test_an_empty_name_is_none() -> None:
    """FAC204."""
    help = "use letters, digits, `_` and `-`, with `.` between parts"
    assert told((CONV | {"name": ""}, *HEAD)) == [("FAC204", "layers[0].name", help)]


def test_offsets_are_no_names() -> None:
    """FAC102."""
    for value, place in ((-1, "layers[0].from"), ((-1,), "layers[0].from[0]")):
        ((_, where, help),) = told((CONV | {"from": value}, *HEAD))
        assert (where, help) == (
            place,
            "write names, not offsets: layers are not counted, and `-1` is no name",
        )


def test_an_identity_past_groups() -> None:
    """FAC308, and no finding for what it says."""
    at_d = {"identity": "use a `random` matrix", "low_rank": "use `{kind: random}`, which keeps them apart"}
    for kind, help in at_d.items():
        matrix = {"kind": kind} | ({"rank": 2} if kind == "low_rank" else {})
        (found,) = told(GROUPED, routes({"through": "d", "matrix": matrix}))
        assert found[::2] == ("FAC308", help)
    assert told(GROUPED, routes({"through": "d", "matrix": RANDOM})) == []


def test_a_shortcut_of_nothing_is_left_out() -> None:
    """FAC102."""
    block = {"kind": "residual", "body": (CONV | {"out": 4, "padding": 1},)}
    help = "leave it out: a `residual` without a `shortcut` adds what it reads"
    assert told((block | {"shortcut": "identity"}, *HEAD)) == [("FAC102", "layers[0].shortcut", help)]
    assert told((block, *HEAD)) == []


@pytest.mark.parametrize(
    ("layers", "shape", "help"),
    [
        ((CONV, RELU, *HEAD), (3, 8, 8), "write `[1, 8, 8]`, for one channel"),
        (HEAD, (3, 8, 8), "write `[1, 8, 8]`, for one channel, or `[8, 8]`"),
        (HEAD, (32, 8, 8), "leave the batch out: `[8, 8]`"),
    ],
)
def test_channels_are_no_batch(layers: Layers, shape: tuple[int, ...], help: str) -> None:
    """FAC219."""
    assert told(layers, shape=shape, **DIGITS) == [("FAC219", "input.shape", help)]
    assert told(layers, shape=(1, 8, 8), **DIGITS) == []


def test_a_norm_of_maps_that_needs_no_batch() -> None:
    """FAC329."""
    layers = (CONV | {"kernel": 8}, {"kind": "batch_norm"}, RELU, *HEAD)
    alone = {"epochs": 1, "batch": 1, "seed": 0}
    help = "use a larger batch, or `layer_norm` with `axes: 0`, which needs none"
    assert told(layers, train=alone) == [("FAC329", "train.batch", help)]
    mended = (layers[0], {"kind": "layer_norm", "axes": 0}, *layers[2:])
    assert told(mended, train=alone) == []


def test_a_map_that_ends_in_classes_is_flattened() -> None:
    """FAC222."""
    image, wrong = {"shape": (1, 8, 8)} | DIGITS, (CONV, RELU, linear("head", 10))
    assert ("FAC222", "layers[2].name", "put a `flatten` layer before it") in told(wrong, **image)
    assert told((CONV, RELU, *HEAD), **image) == []
    # Without data labels may lie at each place.
    move = "put a `flatten` layer before it, or a `permute` layer with `axes: [1, 2, 0]` before it"
    assert ("FAC222", "layers[2].name", move) in told(wrong)
    assert told((CONV, RELU, {"kind": "permute", "axes": (1, 2, 0)}, wrong[-1])) == []


@pytest.mark.parametrize(
    ("layer", "help"),
    [
        (CONV | {"groups": 0}, "write at least 1"),
        (
            CONV | {"groups": 4, "out": 6},
            "`groups` has to divide both `out` and the channels that are read: 1, 2",
        ),
        (
            CONV | {"padding": "same", "stride": 2},
            "write `padding: 1`, which keeps one number of 2 x 2, rounded up",
        ),
        (
            CONV | {"kind": "conv_transpose2d", "padding": "same"},
            "write a number: half of the kernel, rounded down, keeps the size at a stride of 1",
        ),
        ({"kind": "sequence", "body": ()}, "write at least one: `[{kind: linear, ...}]`"),
        ({"kind": "group_norm", "groups": 3}, "choose a divisor of the number of channels: 1, 2, 4"),
    ],
)
def test_numbers_that_would_do(layer: dict[str, Any], help: str) -> None:
    """FAC102, FAC203."""
    assert [found for _, _, found in told((layer, *HEAD))] == [help]


def test_names_are_reserved_where_arrays_are_called_so() -> None:
    """FAC204."""

    def inside(name: str) -> Layers:
        return ({"kind": "sequence", "name": "br", "body": (CONV | {"name": name},)}, *HEAD)

    assert told(inside("x")) == told(inside("y")) == []
    for layers in (inside("input"), inside("loss"), (CONV | {"name": "x"}, *HEAD)):
        assert [code for code, _, _ in told(layers)] == ["FAC204"]
