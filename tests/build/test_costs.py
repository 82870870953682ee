"""Multiply-adds and words of every rule equal the closed forms that stand in the tests, to the unit (T34)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import fac
from fac import pipeline
from fac.build.costs import backprop, backward_ratio, cost
from fac.program.lower import lower
from fac.program.program import Program
from fac.step.ir import Phase

N, K, M, C = 17, 12, 9, 5
"""Batch, and the widths of input, hidden layers and output."""
SIZES = {"fc1": (M, K), "fc2": (M, M), "logits": (C, M)}
"""(m, k) of each weight."""


def program(
    feedback: Any, widths: tuple[int, ...] = (M, M), inputs: int = K, outputs: int = C, **fields: Any
) -> Program:
    layers: list[dict[str, Any]] = []
    for index, width in enumerate(widths, 1):
        layers += [{"kind": "linear", "name": f"fc{index}", "out": width}, {"kind": "relu"}]
    layers.append({"kind": "linear", "name": "logits", "out": outputs})
    spec = {
        "fac": 1,
        "name": "t34",
        "input": {"shape": [inputs]},
        "layers": layers,
        "loss": {"kind": "cross_entropy"},
        "feedback": feedback,
        "update": {"rule": "sgd", "lr": 0.1},
    }
    return pipeline.lowered(fac.load(spec | fields))


def macs(feedback: Any, phase: Phase) -> dict[str, int]:
    """Multiply-adds of one phase by layer, zeros left out."""
    layers = cost(program(feedback), N).step.layers
    return {x.name: x.phases[phase].macs for x in layers if phase in x.phases and x.phases[phase].macs}


def words(feedback: Any) -> dict[str, int]:
    return {x.name: x.total.words for x in cost(program(feedback), N).step.layers if x.total.words}


@pytest.mark.parametrize("rule", ["bp", "fa", "dfa"])
def test_forward_and_weight_gradient_are_the_same_product(rule: str) -> None:
    expected = {name: N * m * k for name, (m, k) in SIZES.items()}
    assert macs({"rule": rule}, Phase.FORWARD) == macs({"rule": rule}, Phase.GRADIENT) == expected


@pytest.mark.parametrize("rule", ["bp", "fa"])
def test_full_matrices_layer_by_layer(rule: str) -> None:
    """N m k and m k words at each layer but the first, through W^T or through B."""
    assert macs({"rule": rule}, Phase.ERROR) == {n: N * m * k for n, (m, k) in SIZES.items() if n != "fc1"}
    assert words({"rule": rule}) == {n: m * k for n, (m, k) in SIZES.items() if n != "fc1"}
    assert macs({"rule": rule}, Phase.LEARN) == {}


@pytest.mark.parametrize("learn", ["fixed", "kolen_pollack", "oja_kp", "local", "normative"])
def test_low_rank_errors(learn: str) -> None:
    """N r (m + k), and r (m + k) words."""
    feedback = {"rule": "ldfa", "rank": 3, "learn": learn}
    assert macs(feedback, Phase.ERROR) == {"fc2": N * 3 * (M + M), "logits": N * 3 * (C + M)}
    assert words(feedback) == {"fc2": 3 * (M + M), "logits": 3 * (C + M)}


def oja(m: int, k: int, r: int) -> int:
    return N * r * m + N * r**2 + r**2 * m


def kolen_pollack(m: int, k: int, r: int) -> int:
    return N * k * r


LEARN: dict[str, Callable[[int, int, int], int]] = {
    "fixed": lambda m, k, r: 0,
    "kolen_pollack": kolen_pollack,
    "oja_kp": lambda m, k, r: oja(m, k, r) + kolen_pollack(m, k, r),
    "local": lambda m, k, r: N * r * (2 * k + m),
    "normative": lambda m, k, r: 2 * m * k * r + 2 * r**2 * (m + k),
}


@pytest.mark.parametrize("learn", LEARN)
def test_learning_of_low_rank_feedback(learn: str) -> None:
    """Nothing is computed twice: s = d P^T of the error is the s that P and Q learn from."""
    form = LEARN[learn]
    found = macs({"rule": "ldfa", "rank": 3, "learn": learn}, Phase.LEARN)
    assert found == ({} if learn == "fixed" else {"fc2": form(M, M, 3), "logits": form(C, M, 3)})


def test_direct_dense() -> None:
    """N C n and C n words per hidden layer of n units, and no product with a forward weight."""
    assert macs({"rule": "dfa"}, Phase.ERROR) == {"fc1": N * C * M, "fc2": N * C * M}
    assert words({"rule": "dfa"}) == {"fc1": C * M, "fc2": C * M}


def test_direct_low_rank() -> None:
    """A low-rank operator that reads C numbers and writes n."""
    feedback = {"rule": "direct_ldfa", "rank": 2}
    assert macs(feedback, Phase.ERROR) == {"fc1": N * 2 * (C + M), "fc2": N * 2 * (C + M)}
    learned = oja(C, M, 2) + kolen_pollack(C, M, 2)
    assert macs(feedback, Phase.LEARN) == {"fc1": learned, "fc2": learned}


def test_full_kolen_pollack_reuses_the_weight_gradient() -> None:
    assert macs({"rule": "fa", "learn": {"rule": "kolen_pollack"}}, Phase.LEARN) == {}


def test_a_subspace_is_read_once() -> None:
    feedback = {
        "subspaces": [{"name": "task", "rank": 2, "basis": {"rule": "oja"}}],
        "routes": [{"to": "fc*", "from": "task", "matrix": {"kind": "random"}}],
    }
    assert sum(macs(feedback, Phase.ERROR).values()) == N * 2 * C + 2 * (N * 2 * M)
    assert macs(feedback, Phase.LEARN) == {"task": oja(C, 0, 2)}


@pytest.mark.parametrize(("width", "bound"), [(1024, 1.386), (2048, 1.436), (4096, 1.466)])
def test_bound_of_a_whole_net(width: int, bound: float) -> None:
    """(2F + I) / (2F + R) of 784-W-W-W-W-10 at rank 10."""
    feedback = {"rule": "ldfa", "rank": 10, "learn": "fixed"}
    counted = cost(program(feedback, (width,) * 4, inputs=784, outputs=10), 128)
    f = 128 * (784 * width + 3 * width**2 + 10 * width)
    i = f - 128 * 784 * width
    r = 128 * 10 * (3 * 2 * width + width + 10)
    assert counted.backprop.total.macs == 2 * f + i
    assert counted.step.total.macs == 2 * f + r
    assert round(counted.backprop.total.macs / counted.step.total.macs, 3) == bound
    assert counted.backward_ratio == (f + r) / (f + i)


def test_backprop_is_compared_with_itself() -> None:
    assert backward_ratio(program({"rule": "bp"})) == 1


def test_shallow_is_compared_with_backprop_that_trains_every_layer() -> None:
    counted = cost(program({"rule": "shallow"}), N)
    products = [N * m * k for m, k in SIZES.values()]
    assert counted.step.backward_macs == products[-1]
    assert counted.backprop.backward_macs == sum(products) + sum(products[1:])


def test_a_layer_that_the_spec_freezes_is_frozen_in_both() -> None:
    feedback = {"rule": "ldfa", "rank": 3}
    whole = program(feedback)
    layers = tuple(
        layer.model_copy(update={"trainable": False}) if layer.name == "fc1" else layer
        for layer in whole.spec.layers
    )
    part = pipeline.lowered(whole.spec.model_copy(update={"layers": layers}))
    assert not backprop(part).by_name["fc1"].trainable
    # Nothing below fc2 learns, so no error passes through it either.
    assert cost(part, N).backprop.backward_macs == N * (M * M + 2 * C * M)


def test_where_nothing_learns_the_ratio_is_one() -> None:
    layers = ({"kind": "linear", "out": 3, "trainable": False},)
    spec = program({"rule": "bp"}).spec.model_dump(by_alias=True, exclude_unset=True)
    frozen = lower(fac.load(spec | {"layers": layers}))
    assert backward_ratio(frozen) == 1


def test_the_ratio_takes_the_batch_of_the_spec() -> None:
    """Normative learning reads no data: the larger the batch, the less it weighs."""
    made = program({"rule": "ldfa", "rank": 3, "learn": "normative"}, train={"batch": N})
    assert backward_ratio(made) == cost(made, N).backward_ratio
    assert backward_ratio(made, 1000) < backward_ratio(made)


def test_depth_is_no_limit() -> None:
    """Deeper than calls of Python may be nested."""
    assert 0 < backward_ratio(program({"rule": "dfa"}, (M,) * 1200), 1) < 1
