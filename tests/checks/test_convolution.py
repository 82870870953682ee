"""What `fac check` says of convolutions that cannot read what they are given: the exact words, place and remedy."""

from __future__ import annotations

from typing import Any

import pytest

import fac
from fac.pipeline import lowered
from fac.testing.nets import conv2d, linear, spec

GROUPS = "`groups` has to divide both `out` and the channels that are read"
SMALLER = "use a smaller kernel or more padding, or shrink the map less before"


def transposed(name: str, out: int, kernel: int, **fields: Any) -> dict[str, Any]:
    return conv2d(name, out, kernel, **fields) | {"kind": "conv_transpose2d"}


def sequence(name: str, out: int, kernel: int, **fields: Any) -> dict[str, Any]:
    return conv2d(name, out, kernel, **fields) | {"kind": "conv1d"}


CASES: dict[str, tuple[dict[str, Any], tuple[int, ...], str, str, str]] = {
    "a kernel larger than the map": (
        conv2d("c1", 4, (3, 6)),
        (2, 5, 5),
        "kernel",
        "the kernel of `c1`, 3 x 6, is larger than the map that it reads, 5 x 5",
        SMALLER,
    ),
    "and than its padding": (
        conv2d("c1", 4, 9, padding=(1, 0)),
        (2, 5, 5),
        "kernel",
        "the kernel of `c1`, 9 x 9, is larger than the map that it reads, 5 x 5, 7 x 5 with its padding",
        SMALLER,
    ),
    "a kernel that is spread": (
        conv2d("c1", 4, 3, dilation=(1, 4)),
        (2, 5, 5),
        "kernel",
        "the kernel of `c1`, 3 x 3, spread over 3 x 9, is larger than the map that it reads, 5 x 5",
        SMALLER,
    ),
    "groups and channels that are read": (
        conv2d("c1", 4, 3, groups=2),
        (3, 5, 5),
        "groups",
        "the 2 groups of `c1` do not divide the 3 channels that it reads",
        GROUPS + ": 1",
    ),
    "groups and channels that are made": (
        conv2d("c1", 4, 3, groups=3),
        (3, 5, 5),
        "groups",
        "the 3 groups of `c1` do not divide its 4 channels",
        GROUPS + ": 1",
    ),
    "`same` with a stride": (
        conv2d("c1", 4, 3, padding="same", stride=(2, 1)),
        (3, 5, 5),
        "padding",
        "`same` keeps the size of what is read, which a stride of 2 x 1 does not",
        "write `padding: 1`, which keeps one number of 2 x 1, rounded up",
    ),
    "a kernel longer than the sequence": (
        sequence("c1", 4, 3, dilation=3),
        (2, 5),
        "kernel",
        "the kernel of `c1`, 3, spread over 7, is larger than the sequence that it reads, 5",
        "use a smaller kernel or more padding, or shrink the sequence less before",
    ),
    "a map, by a sequence's layer": (
        sequence("c1", 4, 3),
        (2, 5, 5),
        "kind",
        "`c1` reads a sequence [channels, length], not [2, 5, 5]",
        "put a `reshape` layer before it, with `shape: [channels, length]`",
    ),
    "more padding at the end than stride": (
        transposed("c1", 4, 3, stride=(2, 1), output_padding=1),
        (2, 5, 5),
        "output_padding",
        "`c1` makes its output longer by 1 x 1, and windows lie 2 x 1 apart: what is added would be a row without a "
        "window",
        "use less than `stride`",
    ),
    "all is cut off": (
        transposed("c1", 4, 1, padding=(3, 0)),
        (2, 5, 5),
        "padding",
        "`c1` cuts off all that it makes",
        "use a smaller padding",
    ),
    "groups, transposed": (
        transposed("c1", 4, 3, groups=2),
        (3, 5, 5),
        "groups",
        "the 2 groups of `c1` do not divide the 3 channels that it reads",
        GROUPS + ": 1",
    ),
    "a vector": (
        conv2d("c1", 4, 3),
        (24,),
        "kind",
        "`c1` reads a map [channels, height, width], not [24]",
        "put a `reshape` layer before it, with `shape: [channels, height, width]`",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_convolution_cannot_read_is_said(case: str) -> None:
    layer, shape, field, message, help = CASES[case]
    data = spec((layer, {"kind": "relu"}, {"kind": "flatten"}, linear("out", 3)), shape=shape)
    (found,) = fac.check(data)
    assert (found.rule.code, found.message, found.help) == ("FAC203", message, help)
    assert found.path == ("layers", 0, field)


def test_a_linear_layer_that_reads_a_map_is_told_to_flatten_it() -> None:
    """Its output may be meant: four classes at each place of a map."""
    (elsewhere,) = fac.check(spec((conv2d("c1", 4, 3), linear("out", 3)), shape=(2, 5, 5)))
    assert (
        elsewhere.message
        == "`out` takes the last axis of [4, 3, 3] for channels, and they lie along the first one"
    )
    assert elsewhere.help.startswith("put a `flatten` layer before it")


LAYERS = (
    conv2d("c1", 4, 3),
    {"kind": "tanh"},
    conv2d("c2", 6, 3, groups=2),
    {"kind": "tanh"},
    conv2d("c3", 4, 2),
    {"kind": "flatten"},
    linear("out", 3),
)


def test_a_low_rank_past_groups_is_refused() -> None:
    routes = {"routes": [{"through": "c2", "matrix": {"kind": "low_rank", "rank": 2}}]}
    (found,) = fac.check(spec(LAYERS, routes, shape=(2, 8, 8)))
    assert (found.rule.code, found.path) == ("FAC308", ("feedback", "routes", 0, "matrix", "kind"))
    assert found.message == (
        "the feedback of `c2`: a low rank over the 6 channels would mix the 2 groups of the layer, which do not mix"
    )
    assert found.help == "use `{kind: random}`, which keeps them apart"


@pytest.mark.parametrize("learn", ["fixed", "kolen_pollack", "oja_kp", "local", "normative"])
def test_ldfa_stands_for_a_full_matrix_past_groups(learn: str) -> None:
    """Of the kernel's own shape, and as the others are it is fixed, or learns."""
    data = spec(LAYERS, {"rule": "ldfa", "rank": 2, "learn": learn}, shape=(2, 8, 8))
    assert not [found for found in fac.check(data) if found.rule.code == "FAC308"]
    routes = {route.node: route for route in lowered(data).routes}
    assert {node: route.matrix.kind for node, route in routes.items()} == {  # type: ignore[attr-defined]
        "c2": "random",
        "c3": "low_rank",
        "out": "low_rank",
    }
    assert routes["c2"].matrix.learn.rule == ("fixed" if learn == "fixed" else "kolen_pollack")  # type: ignore[attr-defined]
    assert [tensor.shape for tensor in routes["c2"].tensors] == [(6, 2, 3, 3)]
    assert [tensor.shape for tensor in routes["c3"].tensors] == [(2, 4), (6 * 2 * 2, 2)]


def test_a_mask_reads_components_of_its_own_group() -> None:
    routes = {"routes": [{"through": "c2", "matrix": {"kind": "random", "mask": {"per_unit": 4}}}]}
    (found,) = fac.check(spec(LAYERS, routes, shape=(2, 8, 8)))
    assert found.message == "the feedback of `c2`: `per_unit: 4` of an error of 6 components in 2 groups"
    assert found.help == "use at most 3"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, True),
        ({"kernel": 3}, False),
        ({"stride": 2}, False),
        ({"groups": 2}, False),
        ({"padding": 1}, False),
    ],
)
def test_two_kernels_of_one_number_are_one(fields: dict[str, Any], told: bool) -> None:
    """Each multiplies every place with one matrix. With a wider window, a stride or groups the two say more."""
    layers = (
        conv2d("c1", 4, 1),
        conv2d("c2", 4, 1) | fields,
        {"kind": "relu"},
        {"kind": "flatten"},
        linear("out", 3),
    )
    found = [one for one in fac.check(spec(layers, shape=(8, 8, 8))) if one.rule.code == "FAC212"]
    assert [one.message for one in found] == [
        "`c2` reads `c1` with nothing between, so the two are one linear map"
    ] * told
