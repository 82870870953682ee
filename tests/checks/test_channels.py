"""Channels that lie elsewhere than a layer looks for them: told where that begins, and by nobody who goes on."""

from __future__ import annotations

from typing import Any

import pytest

from fac.diagnostics import dotted
from tests.checks.specs import diagnosed, linear

Layer = dict[str, Any]
RELU: Layer = {"kind": "relu"}
POOL: Layer = {"kind": "max_pool2d", "kernel": 2}
GAP: Layer = {"kind": "global_avg_pool"}
FLAT: Layer = {"kind": "flatten"}


def conv(name: str, out: int = 8, kernel: int = 3) -> Layer:
    return {
        "kind": "conv2d", "name": name, "out": out, "kernel": kernel, "padding": "same", "bias": False
    }  # fmt: skip


def norm(name: str) -> Layer:
    return {"kind": "batch_norm", "name": name}


def turn(*axes: int) -> Layer:
    return {"kind": "permute", "axes": axes}


STACK = (
    *(conv("c1"), norm("n1"), RELU, conv("c2"), norm("n2"), RELU, POOL),
    *(conv("c3"), norm("n3"), RELU, GAP, linear("out", 3)),
)
TOKENS = (linear("e", 12), RELU)
SEQUENCE: Layer = {"kind": "conv1d", "name": "c1", "out": 8, "kernel": 3}
CASES: dict[str, tuple[tuple[int, ...], tuple[Layer, ...], list[str]]] = {
    "a stack of kernels over places": ((1, 8, 12), (conv("c0"), turn(1, 2, 0), *STACK), []),
    "a kernel that mixes rows, and its own norm": (
        (3, 8, 8),
        (
            conv("c0", 4),
            turn(1, 0, 2),
            conv("m", 6, 1),
            norm("n"),
            RELU,
            turn(1, 0, 2),
            FLAT,
            linear("out", 3),
        ),
        [],
    ),
    "the norm of the channels below it": (
        (3, 8, 8),
        (conv("c0", 4), turn(1, 0, 2), conv("m", 6, 1), turn(1, 0, 2), norm("n"), FLAT, linear("out", 3)),
        [],
    ),
    "a row of channels behind such a kernel": (
        (3, 8, 8),
        (conv("c0", 4), turn(1, 0, 2), conv("m", 6), conv("d", 5), linear("l", 7), FLAT, linear("out", 3)),
        ["l"],
    ),
    "a mixer": (
        (8, 16),
        (
            *TOKENS,
            turn(1, 0),
            linear("m", 8),
            norm("n"),
            RELU,
            turn(1, 0),
            linear("f", 5),
            FLAT,
            linear("out", 3),
        ),
        [],
    ),
    "a map whose channels were put last": (
        (1, 8, 12),
        (conv("c0"), turn(1, 2, 0), norm("n"), RELU, POOL, norm("n2"), GAP, linear("out", 3)),
        ["n"],
    ),
    "norms of tokens": (
        (8, 16),
        (*TOKENS, norm("n1"), RELU, linear("f", 5), norm("n2"), FLAT, linear("out", 3)),
        ["n1", "n2"],
    ),
    "a kernel over tokens": (
        (8, 16),
        (*TOKENS, SEQUENCE, norm("n1"), RELU, SEQUENCE | {"name": "c2"}, GAP, linear("out", 3)),
        ["c1"],
    ),
    "rows of a map": (
        (3, 8, 8),
        (conv("c0"), linear("l1", 5), norm("n"), RELU, linear("l2", 5), FLAT, linear("out", 3)),
        ["l1"],
    ),
    "rows of two maps": (
        (3, 8, 8),
        (conv("c0"), linear("l1", 5), conv("c1"), linear("l2", 5), FLAT, linear("out", 3)),
        ["l1", "l2"],
    ),
    "places by a reshape": (
        (3, 8, 8),
        (conv("c0"), {"kind": "reshape", "shape": (8, 64)}, linear("l", 5), FLAT, linear("out", 3)),
        [],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_misplacement_is_told_where_it_begins(case: str) -> None:
    shape, layers, names = CASES[case]
    told = diagnosed(layers, input={"shape": shape})
    at = {index: layer.get("name") for index, layer in enumerate(layers)}
    assert {d.rule.code for d in told} <= {"FAC222"}
    assert [dotted(d.path) for d in told] == [f"layers[{i}].name" for i, n in at.items() if n in names]


def test_of_an_input_it_is_said_that_nobody_knows() -> None:
    """Tokens on a grid look like a map; a `reshape` layer says what they are."""
    layers = (linear("fc", 8), RELU, FLAT, linear("out", 3))
    (finding,) = diagnosed(layers, input={"shape": (10, 4, 16)})
    assert finding.message == (
        "`fc` takes the last axis of [10, 4, 16] for channels, and they seem to lie along the first one"
    )
    rows = "a `reshape` layer with `shape: [40, 16]`"
    assert finding.help.endswith(f"before it; if these are tokens, with their channels last, {rows}")
    assert not diagnosed(({"kind": "reshape", "shape": (40, 16)}, *layers), input={"shape": (10, 4, 16)})
