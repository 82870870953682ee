"""Feedback past kernels: how it is laid out, drawn and set anew, what it leaves out, and what it costs."""

from __future__ import annotations

import builtins
import sys
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import fac
from fac.backend import Array
from fac.build.initial import draw
from fac.pipeline import compiled, lowered
from fac.render.lineage import Lineage
from fac.render.show import updates
from fac.step.cost import count
from fac.step.ir import Phase
from fac.testing.layers import LAYERS, SHAPES
from fac.testing.nets import Data, batch, conv2d, linear, spec

torch.set_num_threads(1)
compile_source = builtins.compile

NETS = ("linear", "conv2d", "conv2d groups", "conv1d", "conv_transpose2d")
UP: tuple[Data, ...] = (
    conv2d("c1", 4, 3),
    {"kind": "tanh"},
    conv2d("t1", 3, (2, 3), stride=2) | {"kind": "conv_transpose2d"},
    {"kind": "flatten"},
    linear("out", 3),
)
SHAPE = (2, 6, 5)
KP: Data = {"kind": "random", "learn": {"rule": "kolen_pollack"}}


def routed(node: str, **matrix: Any) -> Data:
    return spec(UP, {"routes": [{"through": node, "matrix": matrix}]}, shape=SHAPE)


def as_matrix(weight: Array, channels: int) -> Array:
    """[reads, writes], by its definition: row a holds what makes channel a of the result."""
    return np.stack([np.take(weight, a, channels).ravel() for a in range(weight.shape[channels])])


@pytest.mark.parametrize(("node", "channels"), [("c1", 0), ("t1", 1)])
def test_factors_of_the_svd_are_those_of_the_kernel_as_a_matrix(node: str, channels: int) -> None:
    """P reads channels; Q writes the window of all channels that are read. The best approximation of that rank."""
    below = (conv2d("below", 2, 1), *UP)
    data = spec(
        below,
        {"routes": [{"through": node, "matrix": {"kind": "low_rank", "rank": 2, "init": "svd"}}]},
        shape=SHAPE,
    )
    state = fac.compile(data, backend="reference", precision="float64").open().state()
    w = as_matrix(state[f"{node}.weight"], channels)
    p, q = state[f"{node}.feedback.P"], state[f"{node}.feedback.Q"]
    assert (p.shape, q.shape) == ((2, w.shape[0]), (w.shape[1], 2))
    u, s, vt = np.linalg.svd(w.T, full_matrices=False)
    np.testing.assert_allclose(q @ p, (u[:, :2] * s[:2]) @ vt[:2], rtol=0, atol=1e-12)


