"""What checks compute with and say of layers on maps, beside what a compiled step does with them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from fac.build.costs import cost
from fac.build.initial import draw
from fac.checks.teaching import _top_singular_value
from fac.diagnostics import Diagnostic, dotted
from fac.program.lower import lower
from fac.spec.model import ModelSpec
from fac.step.ir import Phase
from tests.checks.specs import RANDOM, SGD, Layers, diagnosed, linear, routes

MAPS = {"shape": (3, 10, 10)}


def conv(name: str, out: int = 8, **fields: Any) -> dict[str, Any]:
    return {"kind": "conv2d", "name": name, "out": out, "kernel": 3} | fields


NET: Layers = (
    conv("c1"),
    {"kind": "relu", "name": "a1"},
    conv("c2"),
    {"kind": "relu", "name": "a2"},
    {"kind": "global_avg_pool", "name": "mean"},
    linear("fc1", 12),
    {"kind": "relu", "name": "a3"},
    linear("logits", 10),
)


def found(feedback: Any, layers: Layers = NET, **sections: Any) -> list[Diagnostic]:
    return list(diagnosed(layers, input=MAPS, feedback=feedback, **sections))


def low(rank: int, **fields: Any) -> dict[str, Any]:
    return {"kind": "low_rank", "rank": rank} | fields


@pytest.mark.parametrize(
    ("route", "code", "place", "message"),
    [
        (
            {"through": "c2", "matrix": low(9)},
            "FAC301",
            "matrix.rank",
            "rank 9 exceeds the 8 channels of the error at `c2`",
        ),
        (
            {"to": "c1", "matrix": low(11)},
            "FAC301",
            "matrix.rank",
            "rank 11 exceeds the 10 directions of the error at `logits`",
        ),
        (
            {"to": "c1", "from": "fc1", "matrix": {"kind": "identity"}},
            "FAC308",
            "matrix.kind",
            "the feedback of `c1`: an identity reads 12 numbers but has to write 512",
        ),
        (
            {"to": "fc1", "from": "c2", "matrix": RANDOM},
            "FAC305",
            "from",
            "errors run in a circle: `c2` -> `a3` -> `fc1` -> `mean` -> `a2` -> `c2`",
        ),
        (
            {"through": "a2", "matrix": RANDOM},
            "FAC304",
            "through",
            "`a2` has no weights, so no feedback can go through it",
        ),
        (
            {"to": "c2", "at": "fc1", "matrix": RANDOM},
            "FAC313",
            "at",
            "the error enters at the output of `fc1`, above `fc1`, and crosses its weights on the way down to `c2`",
        ),
    ],
)
def test_what_cannot_be_connected_is_said_at_its_place(
    route: dict[str, Any], code: str, place: str, message: str
) -> None:
    (finding,) = found(routes(route))
    assert (finding.rule.code, dotted(finding.path)) == (code, f"feedback.routes[0].{place}")
    assert finding.message == message


def test_the_numbers_that_a_kernel_reads_bound_a_rank_as_well() -> None:
    (finding,) = found(
        routes({"through": "c2", "matrix": low(20)}), (conv("c1", 2), *NET[1:2], conv("c2", 32), *NET[3:])
    )
    assert finding.message == "rank 20 exceeds the 18 numbers that the kernel of `c2` reads at a place"


def test_an_error_from_a_map_may_go_to_a_vector_below() -> None:
    """All of its numbers are read at once."""
    layers = (
        linear("fc0", 12),
        {"kind": "reshape", "shape": (3, 2, 2)},
        conv("c2", kernel=2),
        {"kind": "flatten"},
        linear("logits", 4),
    )
    feedback = routes({"to": "fc0", "from": "c2"})
    assert [f.rule.code for f in diagnosed(layers, feedback=feedback)] == []
    (route,) = lower(_spec(layers, feedback, {"shape": (6,)})).routes
    assert route.ends is not None
    assert (route.ends.reads, route.ends.writes, route.ends.places) == (8, 12, 1)


def _spec(layers: Layers, feedback: Any, input: Any = MAPS) -> ModelSpec:
    base = {"fac": 1, "name": "maps", "loss": {"kind": "cross_entropy"}, "update": SGD}
    return ModelSpec.model_validate(base | {"input": input, "layers": layers, "feedback": feedback})


def test_past_a_kernel_a_rank_counts_at_every_place() -> None:
    """4 directions at each of 36 places are more than the error of 10 classes has; those of a vector are not."""
    assert [f.rule.code for f in found(routes({"through": "c2", "matrix": low(4)}))] == []
    assert [f.rule.code for f in found(routes({"through": "logits", "matrix": low(4)}))] == ["FAC316"]


@pytest.mark.parametrize(("kernel", "groups"), [(3, 1), (3, 4), (3, 8), (1, 4)])
def test_the_largest_rank_past_groups_is_that_of_all_of_them_side_by_side(kernel: int, groups: int) -> None:
    """Of the matrix that takes the channels of an error to the numbers under the kernel, at one place."""
    layers = (conv("c1"), *NET[1:2], conv("c2", 16, kernel=kernel, groups=groups), *NET[3:])
    (ends,) = (route.ends for route in lower(_spec(layers, routes({"through": "c2"}))).routes)
    assert ends is not None
    blocks = np.random.default_rng(0).normal(size=(groups, 16 // groups, 8 // groups * kernel**2))
    whole = np.zeros((16, 8 * kernel**2))
    for block, (rows, columns) in zip(blocks, _side_by_side(whole, groups), strict=True):
        whole[rows, columns] = block
    assert ends.most == np.linalg.matrix_rank(whole)


def _side_by_side(whole: np.ndarray[Any, Any], groups: int) -> list[tuple[slice, slice]]:
    rows, columns = (size // groups for size in whole.shape)
    return [(slice(g * rows, (g + 1) * rows), slice(g * columns, (g + 1) * columns)) for g in range(groups)]


@pytest.mark.parametrize("matrix", [low(11, read={"rule": "fixed"}, write={"rule": "fixed"}), RANDOM])
def test_the_cost_of_a_route_past_a_kernel_is_that_of_the_step(matrix: dict[str, Any]) -> None:
    """FAC504 says both numbers where a pair costs more than what it replaces."""
    layers = (conv("c1", 16), *NET[1:2], conv("c2", 12, kernel=1), *NET[3:])
    feedback = routes({"through": "c2", "matrix": matrix})
    (layer,) = (each for each in cost(lower(_spec(layers, feedback)), 1).step.layers if each.name == "c2")
    macs = layer.phases[Phase.ERROR].macs
    said = [f.message for f in found(feedback, layers) if f.rule.code == "FAC504"]
    # 64 places, 12 channels of errors, 16 that the kernel reads.
    if matrix is RANDOM:
        assert (macs, said) == (64 * 12 * 16, [])
    else:
        assert macs == 64 * 11 * (12 + 16)
        (message,) = said
        assert re.findall(r"\d+", message)[1:] == [str(macs), str(64 * 12 * 16)]


def test_the_largest_singular_value_of_a_kernel_is_that_of_its_matrix() -> None:
    feedback = {"rule": "ldfa", "rank": 4, "learn": "normative", "nodes": "c2"}
    program = lower(_spec((conv("c1", 24), *NET[1:2], conv("c2", 40), *NET[3:]), feedback))
    expected = _top_singular_value(program.routes[0])
    weight = draw(program.arrays, 0)["c2.weight"]
    assert weight.shape == (40, 24, 3, 3)
    assert np.linalg.svd(weight.reshape(40, -1), compute_uv=False)[0] == pytest.approx(expected, rel=0.05)


def test_why_nobody_needs_an_error() -> None:
    """Another route brings one further down; that is no layer that does not learn."""
    layers = (conv("c1"), {"kind": "batch_norm", "name": "n1"}, *NET[1:])
    twice = routes({"to": "n1"}, {"to": "c1", "at": "n1"})
    (finding,) = (f for f in found(twice, layers) if f.rule.code == "FAC303")
    assert finding.message == (
        "nobody needs the error that this route brings to the output of `a1`: "
        "`to` routes bring other errors to the layers there and below"
    )


@pytest.mark.parametrize(("key", "value"), [("from", "inner"), ("at", "inner")])
def test_a_name_inside_of_a_block_is_explained(key: str, value: str) -> None:
    block = {"kind": "sequence", "name": "deep", "body": (conv("inner"), {"kind": "relu", "name": "act"})}
    layers = (conv("c1"), *NET[1:2], block, *NET[4:])
    (finding,) = found(routes({"to": "c1", key: value}), layers)
    assert (finding.rule.code, dotted(finding.path)) == ("FAC201", f"feedback.routes[0].{key}")
    assert finding.message == "`inner` stands inside of a block, and is not known by this name outside"
    assert finding.help == "write `deep.inner`"


def test_a_layer_that_its_norm_does_not_read_alone_has_two_sides() -> None:
    """The norm then gets no error of the route, and the layer none of its derivative."""
    layers = (
        conv("c1"),
        {"kind": "batch_norm", "name": "n1"},
        {"kind": "add", "name": "join", "from": ("n1", "c1")},
        *NET[1:],
    )
    (finding,) = (f for f in found(routes({"to": "c1"}), layers) if f.rule.code != "FAC503")
    assert (finding.rule.code, dotted(finding.path)) == ("FAC324", "feedback.routes[0].to")
    assert finding.help == "write `at: n1`, or `at: c1` if that is meant"


def test_routes_to_a_layer_and_to_its_norm_meet() -> None:
    layers = (conv("c1"), {"kind": "batch_norm", "name": "n1"}, *NET[1:])
    (finding,) = found(routes({"to": "c1"}, {"to": "n1"}), layers)
    assert (finding.rule.code, dotted(finding.path)) == ("FAC309", "feedback.routes[1].to")
    assert finding.message == "2 `to` routes meet at the output of `a1`, and their errors add"
