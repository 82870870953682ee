"""The floor against closed forms, and against what costs count."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fac.bench import cases
from fac.bench.bare import Bare
from fac.bench.case import Case
from fac.bench.contenders.base import UnfitError
from fac.bench.floor import Pass, Product, floor, totals
from fac.build.costs import optimised_step
from fac.pipeline import lowered
from fac.step.cost import count
from fac.step.ir import Function

N, READS, WIDTH, CLASSES = 6, 5, 7, 3


def step(layers: list[dict[str, Any]], feedback: dict[str, Any], momentum: float = 0.9) -> Function:
    spec = {
        "fac": 1,
        "name": "x",
        "input": {"shape": [READS]},
        "layers": layers,
        "loss": {"kind": "cross_entropy"},
        "feedback": feedback,
        "update": {"rule": "sgd", "lr": 0.1, "momentum": momentum},
    }
    return optimised_step(lowered(spec))


def linear(name: str, out: int, *, bias: bool = False) -> dict[str, Any]:
    return {"kind": "linear", "name": name, "out": out, "bias": bias}


HIDDEN = [linear("fc", WIDTH), {"kind": "relu"}, linear("out", CLASSES)]


@pytest.mark.parametrize(("momentum", "streams"), [(0.9, 5), (0.0, 3)])
def test_bytes_of_one_layer(momentum: float, streams: int) -> None:
    """Logits and labels are read, errors written; of an update gradient, weight and velocity are read, two written."""
    found = floor(step([linear("out", CLASSES)], {"rule": "bp"}, momentum), N)
    products = [work for work in found if isinstance(work, Product)]
    assert [work.macs for work in products] == [N * READS * CLASSES] * 2
    loss, update = [work for work in found if isinstance(work, Pass)]
    assert loss.bytes == 4 * 2 * N * CLASSES + 8 * N
    assert update.bytes == 4 * streams * READS * CLASSES


def test_an_activation_is_read_and_written_once_each_way() -> None:
    found = floor(step(HIDDEN, {"rule": "bp"}), N)
    by_ops = {tuple(op.kind for op in work.ops): work.bytes for work in found if isinstance(work, Pass)}
    assert by_ops["relu",] == 4 * 2 * N * WIDTH
    assert by_ops["relu_input",] == 4 * 3 * N * WIDTH


def test_a_direct_route_has_no_product_with_the_weight() -> None:
    exact, direct = (totals(floor(step(HIDDEN, {"rule": rule}), N))[0] for rule in ("bp", "shallow"))
    assert exact - direct == N * READS * WIDTH + N * WIDTH * CLASSES


@pytest.mark.parametrize("name", ["mlp-64", "vgg8-norm", "resnet18", "lora-2048"])
def test_the_floor_has_all_products_and_no_more_bytes_than_are_counted(name: str) -> None:
    _, small = cases.made(name)
    for rule in small.rules:
        function = optimised_step(lowered(small.spec(rule)))
        macs, moved = totals(floor(function, small.batch))
        counted = count(function, small.batch).values()
        assert macs == sum(tally.macs for tally in counted)
        assert moved < sum(tally.bytes for tally in counted)


@pytest.mark.parametrize(
    "name", ["mlp-64", "vgg8", "conv3-norm", "resnet18", "vit", "feed", "lora-2048", "lora-vit"]
)
def test_every_case_has_bare_kernels(name: str) -> None:
    _, small = cases.made(name)
    bare = Bare(small.batch, "highest")
    for rule in small.rules:
        bare.turn(floor(optimised_step(lowered(small.spec(rule))), small.batch))()
    assert all(torch.isfinite(tensor).all() for tensor in bare.buffers.values())


def test_a_product_without_a_bare_kernel_is_said() -> None:
    sparse = {"routes": [{"to": "fc", "matrix": {"kind": "random", "mask": {"per_unit": 1}}}]}
    layers = [linear("fc", 64), {"kind": "relu"}, linear("out", 16)]
    function = step(layers, sparse)
    with pytest.raises(UnfitError, match=r"^no bare kernel is known for `sparse_matmul"):
        Bare(N, "highest").turn(floor(function, N))


def test_module_and_spec_are_one_network() -> None:
    """Full sizes, too: as many parameters, shape by shape, without making them."""
    for name in cases.CASES:
        case: Case = cases.made(name)[0]
        with torch.device("meta"):
            shapes = [tuple(p.shape) for p in case.module().parameters()]
        tensors = [t for node in lowered(case.spec("bp")).nodes for t in node.tensors]
        assert shapes == [t.shape for t in tensors if t.role == "parameter"], name
