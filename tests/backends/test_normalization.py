"""Normalisation and the state that it moves, on every backend, against torch's own modules and autograd."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import fac
from fac.backend import Session
from fac.testing.nets import RELU, Data, Layers, batch, batches, linear, spec

BACKENDS = pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
SHAPE = (3, 5, 4)
TOLERANCE = 1e-10
"""Relative to the largest entry, in float64, after five steps. Found: 4e-15."""
LR, MOMENTUM = 0.1, 0.9
UPDATE: Data = {"rule": "sgd", "lr": LR, "momentum": MOMENTUM}
RAGGED = (7, 7, 3, 7, 2)
CONV: Data = {"kind": "conv2d", "name": "c1", "out": 4, "kernel": 3}
FLAT: Data = {"kind": "flatten"}


class Moved(nn.Module):
    """Layer normalisation of each place over its channels: as ConvNeXt has it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.weight, self.bias = self.norm.weight, self.norm.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W]."""
        moved: torch.Tensor = self.norm(x.movedim(1, -1)).movedim(-1, 1)
        return moved


NORMS: dict[str, tuple[Data, nn.Module]] = {
    "batch_norm": ({"momentum": 0.3}, nn.BatchNorm2d(4, momentum=0.3)),
    "batch_norm without weights": ({"affine": False, "eps": 0.01}, nn.BatchNorm2d(4, eps=0.01, affine=False)),
    "layer_norm of maps": ({"axes": [0, 1, 2]}, nn.LayerNorm((4, 3, 2))),
    "layer_norm of places": ({"axes": 0}, Moved(4)),
    "layer_norm without a bias": ({"axes": [-1, -2], "bias": False}, nn.LayerNorm((3, 2), bias=False)),
    "layer_norm without weights": (
        {"axes": [1, 2], "affine": False},
        nn.LayerNorm((3, 2), elementwise_affine=False),
    ),
    "group_norm": ({"groups": 2}, nn.GroupNorm(2, 4)),
    "group_norm of single channels": ({"groups": 4}, nn.GroupNorm(4, 4)),
    "rms_norm": ({"axes": [1, 2], "eps": 1e-6}, nn.RMSNorm((3, 2), eps=1e-6)),
}
"""Behind a convolution: of maps [4, 3, 2]."""


def module(norm: nn.Module) -> nn.Sequential:
    """The same network in torch: its names are those of the spec."""
    layers = (
        *(("c1", nn.Conv2d(3, 4, 3)), ("n1", norm), ("r1", nn.ReLU()), ("f", nn.Flatten())),
        *(("fc1", nn.Linear(24, 6)), ("n2", nn.BatchNorm1d(6)), ("r2", nn.ReLU()), ("out", nn.Linear(6, 3))),
    )
    return nn.Sequential(OrderedDict(layers)).double()


def layers(norm: Data) -> Layers:
    """A norm of maps, and one over samples alone."""
    behind: Layers = (linear("fc1", 6), {"kind": "batch_norm", "name": "n2"}, RELU, linear("out", 3))
    return (CONV, {**norm, "name": "n1"}, RELU, FLAT, *behind)


def opened(data: Data, backend: str) -> Session:
    return fac.compile(data, backend, "float64").open()


def given(session: Session, net: nn.Module) -> None:
    """Our values in torch's module. `num_batches_tracked`, which nothing here reads, stays out of it."""
    state = {k: torch.from_numpy(v) for k, v in session.state().items() if not k.endswith("momentum")}
    own = net.state_dict()
    renamed = {k: k.replace("n1.norm.", "n1.") for k in own}
    net.load_state_dict({k: state.get(renamed[k], own[k]) for k in own})


def learned(net: nn.Module, some: list[tuple[Any, Any]]) -> list[float]:
    """Steps of SGD by autograd; the losses."""
    moves = torch.optim.SGD(net.parameters(), LR, MOMENTUM)
    losses = []
    for x, y in some:
        moves.zero_grad()
        loss = nn.functional.cross_entropy(net(torch.from_numpy(x)), torch.from_numpy(y))
        loss.backward()  # type: ignore[no-untyped-call]
        moves.step()
        losses.append(loss.item())
    return losses


