"""Routes as built: short forms against long ones, what is not computed, names of state, joins and sites."""

from __future__ import annotations

from typing import Any

import pytest

from fac.build.functions import Functions, build_probe, functions
from fac.passes import optimise
from fac.pipeline import lowered
from fac.step.cost import count
from fac.step.ir import Function, Phase
from fac.step.ops import OPS
from fac.step.text import to_text
from fac.testing.nets import RELU, Data, linear, mlp, spec

NET = mlp(6, 4, 3)
OJA: Data = {"rule": "oja", "rate": 0.5}


def built(layers: tuple[Data, ...], feedback: Any = None, **fields: Any) -> Functions:
    return functions(lowered(spec(layers, feedback, **fields)))


def text(layers: tuple[Data, ...], feedback: Any) -> str:
    made, probe = built(layers, feedback), optimise(build_probe(lowered(spec(layers, feedback))))
    return "".join(map(to_text, (made.forward, made.evaluate, made.step, probe))) + repr(made.tensors)


def through(*nodes: str, **matrix: Any) -> Data:
    return {"routes": tuple({"through": node, "matrix": matrix} for node in nodes)}


def to(*nodes: str, **matrix: Any) -> Data:
    return {"routes": tuple({"to": node, "matrix": matrix} for node in nodes)}


def low_rank(rank: int, read: str, write: str) -> Data:
    return {"kind": "low_rank", "rank": rank, "read": {"rule": read}, "write": {"rule": write}}


LONG: list[tuple[Data, Data]] = [
    ({"rule": "bp"}, {"routes": ()}),
    ({"rule": "bp"}, through("fc2", "out", kind="transpose")),
    ({"rule": "fa"}, through("fc2", "out", kind="random")),
    (
        {"rule": "fa", "scale": 0.5, "learn": {"rule": "kolen_pollack"}},
        through("fc2", "out", kind="random", scale=0.5, learn={"rule": "kolen_pollack"}),
    ),
    ({"rule": "dfa"}, to("fc1", "fc2", kind="random")),
    (
        {"rule": "ldfa", "rank": 2, "rate": 0.5},
        through("fc2", "out", kind="low_rank", rank=2, read=OJA, write={"rule": "kolen_pollack"}),
    ),
    (
        {"rule": "ldfa", "rank": 2, "learn": "fixed"},
        through("fc2", "out", **low_rank(2, "fixed", "fixed")),
    ),
    (
        {"rule": "ldfa", "rank": 2, "learn": "local"},
        through("fc2", "out", **low_rank(2, "local", "kolen_pollack"), init="svd"),
    ),
    (
        {"rule": "ldfa", "rank": 2, "learn": "normative", "refresh": 3},
        through("fc2", "out", **low_rank(2, "normative", "normative"), init="svd", refresh=3),
    ),
    ({"rule": "direct_ldfa", "rank": 2}, to("fc1", "fc2", **low_rank(2, "oja", "kolen_pollack"))),
    ({"rule": "fa", "nodes": "fc2"}, through("fc2", kind="random")),
    ({"rule": "ldfa", "rank": 3, "learn": "fixed"}, through("fc2", "out", **low_rank(3, "fixed", "fixed"))),
]


@pytest.mark.parametrize(("short", "long"), LONG, ids=str)
def test_short_form_and_long_form_are_one_program(short: Data, long: Data) -> None:
    assert text(NET, short) == text(NET, long)


def test_different_rules_are_different_programs() -> None:
    """Else the test above could not fail."""
    texts = [text(NET, short) for short, _ in LONG if short != {"rule": "bp"}]
    assert len(set(texts)) == len(texts)


def test_shallow_is_backprop_with_the_rest_frozen() -> None:
    frozen = (linear("fc1", 6, trainable=False), RELU, linear("fc2", 4, trainable=False), RELU, NET[-1])
    assert text(NET, {"rule": "shallow"}) == text(frozen, {"rule": "bp"})
    assert {name for name, _ in built(NET, {"rule": "shallow"}).step.outputs} == {
        "loss",
        "out.weight",
        "out.bias",
    }


def test_rank_is_clipped_to_the_ends() -> None:
    shapes = {t.name: t.shape for t in built(NET, {"rule": "ldfa", "rank": 99}).tensors}
    assert shapes["out.feedback.P"] == (3, 3)
    assert shapes["fc2.feedback.P"] == (4, 4)
    assert shapes["fc2.feedback.Q"] == (6, 4)


