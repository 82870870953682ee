"""Direct feedback in residual nets and into maps: each block learns from one projection of the output error, alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from fac.build.trace import Trace
from fac.build.transport import transport
from fac.pipeline import load, lowered
from fac.program.tensors import Role
from fac.step.ir import Phase
from fac.testing.evaluated import evaluated
from fac.testing.nets import batch, conv2d, linear
from fac.testing.nets import spec as written
from tests.rules.nets import Array, Spec, State, gradients, moved, opened, perturbed

Layers = tuple[Spec, ...]
SHAPES: dict[str, tuple[int, ...]] = {"dense": (5,), "norms first": (5,), "maps": (2, 6, 5)}


def act(name: str) -> Spec:
    return {"kind": "tanh", "name": name}


def norm(name: str, kind: str = "batch_norm") -> Spec:
    return {"kind": kind, "name": name}


NETS: dict[str, Layers] = {
    "dense": (
        linear("stem", 6),
        act("a"),
        {
            "kind": "residual",
            "name": "r1",
            "body": (linear("c1", 4), act("a"), linear("c2", 6)),
        },
        act("b"),
        {
            "kind": "residual",
            "name": "r2",
            "body": (linear("c1", 4), act("a"), linear("c2", 3)),
            "shortcut": (linear("short", 3),),
        },
        act("c"),
        linear("head", 3),
    ),
    "norms first": (
        norm("n0"),
        linear("stem", 6),
        {
            "kind": "residual",
            "name": "r1",
            "body": (norm("n", "layer_norm"), linear("c1", 4), act("a"), linear("c2", 6)),
        },
        norm("n1", "layer_norm"),
        linear("head", 3),
    ),
    "maps": (
        conv2d("stem", 3, 3, padding=1, bias=False),
        norm("n"),
        act("a"),
        {"kind": "max_pool2d", "name": "pool", "kernel": 2},
        {
            "kind": "residual",
            "name": "r1",
            "body": (
                conv2d("c1", 2, 3, padding=1, bias=False),
                norm("n1"),
                act("a"),
                conv2d("c2", 3, 3, padding=1, bias=False),
                norm("n2"),
            ),
        },
        act("b"),
        {
            "kind": "residual",
            "name": "r2",
            "body": (
                conv2d("c1", 4, 3, stride=2, padding=1),
                act("a"),
                conv2d("c2", 4, (3, 1), padding=(1, 0)),
            ),
            "shortcut": (conv2d("short", 4, 1, stride=2, bias=False), norm("n")),
        },
        act("c"),
        {"kind": "global_avg_pool", "name": "mean"},
        linear("head", 3),
    ),
}
BLOCKS: dict[str, dict[str, tuple[str, set[str]]]] = {
    "dense": {
        "stem": ("a", {"stem"}),
        "r1.c1": ("r1.a", {"r1.c1"}),
        "r1.c2": ("r1.c2", {"r1.c2"}),
        "r2.c1": ("r2.a", {"r2.c1"}),
        "r2.c2": ("r2.c2", {"r2.c2"}),
        "r2.short": ("r2.short", {"r2.short"}),
    },
    "norms first": {
        "n0": ("n0", {"n0"}),
        "stem": ("stem", {"stem"}),
        "r1.n": ("r1.n", {"r1.n"}),
        "r1.c1": ("r1.a", {"r1.c1"}),
        "r1.c2": ("r1.c2", {"r1.c2"}),
        "n1": ("n1", {"n1"}),
    },
    "maps": {
        "stem": ("pool", {"stem", "n"}),
        "r1.c1": ("r1.a", {"r1.c1", "r1.n1"}),
        "r1.c2": ("r1.n2", {"r1.c2", "r1.n2"}),
        "r2.c1": ("r2.a", {"r2.c1"}),
        "r2.c2": ("r2.c2", {"r2.c2"}),
        "r2.short": ("r2.n", {"r2.short", "r2.n"}),
    },
}
"""For each route that `dfa` writes where its error enters, and which layers learn from it."""
DIRECT: dict[str, Spec] = {
    "dfa": {"rule": "dfa"},
    "direct_ldfa": {"rule": "direct_ldfa", "rank": 2, "learn": "fixed"},
}

EVERY = pytest.mark.parametrize("net", NETS)
RULES = pytest.mark.parametrize("rule", DIRECT)


def spec(net: str, feedback: Spec) -> Spec:
    return written(NETS[net], feedback, {"rule": "sgd", "lr": 1.0}, SHAPES[net], train={"seed": 3})


@EVERY
@RULES
def test_each_block_has_one_route_to_its_site(net: str, rule: str) -> None:
    routes = lowered(load(spec(net, DIRECT[rule]))).routes
    assert {route.node: route.site for route in routes} == {n: site for n, (site, _) in BLOCKS[net].items()}
    assert len(routes) == len(BLOCKS[net])


@EVERY
@RULES
def test_no_weight_carries_an_error_down(net: str, rule: str) -> None:
    """Neither transposed nor as a kernel: what is left of the backward pass multiplies with feedback alone."""
    program = lowered(load(spec(net, DIRECT[rule])))
    assert transport(program).layers(program) == []
    step = opened(spec(net, DIRECT[rule])).compiled.step
    names = {node.weight.name for node in program.weighted if node.weight}
    weights = {value for value in step.inputs if value.name in names}
    assert len(weights) == len(names)
    # Views of a weight are weights.
    for op in step.ops:
        if op.kind in ("reshape", "transpose") and op.operands[0] in weights:
            weights.add(op.result)
    down = [
        op.kind for op in step.ops if op.origin.phase is Phase.ERROR and weights.intersection(op.operands)
    ]
    assert down == []
    assert not any(op.kind == "conv2d_input" for op in step.ops)
    exact = opened(spec(net, {"rule": "bp"})).compiled.step
    assert any(op.kind in ("conv2d_input", "matmul") and op.origin.phase is Phase.ERROR for op in exact.ops)


@EVERY
@RULES
def test_a_matrix_moves_its_block_and_no_other(net: str, rule: str) -> None:
    """A site lies before the join, so that a projection neither goes round its block nor adds to another one."""
    x, y = batch(5, SHAPES[net])
    session = opened(spec(net, DIRECT[rule]))
    before = gradients(session, x, y)
    for node, (_, block) in BLOCKS[net].items():
        for part in ("B",) if rule == "dfa" else ("P", "Q"):
            session = opened(spec(net, DIRECT[rule]))
            after = gradients(perturbed(session, f"{node}.feedback.{part}"), x, y)
            assert {name.rpartition(".")[0] for name in moved(before, after)} == block


@EVERY
def test_the_error_at_each_site_is_b_e(net: str) -> None:
    """Gradients are those of <H, e B^T> in the parameters of the block, H what its site makes: central differences."""
    x, y = batch(4, SHAPES[net])
    session = opened(spec(net, DIRECT["dfa"]))
    state, found = session.state(), gradients(session, x, y)
    program = lowered(load(spec(net, DIRECT["dfa"])))

    def made(name: str, at: Mapping[str, Array]) -> Array:
        trace = Trace(program, training=True)
        return evaluated(trace.b, trace.values[name], x, at).reshape(len(x), -1)

    z = made("head", state)
    e = (np.exp(z) / np.exp(z).sum(1, keepdims=True) - np.eye(z.shape[1])[y]) / len(x)
    rng = np.random.default_rng(0)
    for node, (site, block) in BLOCKS[net].items():
        error = e @ state[f"{node}.feedback.B"].T

        parameters = [t.name for n in program.nodes if n.name in block for t in n.tensors if t.trainable]
        assert parameters
        way: State = {name: rng.standard_normal(state[name].shape) for name in parameters}
        eps = 1e-5
        ahead, behind = (
            np.vdot(made(site, state | {n: state[n] + s * eps * way[n] for n in way}), error) for s in (1, -1)
        )
        slope = sum(float(np.vdot(found[name], way[name])) for name in way)
        assert slope == pytest.approx((ahead - behind) / (2 * eps), rel=1e-7)


@EVERY
@RULES
def test_the_scale_of_a_projection_knows_the_size_of_the_map(net: str, rule: str) -> None:
    """Into C x H x W numbers from V: entries of variance 1 / (C H W V), so that |B e|^2 is |e|^2 / V on average."""
    program = lowered(load(spec(net, DIRECT[rule])))
    session = opened(spec(net, DIRECT[rule]))
    state = session.state()
    for route in program.routes:
        size = int(np.prod(program.by_name[str(route.site)].shape or ()))
        if rule == "dfa":
            b = state[f"{route.node}.feedback.B"]
            assert b.shape == (size, 3)
        else:
            b = state[f"{route.node}.feedback.Q"]
            assert b.shape == (size, 2)
        law: Any = route.tensors[-1].init
        if rule == "dfa":
            assert law == "launay"
            assert np.square(b).mean() == pytest.approx(1 / (size * 3), rel=6 / np.sqrt(b.size))
        else:
            assert law.std == pytest.approx((size * 2) ** -0.5)


TURN: Spec = {"kind": "permute", "name": "turn", "axes": (1, 2, 0)}
SWAP: Spec = {"kind": "permute", "axes": (1, 0)}
MEAN: Spec = {"kind": "global_avg_pool", "name": "mean"}
C0 = conv2d("c0", 4, 3, padding=1, bias=False)
LINEAR: dict[str, tuple[tuple[int, ...], Layers, Layers, int]] = {
    "a kernel that takes rows for channels": (
        (1, 5, 7),
        (C0,),
        (TURN, conv2d("c1", 6, 3, padding=1, bias=False), MEAN, linear("head", 3, bias=False)),
        5 * 7 * 4,
    ),
    "another kernel above it": (
        (1, 5, 7),
        (C0,),
        (
            TURN,
            conv2d("c1", 6, 3, padding=1, bias=False),
            conv2d("c2", 2, 3, padding=1, bias=False),
            *(MEAN, linear("head", 3, bias=False)),
        ),
        5 * 7 * 4,
    ),
    "a block that mixes tokens": (
        (5, 3),
        (linear("c0", 4, bias=False),),
        (
            {"kind": "residual", "name": "r", "body": (SWAP, linear("mix", 5, bias=False), SWAP)},
            {"kind": "mean", "name": "mean", "axes": (0,)},
            linear("head", 3, bias=False),
        ),
        5 * 4,
    ),
}
"""Linear nets in which a weight above `c0` multiplies along places: the input, c0, what follows, and the rows of B."""


@pytest.mark.parametrize("case", LINEAR)
def test_below_a_weight_that_mixes_places_each_has_rows_of_its_own(case: str) -> None:
    """So that B = the product of the weights above, which differs from place to place, is backpropagation."""
    shape, low, high, rows = LINEAR[case]
    data = [
        written((*low, *high), feedback, {"rule": "sgd", "lr": 1.0}, shape, train={"seed": 3})
        for feedback in ({"rule": "bp"}, {"routes": ({"to": "c0", "matrix": {"kind": "random"}},)})
    ]
    exact, direct = map(opened, data)
    state = exact.state()
    at = lowered(load(data[0])).by_name["c0"].shape
    assert at is not None
    above = opened(written(high, {"rule": "bp"}, {"rule": "sgd", "lr": 1.0}, at, train={"seed": 0}))
    above.load_state({name: state.get(name, array) for name, array in above.state().items()})
    ones = np.eye(int(np.prod(at)))
    product = above.forward(ones.reshape(-1, *at)).reshape(*at, 3)
    # The site lies behind a permute.
    b = product.transpose(*high[0].get("axes", range(len(at))), len(at)).reshape(-1, 3)
    assert direct.state()["c0.feedback.B"].shape == b.shape == (rows, 3)
    direct.load_state(direct.state() | state | {"c0.feedback.B": b})
    x, y = batch(5, shape)
    found, expected = gradients(direct, x, y), gradients(exact, x, y)
    assert np.abs(expected["c0.weight"]).max() > 1e-3
    np.testing.assert_allclose(found["c0.weight"], expected["c0.weight"], rtol=0, atol=1e-14)


def test_every_map_below_a_kernel_that_takes_rows_for_channels_has_rows_of_its_own() -> None:
    relu: Spec = {"kind": "relu"}
    layers = (
        conv2d("c0", 8, 3, padding=1),
        TURN,
        *(conv2d("c1", 8, 3, padding=1, bias=False), relu, conv2d("c2", 8, 3, padding=1, bias=False), relu),
        *(MEAN, linear("head", 3)),
    )
    data = written(layers, {"rule": "dfa"}, {"rule": "sgd", "lr": 1.0}, (1, 14, 10))
    found = {route.node: route.tensors[0].shape for route in lowered(load(data)).routes}
    assert found == {"c0": (14 * 10 * 8, 3), "c1": (8 * 10 * 8, 3), "c2": (8, 3)}


@EVERY
def test_shallow_computes_no_error_below_the_head(net: str) -> None:
    """What it freezes moves nothing but the averages of norms, which go on to follow the batches."""
    data = spec(net, {"rule": "shallow"})
    session = opened(data)
    before = session.state()
    session.step(*batch(5, SHAPES[net]))
    follow = {t.name for t in lowered(load(data)).arrays if t.role is Role.STATISTIC}
    assert bool(follow) == (net != "dense")
    assert moved(before, session.state()) == {"head.weight", "head.bias"} | follow
    phases = {op.kind for op in session.compiled.step.ops if op.origin.phase is Phase.ERROR}
    assert phases.isdisjoint({"matmul", "conv2d_input", "conv2d"})


@EVERY
@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_every_backend_brings_the_same(net: str, backend: str) -> None:
    x, y = batch(5, SHAPES[net])
    for feedback in DIRECT.values():
        found, expected = (gradients(opened(spec(net, feedback), of), x, y) for of in (backend, "reference"))
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-10, atol=1e-12, err_msg=name)
