"""Layers that cannot read what they are given, in exact words, with place and remedy; what is seen through others."""

from __future__ import annotations

from typing import Any

import pytest

import fac
from fac.testing.nets import RELU, Data, conv2d, linear, spec

MAP = {"kind": "reshape", "name": "map", "shape": (2, 3, 5)}
CASES: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "a kernel larger than the map": (
        {"kind": "max_pool2d", "name": "p1", "kernel": 4},
        "kernel",
        "the kernel of `p1`, 4 x 4, is larger than the map that it reads, 3 x 5",
        "use a smaller kernel or more padding, or shrink the map less before",
    ),
    "and than its padding": (
        {"kind": "avg_pool2d", "name": "p1", "kernel": (6, 2), "padding": 1},
        "kernel",
        "the kernel of `p1`, 6 x 2, is larger than the map that it reads, 3 x 5, 5 x 7 with its padding",
        "use a smaller kernel or more padding, or shrink the map less before",
    ),
    "a padding of more than half of it": (
        {"kind": "max_pool2d", "name": "p1", "kernel": (2, 3), "padding": (1, 2)},
        "padding",
        "`p1` pads by 1 x 2, which is more than half of its kernel, 2 x 3",
        "use a padding of at most 1 x 1",
    ),
    "no map": (
        {"kind": "max_pool2d", "name": "p1", "from": "input", "kernel": 2},
        "kind",
        "`p1` reads a map [channels, height, width], not [30]",
        "put a `reshape` layer before it, with `shape: [channels, height, width]`",
    ),
    "nothing to average over": (
        {"kind": "global_avg_pool", "name": "p1", "from": "input"},
        "kind",
        "`p1` reads [30]: there is nothing behind the channels to average over",
        "take it out, or put it before the layer that flattens the map",
    ),
    "a sum": (
        {"kind": "add", "name": "join", "from": ("map", "input")},
        "from",
        "`join` adds tensors of different shapes: `map` [2, 3, 5] and `input` [30]",
        "make the shapes equal",
    ),
    "a product": (
        {"kind": "multiply", "name": "gate", "from": ("map", "input")},
        "from",
        "`gate` multiplies tensors of different shapes: `map` [2, 3, 5] and `input` [30] differ along axis 0",
        "make them equal along it, or one of them 1; axes are counted from the first one on",
    ),
    "a product of one": (
        {"kind": "multiply", "name": "gate"},
        "kind",
        "`gate` multiplies at least two layers",
        "name them: `from: [a, b]`",
    ),
    "side by side": (
        {"kind": "concat", "name": "both", "from": ("map", "map", "input")},
        "from",
        "`both` joins tensors of different shapes: `map` [2, 3, 5] and `input` [30]",
        "make them equal but for axis 0",
    ),
    "side by side along no axis": (
        {"kind": "concat", "name": "both", "from": ("map", "map"), "axis": 3},
        "axis",
        "`both` goes along axis 3, which `map` [2, 3, 5] does not have",
        "use an axis from -3 to 2",
    ),
    "other numbers": (
        {"kind": "reshape", "name": "rows", "shape": (4, 7)},
        "shape",
        "`rows` makes [4, 7] of [2, 3, 5], which has 30 numbers",
        "write sizes that multiply to as many",
    ),
    "numbers that do not divide": (
        {"kind": "reshape", "name": "rows", "shape": (4, -1)},
        "shape",
        "`rows` makes [4, -1] of [2, 3, 5], which has 30 numbers",
        "write sizes that multiply to as many",
    ),
    "two open sizes": (
        {"kind": "reshape", "name": "rows", "shape": (-1, -1)},
        "shape",
        "`rows` makes [-1, -1], which is no shape",
        "write sizes of at least 1, one of which may be -1, for as many as are left",
    ),
    "an axis twice": (
        {"kind": "permute", "name": "turned", "axes": (0, 2, -1)},
        "axes",
        "`turned` orders the axes [0, 2, -1], and [2, 3, 5] has [0, 1, 2]",
        "write each of them once",
    ),
    "an axis that is not there": (
        {"kind": "mean", "name": "m", "axes": (0, 3)},
        "axes",
        "`m` goes along the axes [0, 3] of [2, 3, 5]",
        "name some of the axes [0, 1, 2], each once",
    ),
    "no places": (
        {"kind": "max", "name": "m", "from": "input", "axes": "spatial"},
        "axes",
        "`m` goes along `spatial` of [30]",
        "name some of the axes [0], each once",
    ),
    "nothing that stays": (
        {"kind": "mean", "name": "m", "axes": (0, 1, 2)},
        "axes",
        "`m` leaves no axis of [2, 3, 5]",
        "write `keep: true`",
    ),
    "half of an axis": (
        {"kind": "pad", "name": "around", "padding": (1, 1, 1)},
        "padding",
        "`around` pads by [1, 1, 1], and [2, 3, 5] has 3 axes",
        "write two numbers for each axis that is padded, from the last axis on: `[left, right, top, bottom]`",
    ),
    "no axis behind the channels": (
        {"kind": "pad", "name": "around", "from": "input", "padding": 1},
        "padding",
        "`around` pads the axes behind the channels, and [30] has none",
        "write what stands before and behind it: `padding: [1, 1]`",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_layer_cannot_read_is_said(case: str) -> None:
    layer, field, message, help = CASES[case]
    findings = fac.check(spec((MAP, layer, {"kind": "flatten"}, linear("out", 3)), shape=(30,)))
    (found,) = (one for one in findings if one.rule.code == "FAC203")
    assert (found.message, found.help) == (message, help)
    assert found.path == ("layers", 1, field)


POOL = {"kind": "max_pool2d", "kernel": 2}
SEEN: dict[str, tuple[tuple[Data, ...], str, str]] = {
    "what is never negative": (
        (conv2d("c1", 4, 3), RELU, POOL, {"kind": "reshape", "shape": (4, -1)}, RELU),
        "FAC215",
        "`relu_2` changes nothing: the output of `relu_1` is never negative",
    ),
    "weights that stay zero": (
        (conv2d("c1", 4, 3, init="zeros"), RELU, POOL, {"kind": "upsample", "scale_factor": 2}),
        "FAC216",
        "the weights of `c1` are zero and stay so: no error gets back through units that are all zero",
    ),
}


@pytest.mark.parametrize("case", SEEN)
def test_checks_see_through_pools_and_shapes(case: str) -> None:
    layers, code, message = SEEN[case]
    found = fac.check(spec((*layers, {"kind": "flatten"}, linear("out", 3)), shape=(2, 9, 9)))
    assert [(one.rule.code, one.message) for one in found] == [(code, message)]
