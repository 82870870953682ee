"""`linear` on leading axes: one product of all rows, whose weight is shared by samples and places."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import fac
from fac.build.costs import cost
from fac.build.functions import functions
from fac.pipeline import lowered
from fac.step.ir import Phase
from fac.testing.nets import linear, spec
from tests.rules.nets import Spec, gradients, opened

NET = (linear("fc1", 6), {"kind": "tanh"}, linear("fc2", 4))
SHAPES: list[tuple[int, ...]] = [(5,), (3, 5), (2, 3, 5), (2, 1, 3, 5)]


def net(shape: tuple[int, ...], feedback: Any = None) -> Spec:
    return spec(NET, feedback, {"rule": "sgd", "lr": 0.1}, shape, "mse", train={"seed": 0})


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "feedback", [None, {"rule": "fa"}, {"rule": "ldfa", "rank": 3, "learn": "kolen_pollack"}]
)
def test_each_place_is_a_sample_of_the_same_layer(shape: tuple[int, ...], feedback: Any) -> None:
    """A vector at each of k places, and k times as many samples: the same outputs, gradients and lessons for Q."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((6, *shape)), rng.standard_normal((6, *shape[:-1], 4))
    wide, rows = opened(net(shape, feedback)), opened(net((5,), feedback))
    assert {n: a.shape for n, a in wide.state().items()} == {n: a.shape for n, a in rows.state().items()}
    made = rows.forward(x.reshape(-1, 5))
    np.testing.assert_allclose(wide.forward(x).reshape(made.shape), made, rtol=0, atol=1e-14)
    expected = gradients(rows, x.reshape(-1, 5), y.reshape(-1, 4))
    for name, found in gradients(wide, x, y).items():
        np.testing.assert_allclose(found, expected[name], rtol=0, atol=1e-14, err_msg=name)


def test_a_layer_is_one_product_of_rows() -> None:
    """And one for each derivative, whatever the number of axes; on a vector there is no other op at all."""
    for shape in SHAPES:
        step = functions(lowered(net(shape))).step
        products = Counter(op.origin.node for op in step.ops if op.kind == "matmul")
        assert products == {"fc1": 2, "fc2": 3}
        assert any(op.kind == "reshape" for op in step.ops) is (len(shape) > 1)


@pytest.mark.parametrize("feedback", [{"rule": "fa"}, {"rule": "ldfa", "rank": 2}])
def test_products_are_counted_at_each_place(feedback: Any) -> None:
    for shape in SHAPES:
        places = int(np.prod(shape[:-1]))
        layers = {layer.name: layer for layer in cost(lowered(net(shape, feedback)), 1).step.layers}
        assert layers["fc1"].phases[Phase.FORWARD].macs == places * 5 * 6
        assert layers["fc2"].phases[Phase.ERROR].macs == places * (
            4 * 6 if feedback["rule"] == "fa" else 2 * (4 + 6)
        )
        (route,) = lowered(net(shape, feedback)).routes
        assert route.ends is not None
        assert (route.ends.reads, route.ends.writes, route.ends.places) == (4, 6, places)


def test_a_rank_is_held_against_the_channels_of_a_token() -> None:
    low = {"routes": ({"through": "fc2", "matrix": {"kind": "low_rank", "rank": 5}},)}
    (exceeds,) = fac.check(net((3, 5), low))
    assert exceeds.message == "rank 5 exceeds the 4 channels of the error at `fc2`"


def test_what_a_linear_layer_cannot_read_is_said() -> None:
    """Several layers, and a sample that is one number."""
    join = (linear("a", 5), linear("b", 5), {**linear("out", 3), "from": ("a", "b")})
    assert next((d.rule.code, d.help) for d in fac.check(spec(join, shape=(5,)))) == (
        *("FAC203", "join the inputs with an `add` layer first"),
    )
    (single,) = fac.check(spec((linear("out", 3),), shape=()))
    assert (single.rule.code, single.help) == ("FAC203", "write `input: {shape: [1]}`")