def compare(session: Session, net: nn.Module) -> None:
    state, names = session.state(), net.state_dict()
    compared = {k.replace("n1.norm.", "n1.") for k in names if not k.endswith("num_batches_tracked")}
    assert compared == {k for k in state if k != "step" and not k.endswith(".momentum")}
    for name, tensor in names.items():
        ours = state.get(name.replace("n1.norm.", "n1."))
        if ours is not None:
            np.testing.assert_allclose(ours, tensor.numpy(), rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)


@BACKENDS
@pytest.mark.parametrize("name", NORMS)
def test_it_trains_as_a_module_of_torch(name: str, backend: str) -> None:
    """Losses, parameters and running statistics after steps on batches of several sizes, then both evaluations."""
    settings, norm = NORMS[name]
    net = module(norm)
    session = opened(spec(layers({"kind": name.split()[0], **settings}), update=UPDATE, shape=SHAPE), backend)
    given(session, net)
    some = batches(*RAGGED, shape=SHAPE)
    losses = [float(session.step(x, y)["loss"]) for x, y in some]
    np.testing.assert_allclose(losses, learned(net.train(), some), rtol=TOLERANCE)
    compare(session, net)
    x, _ = batch(9, SHAPE, seed=99)
    expected = net.eval()(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(session.forward(x), expected, rtol=TOLERANCE, atol=TOLERANCE)


@BACKENDS
def test_tokens(backend: str) -> None:
    """The last axis of [T, d], and the only one of [d], without a word about axes."""
    net = nn.Sequential(
        OrderedDict(
            (
                *(("n1", nn.LayerNorm(4)), ("n2", nn.RMSNorm(4, eps=1e-5)), ("f", nn.Flatten())),
                *(("fc1", nn.Linear(20, 6)), ("n3", nn.LayerNorm(6)), ("out", nn.Linear(6, 3))),
            )
        )
    ).double()
    norms = ({"kind": "layer_norm", "name": "n1"}, {"kind": "rms_norm", "name": "n2"}, FLAT)
    data = (*norms, linear("fc1", 6), {"kind": "layer_norm", "name": "n3"}, linear("out", 3))
    session = opened(spec(data, update=UPDATE, shape=(5, 4)), backend)
    given(session, net)
    some = batches(*RAGGED, 1, shape=(5, 4))
    losses = [float(session.step(x, y)["loss"]) for x, y in some]
    np.testing.assert_allclose(losses, learned(net, some), rtol=TOLERANCE)
    compare(session, net)


@BACKENDS
@pytest.mark.parametrize("name", ["batch_norm", "layer_norm of maps", "layer_norm of places", "group_norm"])
def test_a_large_mean_costs_few_digits(name: str, backend: str) -> None:
    """In float32, numbers of deviation 1 around 1000. As mean(x^2) - mean(x)^2 the variance would be off by 0.06."""
    norm: Data = {"kind": name.split()[0], "name": "n1", **NORMS[name][0]}
    data = spec((norm, FLAT, linear("out", 3)), update={"rule": "sgd", "lr": 1.0}, shape=(4, 3, 2))
    rng = np.random.default_rng(0)
    x, y = (1000 + rng.standard_normal((64, 4, 3, 2))).astype(np.float32), rng.integers(0, 3, 64)
    states = []
    for where, precision in ((backend, "float32"), ("reference", "float64")):
        session = fac.compile(data, where, precision).open()  # type: ignore[arg-type]
        session.step(x.astype(precision), y)
        states.append(session.state())
    for part, array in states[1].items():
        scale = max(1.0, np.abs(array).max())
        assert np.abs(states[0][part] - array).max() <= 2e-4 * scale, part


VECTORS = (linear("fc1", 6), {"kind": "batch_norm", "name": "n1"}, RELU, linear("out", 3))


@BACKENDS
def test_a_batch_of_one_sample_of_a_vector(backend: str) -> None:
    """Of one value there is no variance: the output is the bias, no error gets past, the average of variances stays."""
    session = opened(spec(VECTORS, update=UPDATE), backend)
    session.step(*batch(6))
    state = session.state() | {"n1.bias": np.linspace(-1, 1, 6)}
    session.load_state({k: np.zeros_like(v) if k.endswith(".momentum") else v for k, v in state.items()})
    before = session.state()
    x, y = batch(1, seed=5)
    loss = float(session.step(x, y)["loss"])
    logits = np.maximum(before["n1.bias"], 0) @ before["out.weight"].T + before["out.bias"]
    assert abs(loss - (np.log(np.exp(logits).sum()) - logits[y[0]])) <= 1e-12
    after = session.state()
    assert all(np.isfinite(array).all() for array in after.values())
    for name in ("fc1.weight", "fc1.bias", "n1.weight", "n1.running_var"):
        np.testing.assert_allclose(after[name], before[name], rtol=0, atol=1e-14, err_msg=name)
    values = (x @ before["fc1.weight"].T + before["fc1.bias"])[0]
    moved = 0.9 * before["n1.running_mean"] + 0.1 * values
    np.testing.assert_allclose(after["n1.running_mean"], moved, rtol=1e-12, atol=1e-14)


@BACKENDS
def test_a_single_place_of_a_map_is_as_a_vector(backend: str) -> None:
    net = ({"kind": "batch_norm", "name": "n1"}, FLAT, linear("out", 3))
    map_, vector = (opened(spec(net, update=UPDATE, shape=shape), backend) for shape in ((5, 1, 1), (5,)))
    for x, y in batches(4, 1, 3):
        map_.step(x.reshape(-1, 5, 1, 1), y)
        vector.step(x, y)
    for name, array in vector.state().items():
        np.testing.assert_allclose(map_.state()[name], array, rtol=1e-12, atol=1e-14, err_msg=name)


STILL: dict[str, Data] = {
    "trainable: false": {"trainable": False},
    "moments: averages": {"moments": "averages"},
    "both, without weights": {"trainable": False, "affine": False},
}


@BACKENDS
@pytest.mark.parametrize("still", STILL)
def test_by_its_averages_it_acts_as_in_evaluation(still: str, backend: str) -> None:
    """It moves no average, and lets the error of what it makes through exactly; its weight may learn all the same."""
    settings = STILL[still]
    affine = settings.get("affine", True)
    net = module(nn.BatchNorm2d(4, affine=affine))
    session = opened(spec(layers({"kind": "batch_norm", **settings}), None, UPDATE, SHAPE), backend)
    rng = np.random.default_rng(3)
    known = {"n1.running_mean": rng.normal(size=4), "n1.running_var": rng.uniform(0.5, 2, 4)}
    own = {"n1.weight": rng.uniform(0.5, 2, 4), "n1.bias": rng.normal(size=4)} if affine else {}
    session.load_state(session.state() | known | own)
    given(session, net)
    net.get_submodule("n1").eval().requires_grad_(settings.get("trainable", True))
    some = batches(*RAGGED, shape=SHAPE)
    losses = [float(session.step(x, y)["loss"]) for x, y in some]
    np.testing.assert_allclose(losses, learned(net, some), rtol=TOLERANCE)
    after, expected = session.state(), net.state_dict()
    for name in (k for k in expected if not k.endswith("num_batches_tracked")):
        np.testing.assert_allclose(after[name], expected[name], rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)
    stay = known | (own if "trainable" in settings else {})
    assert all(np.array_equal(after[name], array) for name, array in stay.items())


@BACKENDS
@pytest.mark.parametrize("affine", [True, False])
def test_a_rule_that_freezes_it_leaves_the_moments_of_the_batch(affine: bool, backend: str) -> None:
    """As in torch, where parameters that ask for no gradient change nothing of how a norm acts; with weights or not."""
    norm: Data = {"kind": "batch_norm", "affine": affine}
    net = module(nn.BatchNorm2d(4, affine=affine))
    data = spec(layers(norm), {"rule": "shallow"}, UPDATE, SHAPE)
    session = opened(data, backend)
    given(session, net)
    for name in ("c1", "n1", "fc1", "n2"):
        net.get_submodule(name).requires_grad_(False)
    some = batches(*RAGGED, shape=SHAPE)
    losses = [float(session.step(x, y)["loss"]) for x, y in some]
    np.testing.assert_allclose(losses, learned(net, some), rtol=TOLERANCE)
    after, expected = session.state(), net.state_dict()
    for name in (k for k in expected if not k.endswith("num_batches_tracked")):
        np.testing.assert_allclose(after[name], expected[name], rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)
    x, _ = batch(9, SHAPE, seed=99)
    output = net.eval()(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(session.forward(x), output, rtol=TOLERANCE, atol=TOLERANCE)


@BACKENDS
def test_a_probe_sees_the_batch_and_moves_nothing(backend: str) -> None:
    session = opened(spec(layers({"kind": "batch_norm"}), update=UPDATE, shape=SHAPE), backend)
    some = batches(7, 7, 7, shape=SHAPE)
    for x, y in some[:2]:
        session.step(x, y)
    before = session.state()
    x, y = some[2]
    probed, evaluated = session.probe(x, y), session.evaluate(x, y)
    session.forward(x)
    assert all(np.array_equal(session.state()[name], array) for name, array in before.items())
    trained = float(session.step(x, y)["loss"])
    assert abs(probed["loss"] - trained) <= 1e-12
    assert abs(evaluated["loss"] - trained) > 1e-3
    assert not np.array_equal(session.state()["n1.running_var"], before["n1.running_var"])


@BACKENDS
def test_a_resumed_run_is_the_unbroken_one_to_the_bit(backend: str) -> None:
    data = spec(layers({"kind": "batch_norm"}), {"rule": "ldfa", "rank": 2}, UPDATE, SHAPE)
    some = batches(*RAGGED, shape=SHAPE)
    whole, first = (fac.compile(data, backend, "float32").open() for _ in range(2))
    for x, y in some:
        whole.step(x, y)
    for x, y in some[:2]:
        first.step(x, y)
    second = fac.compile(data, backend, "float32").open(first.state())
    for x, y in some[2:]:
        second.step(x, y)
    assert all(np.array_equal(second.state()[name], array) for name, array in whole.state().items())


def test_weights_of_a_state_dict_go_in_and_out() -> None:
    """As the documents say: of PyTorch's own state only a counter stays out, and PyTorch does without it."""
    net, other = module(nn.BatchNorm2d(4)), module(nn.BatchNorm2d(4))
    learned(net, batches(*RAGGED, shape=SHAPE))
    tensors = net.state_dict().items()
    weights = {name: w.numpy() for name, w in tensors if not name.endswith("num_batches_tracked")}
    artifact = fac.compile(
        spec(layers({"kind": "batch_norm"}), {"rule": "fa"}, UPDATE, SHAPE), "torch", "float64"
    )
    session = artifact.open(weights, derive=True)
    other.load_state_dict({name: torch.from_numpy(session.state()[name]) for name in weights})
    x, _ = batch(5, SHAPE)
    found = other.eval()(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, net.eval()(torch.from_numpy(x)).detach().numpy(), rtol=1e-14)
    np.testing.assert_allclose(session.forward(x), found, rtol=TOLERANCE, atol=TOLERANCE)


def test_a_state_without_averages_is_not_taken() -> None:
    """The forward pass reads them: nothing can stand in their place."""
    session = opened(spec(VECTORS), "reference")
    state = {k: v for k, v in session.state().items() if not k.endswith("running_var")}
    with pytest.raises(fac.FacError, match=r"lacks parameters of `demo`: give `n1.running_var`"):
        session.load_state(state, derive=True)


def test_groups_of_the_update_spare_norms_and_biases_the_decay() -> None:
    """The recipe of the documents: without it the scale shrinks."""
    decayed = UPDATE | {"weight_decay": 0.5}
    spared = decayed | {"groups": [{"match": m, "weight_decay": 0} for m in ("n?.*", "*.bias")]}
    found = {}
    for name, update in (("none", UPDATE), ("all", decayed), ("some", spared)):
        session = opened(spec(VECTORS, update=update), "reference")
        session.step(*batch())
        found[name] = session.state()
    for name in ("n1.weight", "n1.bias", "out.bias"):
        assert np.array_equal(found["some"][name], found["none"][name]), name
    assert np.array_equal(found["some"]["fc1.weight"], found["all"]["fc1.weight"])
    assert (found["all"]["n1.weight"] < found["some"]["n1.weight"] - 0.04).all()