# -- what is not computed -----------------------------------------------------------------------------------------


def backward_readers(step: Function, name: str) -> list[str]:
    """Ops of the backward pass that read a state tensor, its own update apart."""
    return [
        op.result.name
        for op in step.ops
        if op.origin.phase not in (Phase.FORWARD, Phase.UPDATE) and any(v.name == name for v in op.operands)
    ]


def error_macs(step: Function, n: int) -> int:
    return sum(tally.macs for origin, tally in count(step, n).items() if origin.phase is Phase.ERROR)


@pytest.mark.parametrize("rule", [{"rule": "dfa"}, {"rule": "direct_ldfa", "rank": 2}], ids=str)
def test_direct_route_reads_no_forward_weight(rule: Data) -> None:
    step = built(NET, rule).step
    assert [backward_readers(step, f"{node}.weight") for node in ("fc1", "fc2", "out")] == [[], [], []]
    exact = built(NET).step
    assert [len(backward_readers(exact, f"{node}.weight")) for node in ("fc1", "fc2", "out")] == [0, 1, 1]


def test_direct_route_multiply_adds() -> None:
    """Per sample, an input gradient costs in * out; a direct route units * outputs, a low-rank one thin products."""
    n = 5
    assert error_macs(built(NET).step, n) == n * (4 * 6 + 3 * 4)
    assert error_macs(built(NET, {"rule": "dfa"}).step, n) == n * 3 * (6 + 4)
    fixed = built(NET, {"rule": "direct_ldfa", "rank": 2, "learn": "fixed"}).step
    assert error_macs(fixed, n) == n * 2 * ((3 + 6) + (3 + 4))
    assert error_macs(built(NET, {"rule": "shallow"}).step, n) == 0


def test_through_route_replaces_the_product() -> None:
    step = built(NET, {"rule": "ldfa", "rank": 2, "learn": "fixed"}).step
    assert not any(backward_readers(step, f"{node}.weight") for node in ("fc1", "fc2", "out"))
    assert error_macs(step, 5) == 5 * 2 * ((3 + 4) + (4 + 6))


def test_through_route_without_a_bias() -> None:
    """The contraction is then the last op of the layer, the one that takes the layer's name."""
    bare = mlp(6, 4, 3, bias=False)
    step = built(bare, {"rule": "fa"}).step
    assert not any(backward_readers(step, f"{node}.weight") for node in ("fc2", "out"))
    assert [len(backward_readers(step, f"{node}.feedback.B")) for node in ("fc2", "out")] == [1, 1]


def test_unused_layers_below_a_cut_cost_nothing() -> None:
    """One direct route into fc1: the layer above still learns exactly, and passes nothing on."""
    step = built(NET, to("fc1", kind="random")).step
    assert backward_readers(step, "out.weight") != []
    assert backward_readers(step, "fc2.weight") == []


def test_all_multiply_adds_are_matrix_products() -> None:
    step = built(NET, {"rule": "ldfa", "rank": 2}).step
    total = sum(OPS[op.kind].macs(op, 5) for op in step.ops if OPS[op.kind].macs)  # type: ignore[misc]
    assert total == sum(tally.macs for tally in count(step, 5).values()) > 0


# -- joins, subspaces, sites --------------------------------------------------------------------------------------

SKIP = (
    linear("a", 4),
    {"kind": "relu", "name": "ra"},
    linear("b", 4),
    {"kind": "add", "name": "sum", "from": ("ra", "b")},
    {"kind": "relu", "name": "rs"},
    linear("out", 3),
)


def error_of(step: Function, value: str) -> list[str]:
    """The terms of which an error is the sum; itself if it is no sum."""
    made = {op.result.name: op for op in step.ops}
    op = made[f"{value}.error"]
    if op.kind == "add":
        return [v.name for v in op.operands]
    return [op.result.name]


def test_skip_adds_both_branches() -> None:
    step = built(SKIP).step
    assert len(error_of(step, "ra")) == 2
    assert backward_readers(step, "b.weight") != []