def test_a_kernel_whose_second_axis_reads_is_set_anew_in_a_session_and_in_a_written_folder(
    tmp_path: Path,
) -> None:
    data = routed("t1", kind="low_rank", rank=2, init="svd", refresh=2, read={"rule": "fixed"})
    made = fac.compile(data, backend="torch", precision="float64")
    made.write(tmp_path)
    code = compile_source((tmp_path / "step.py").read_text(), "step.py", "exec")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        patch.delitem(sys.modules, "kernels", raising=False)
        module: dict[str, Any] = {}
        exec(code, module)
    session, x, y = made.open(device="cpu"), *batch(7, SHAPE)
    state = load_file(tmp_path / "state.safetensors")
    room = module["workspace"](state, len(x))
    for t in range(4):
        session.step(x, y, 0.05)
        module["step"](state, room, torch.from_numpy(x), torch.from_numpy(y), 0.05, t)
        module["between"](state, t)
    found = session.state()
    w = as_matrix(found["t1.weight"], 1)
    p, q = found["t1.feedback.P"], found["t1.feedback.Q"]
    u, s, vt = np.linalg.svd(w.T, full_matrices=False)
    np.testing.assert_allclose(q @ p, (u[:, :2] * s[:2]) @ vt[:2], rtol=0, atol=1e-12)
    for name, value in found.items():
        if name != "step":
            np.testing.assert_allclose(state[name].numpy(), value, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("layer", "channels", "groups"),
    [
        (conv2d("c", 6, 3), 0, 1),
        (conv2d("c", 6, 3, groups=2), 0, 2),
        (conv2d("c", 6, 3) | {"kind": "conv_transpose2d"}, 1, 1),
        (conv2d("c", 6, 3, groups=2) | {"kind": "conv_transpose2d"}, 1, 2),
    ],
    ids=["plain", "groups", "transposed", "transposed in groups"],
)
def test_each_number_under_the_window_reads_so_many_channels(layer: Data, channels: int, groups: int) -> None:
    """Of those that it is multiplied for: of its own group, where there are several."""
    layers = (conv2d("below", 4, 1), {"kind": "tanh"}, layer, {"kind": "flatten"}, linear("out", 3))
    mask = {"kind": "random", "init": {"kind": "normal", "std": 1.0}, "mask": {"per_unit": 2}}
    data = spec(layers, {"routes": [{"through": "c", "matrix": mask}]}, shape=SHAPE)
    (tensor,) = (t for route in lowered(data).routes for t in route.tensors)
    b = draw([tensor], 0)[tensor.name]
    assert b.shape == {0: (6, 4 // groups, 3, 3), 1: (4, 6 // groups, 3, 3)}[channels]
    parts = b.reshape(groups, b.shape[0] // groups, *b.shape[1:])
    kept = np.count_nonzero(parts, axis=channels + 1)
    np.testing.assert_array_equal(kept, 2)
    assert tensor.kept == pytest.approx(2 / (6 // groups))
    assert np.count_nonzero(b) == pytest.approx(tensor.kept * b.size)


@pytest.mark.parametrize("name", NETS)
def test_a_direct_route_leaves_no_product_that_sends_errors(name: str) -> None:
    """What it cuts is not built: no weight is read by an op that makes an error, and no weight's derivative in x is."""
    layers, shape = LAYERS[name], SHAPES.get(name, (5,))

    def reading(feedback: Data) -> set[str]:
        data = spec(layers, feedback, shape=shape)
        made, weights = compiled(lowered(data)).step, [node.weight for node in lowered(data).weighted]
        names = {weight.name for weight in weights if weight is not None}
        origin, found = {v: v.name for v in made.inputs}, set[str]()
        for op in made.ops:
            if op.kind in ("reshape", "transpose") and op.operands[0] in origin:
                origin[op.result] = origin[op.operands[0]]
            elif op.origin.phase is Phase.ERROR:
                found |= {origin[v] for v in op.operands if v in origin} & names
        return found

    order = [node.name for node in lowered(spec(layers, shape=shape)).weighted]
    assert reading({"rule": "bp"}) == {f"{node}.weight" for node in order[1:]}
    assert reading({"rule": "fa"}) == reading({"rule": "dfa"}) == reading({"rule": "shallow"}) == set()


def test_a_step_costs_what_its_convolutions_do() -> None:
    """Forward, error and gradient: places x channels x numbers under the window each; none for what nobody needs."""
    data = spec(UP, shape=SHAPE)
    made, n = compiled(lowered(data)).step, 5
    found = {(o.node, o.phase): tally.macs for o, tally in count(made, n).items() if tally.macs}
    (m, h, w), (up, high, wide) = (4, 4, 3), (3, 8, 7)
    c1 = n * m * h * w * 2 * 3 * 3
    # Each number that the transposed one reads is multiplied with a window of every channel that it makes.
    t1 = n * m * h * w * up * 2 * 3
    out = n * 3 * prod((up, high, wide))
    expected = {("c1", Phase.FORWARD): c1, ("c1", Phase.GRADIENT): c1}
    expected |= {("t1", phase): t1 for phase in (Phase.FORWARD, Phase.ERROR, Phase.GRADIENT)}
    expected |= {("out", phase): out for phase in (Phase.FORWARD, Phase.ERROR, Phase.GRADIENT)}
    assert found == expected


def test_a_kernel_that_learns_as_the_weight_does_costs_nothing_more() -> None:
    """Its gradient is the weight's own: rows of channels, and back, are the error as it was."""
    data = spec(UP, {"routes": [{"through": "t1", "matrix": KP}]}, shape=SHAPE)
    made = compiled(lowered(data)).step
    found = {o.phase: tally.macs for o, tally in count(made, 5).items() if o.node == "t1" and tally.macs}
    assert found.keys() == {Phase.FORWARD, Phase.ERROR, Phase.GRADIENT}


def test_rows_of_channels_are_no_hop_of_an_error() -> None:
    data = spec(UP, {"routes": [{"through": "t1", "matrix": KP}]}, shape=SHAPE)
    lines = [" ".join(line.split()) for line in updates(Lineage(lowered(data))).splitlines()]
    assert (
        "c1.weight <- sgd <- c1.error x input <- tanh' <- B (t1.feedback, kolen_pollack) <- t1.error" in lines
    )


@pytest.mark.parametrize("name", NETS)
def test_a_weight_is_multiplied_as_often_as_its_node_says(name: str) -> None:
    """Times its size that is what the product costs: what the checks say of costs before a step is built."""
    program = lowered(spec(LAYERS[name], shape=SHAPES.get(name, (5,))))
    found = {o.node: tally.macs for o, tally in count(compiled(program).forward, 1).items() if tally.macs}
    assert found == {node.name: node.places * node.weight.size for node in program.weighted if node.weight}


@pytest.mark.parametrize(
    "layer",
    [
        conv2d("c", 6, 3, stride=2),
        conv2d("c", 6, (3, 2), groups=2, dilation=2),
        conv2d("c", 6, 4, stride=2) | {"kind": "conv_transpose2d"},
        conv2d("c", 6, (2, 4), stride=(1, 2), groups=2) | {"kind": "conv_transpose2d"},
        conv2d("c", 6, 3, stride=2) | {"kind": "conv_transpose2d"},
        conv2d("c", 6, 2, stride=3, groups=2) | {"kind": "conv_transpose2d"},
    ],
    ids=["plain", "groups", "transposed", "transposed in groups", "uneven", "with gaps"],
)
def test_fan_in_is_how_many_products_a_result_is_a_sum_of(layer: Data) -> None:
    """Of ones, on average over six rows and columns, which are whole strides; at the edges there are fewer."""
    layers = (layer | {"bias": False},)
    data = spec(layers, shape=(4, 9, 9), loss="mse")
    session = fac.compile(data, backend="reference", precision="float64").open()
    session.load_state(
        {n: np.ones_like(array) if n != "step" else array for n, array in session.state().items()}
    )
    (node,) = lowered(data).weighted
    assert node.weight is not None
    made = session.forward(np.ones((1, 4, 9, 9)))[..., -9:-3, -9:-3]
    assert made.mean() == pytest.approx(node.weight.fan_in, rel=1e-14)


@pytest.mark.parametrize("kind", ["conv2d", "conv_transpose2d"])
def test_an_identity_past_a_kernel_of_one_number_is_a_kernel_of_ones_on_the_diagonal(kind: str) -> None:
    """Channel by channel at each place: laid out otherwise, the errors would have the same shape."""
    layers = (
        conv2d("c1", 4, 2),
        {"kind": "tanh"},
        conv2d("c2", 4, 1) | {"kind": kind},
        {"kind": "flatten"},
        linear("out", 3),
    )

    def moved(**matrix: Any) -> Array:
        data = spec(layers, {"routes": [{"through": "c2", "matrix": matrix}]}, shape=SHAPE)
        session = fac.compile(data, backend="reference", precision="float64").open()
        before = session.state()
        ones = {"c2.feedback.B": np.eye(4).reshape(4, 4, 1, 1)} if matrix["kind"] == "random" else {}
        session.load_state(before | ones)
        session.step(*batch(7, SHAPE))
        difference: Array = session.state()["c1.weight"] - before["c1.weight"]
        return difference

    np.testing.assert_allclose(moved(kind="identity"), moved(kind="random"), rtol=0, atol=1e-13)
    assert np.abs(moved(kind="identity")).max() > 1e-3