def test_direct_route_into_a_branch_does_not_leak_into_the_skip() -> None:
    """The site of b is b itself, before the join; a keeps its exact error over the skip."""
    program = lowered(spec(SKIP, to("b", kind="random")))
    assert program.routes[0].site == "b"
    step = functions(program).step
    assert backward_readers(step, "b.weight") != []
    assert backward_readers(step, "out.weight") != []


def test_direct_route_into_the_fork_cuts_both_branches() -> None:
    step = built(SKIP, to("a", "b", kind="random")).step
    assert backward_readers(step, "b.weight") == backward_readers(step, "out.weight") == []


def test_cut_at_a_layer_that_changes_nothing_leaves_the_value_below_alone() -> None:
    """Dropout of rate 0 hands its input on; a route that enters there must not cut the skip around it."""
    layers = (*SKIP[:2], {"kind": "dropout", "rate": 0.0, "name": "same"}, *SKIP[2:])
    route = {"to": "a", "at": "same", "matrix": {"kind": "random"}}
    step = built(layers, {"routes": (route,)}).step
    assert len(error_of(step, "ra")) == 2
    assert backward_readers(step, "b.weight") == []


def test_combine_add_keeps_the_exact_error() -> None:
    route = {"to": "fc1", "matrix": {"kind": "random"}, "combine": "add"}
    step = built(NET, {"routes": (route,)}).step
    assert backward_readers(step, "fc2.weight") != []
    assert len(error_of(step, "relu_1")) == 2


SUBSPACE: Data = {
    "subspaces": ({"name": "task", "of": "loss", "rank": 2, "basis": {"rule": "oja"}},),
    "routes": tuple({"to": node, "from": "task", "matrix": {"kind": "random"}} for node in ("fc1", "fc2")),
}


def test_subspace_is_read_once() -> None:
    """Two routes share one projection, and one P that learns."""
    step = built(NET, SUBSPACE).step
    reads = [op for op in step.ops if op.origin.phase is Phase.ERROR and _reads(op, "task.feedback.P")]
    assert len(reads) == 1
    assert "task.feedback.P" in dict(step.outputs)
    shapes = {t.name: t.shape for t in built(NET, SUBSPACE).tensors}
    assert shapes["task.feedback.P"] == (2, 3)
    assert shapes["fc1.feedback.B"] == (6, 2)


def _reads(op: Any, name: str) -> bool:
    return any(v.name == name for v in op.operands)


def test_two_routes_at_one_site_add() -> None:
    sources = ("loss", "fc2")
    routes = tuple({"to": "fc1", "from": s, "matrix": {"kind": "random"}} for s in sources)
    made = built(NET, {"routes": routes})
    assert len(error_of(made.step, "relu_1")) == 2
    shapes = {t.name: t.shape for t in made.tensors}
    assert shapes["fc1.feedback.B"] == (6, 3)
    assert shapes["fc1.feedback.2.B"] == (6, 4)


def test_at_names_another_place() -> None:
    route = {"to": "fc1", "at": "fc1", "matrix": {"kind": "random"}}
    step = built(NET, {"routes": (route,)}).step
    assert not any(op.kind == "relu_input" and op.origin.node == "relu_1" for op in step.ops)


def test_names_of_state() -> None:
    made = built(NET, {"rule": "ldfa", "rank": 2}, update={"rule": "adam", "lr": 0.1})
    names = [t.name for t in made.tensors]
    assert names[:6] == [f"{node}.{part}" for node in ("fc1", "fc2", "out") for part in ("weight", "bias")]
    assert names[6:10] == [f"{node}.feedback.{part}" for node in ("fc2", "out") for part in "PQ"]
    assert {"fc1.weight.mean", "fc1.weight.square", "out.feedback.Q.mean"} < set(names)
    assert "out.feedback.P.mean" not in names, (
        "Oja's rule gives the next P, so no optimiser keeps state for it"
    )


def test_identity_route() -> None:
    square = mlp(4, 4, 3)
    step = built(square, through("fc2", kind="identity")).step
    assert backward_readers(step, "fc2.weight") == []


def test_scale_multiplies_what_is_sent() -> None:
    step = built(NET, through("fc2", kind="random", scale=0.5)).step
    constants = {op.result: op["value"] for op in step.ops if op.kind == "constant"}
    assert any(
        constants.get(v) == 0.5 for op in step.ops if op.origin.phase is Phase.ERROR for v in op.operands
    )
