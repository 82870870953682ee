"""Networks that people train, as specs: their parameters counted, and a step of each against autograd."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from safetensors.numpy import load_file
from torch import nn

import fac
from fac.backend import Feed
from fac.pipeline import lowered
from fac.training.dataset import Dataset, Split
from fac.training.loop import train
from tests.architectures.modules import MODULES

FOLDER = Path(__file__).parents[2] / "examples"
PUBLISHED = {"lenet5": 61_706, "resnet18": 11_173_962, "resnet20": 269_722, "deepcsi": 489_301}
"""Parameters of the networks that others have counted."""
N = 3
LR = 0.1


def plain(name: str) -> dict[str, Any]:
    """A spec as data."""
    found: dict[str, Any] = YAML(typ="safe").load(FOLDER / f"{name}.fac.yaml")
    return found


def reduced(value: Any, by: int, key: str = "") -> Any:
    """A spec whose widths are divided; 1 and 10 are none. Without noise, which autograd would draw otherwise."""
    if isinstance(value, dict):
        kept_as = ("out",) if "tie" in value else ()  # as many as what it shares has
        return {k: v if k in kept_as else reduced(v, by, k) for k, v in value.items()}
    if isinstance(value, list):
        kept = [
            v for v in value if not (isinstance(v, dict) and v.get("kind") in ("alpha_dropout", "drop_path"))
        ]
        if key == "shape" and len(value) == 3:
            return [reduced(value[0], by, "out"), *value[1:]]
        if key == "padding" and len(value) == 6:  # of the channels alone
            return [side // by for side in value]
        return [reduced(v, by, key) for v in kept]
    return value // by if key in ("out", "groups") and value not in (1, 10) else value


def small(name: str) -> dict[str, Any]:
    """The spec at reduced size, by backpropagation and plain gradient descent."""
    _, by = MODULES[name]
    spec = plain(name)
    layers = reduced(spec["layers"], by)
    return spec | {"layers": layers, "feedback": {"rule": "bp"}, "update": {"rule": "sgd", "lr": LR}}


def batch(feeds: Sequence[Feed], rng: np.random.Generator, n: int = N) -> dict[str, Any]:
    """Samples and their targets. Of each sample some places count, the first among them."""
    found: dict[str, Any] = {}
    for feed in feeds:
        shape = (n, *feed.shape)
        if feed.mask:
            found[feed.name] = (rng.random(shape) < 0.6).astype(float)
            found[feed.name][:, 0] = 1
        elif feed.classes is not None:
            found[feed.name] = rng.integers(0, feed.classes, shape)
        else:
            found[feed.name] = rng.normal(size=shape) if feed.loss is None else rng.uniform(0.1, 0.9, shape)
    return found


def loss_of(spec: dict[str, Any], output: Any, y: torch.Tensor) -> torch.Tensor:
    """The loss that the spec names, or the sum of several, of the outputs in their order."""
    if "losses" in spec:
        parts = [
            loss.get("scale", 1.0) * one(loss, z, y) for loss, z in zip(spec["losses"], output, strict=True)
        ]
        return torch.stack(parts).sum()
    return one(spec["loss"], output, y)


def one(loss: dict[str, Any], output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """A single loss."""
    kinds = {
        "cross_entropy": lambda: nn.functional.cross_entropy(
            output.flatten(0, -2), y.flatten(), label_smoothing=loss.get("label_smoothing", 0.0)
        ),
        "bce": lambda: nn.functional.binary_cross_entropy_with_logits(output, y),
        "mse": lambda: nn.functional.mse_loss(output, y),
    }
    return kinds[loss["kind"]]()


def without_erf(value: Any) -> Any:
    """A spec with SiLU for GELU: onnxruntime has no kernel for the error function in float64."""
    if isinstance(value, dict):
        return {k: "silu" if v == "gelu" else without_erf(v) for k, v in value.items()}
    return [without_erf(v) for v in value] if isinstance(value, list) else value


def silu_for_gelu(module: nn.Module) -> None:
    """The same of a module, in place."""
    for part in list(module.modules()):
        for name, child in part.named_children():
            if isinstance(child, nn.GELU):
                setattr(part, name, nn.SiLU())


@pytest.mark.parametrize("name", sorted(MODULES))
@pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
def test_a_step_of_backpropagation_is_that_of_autograd(name: str, backend: str) -> None:
    """To 1e-9 of the largest change, in float64; running statistics with it. Probes are compiled too, once."""
    spec = small(name) | ({} if backend == "torch" else {"probes": []})
    if backend == "onnx":
        spec["layers"] = without_erf(spec["layers"])
    artifact = fac.compile(spec, backend, precision="float64")
    session = artifact.open()
    before = session.state()
    program = lowered(fac.load(spec))
    learned = [t.name for node in program.nodes for t in node.tensors if t.trainable]
    module = MODULES[name][0](MODULES[name][1]).double().train()
    if backend == "onnx":
        silu_for_gelu(module)
    parameters, buffers = list(module.parameters()), [b for b in module.buffers() if b.is_floating_point()]
    moved = [key for key in before if key.endswith(("running_mean", "running_var"))]
    with torch.no_grad():
        for key, parameter in zip(learned, parameters, strict=True):
            parameter.copy_(torch.from_numpy(before[key].copy()))
    given = batch(artifact.compiled.feeds, np.random.default_rng(1))
    *read, y = (torch.from_numpy(array) for array in given.values())
    loss = loss_of(spec, module(*read), y)
    gradients = torch.autograd.grad(loss, parameters)
    found = session.step(given)
    after = session.state()
    assert found["loss"] == pytest.approx(loss.item(), rel=1e-12)
    for key, gradient in zip(learned, gradients, strict=True):
        expected = -LR * gradient.numpy()
        size = max(np.abs(expected).max(), 1e-6)
        np.testing.assert_allclose(after[key] - before[key], expected, rtol=0, atol=1e-9 * size, err_msg=key)
    for key, buffer in zip(moved, buffers, strict=True):
        np.testing.assert_allclose(after[key], buffer.numpy(), rtol=1e-12, atol=1e-14, err_msg=key)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_the_parameters_are_as_many(name: str) -> None:
    """As of the module, and as were published."""
    program = lowered(fac.load(FOLDER / f"{name}.fac.yaml"))
    count = sum(t.size for node in program.nodes for t in node.tensors if t.trainable)
    with torch.device("meta"):
        assert count == sum(p.numel() for p in MODULES[name][0](1).parameters())
    assert count == PUBLISHED.get(name, count)


def routed(name: str) -> dict[str, Any]:
    """The spec at reduced size, by its own rule."""
    found = small(name) | {"feedback": plain(name)["feedback"]}
    if "rank" in found["feedback"]:
        found["feedback"] |= {"rank": 2}
    return found


ON_ONNX = pytest.mark.parametrize(
    "name", ["vit", "transformer", "encoder", "gru", "vowels_gru", "siamese", "auxiliary"]
)


@ON_ONNX
def test_steps_by_onnxruntime_are_those_of_torch(name: str) -> None:
    """In float32, by the rule of the example, to 1e-5 of the largest change."""
    spec = routed(name) | {"probes": []}
    sessions = [fac.compile(spec, backend, precision="float32").open() for backend in ("torch", "onnx")]
    given = batch(sessions[0].compiled.feeds, np.random.default_rng(1))
    before = sessions[0].state()
    losses = [session.step(given) for session in sessions]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    one, two = (session.state() for session in sessions)
    assert set(one) == set(two)
    for key, array in one.items():
        size = max(np.abs(array - before[key]).max(), 1e-6)
        np.testing.assert_allclose(two[key], array, rtol=0, atol=1e-5 * size + 1e-7, err_msg=key)


@ON_ONNX
def test_the_written_program_trains_it_as_the_core_does(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its own update too, to the bit. What the page says of the data is what was written here.

    Probes, which move nothing, are half of the work, and are run of one network of each kind.
    """
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    seen: dict[str, Any] = {} if name in ("encoder", "gru", "siamese", "auxiliary") else {"probes": []}
    text = (
        routed(name) | seen | {"update": plain(name)["update"], "train": {"epochs": 2, "batch": N, "seed": 1}}
    )
    spec = fac.load({key: value for key, value in text.items() if key != "data"})
    artifact = fac.compile(spec, "onnx", precision="float32")
    artifact.write(tmp_path)
    feeds, rng = artifact.compiled.feeds, np.random.default_rng(2)
    splits = [batch(feeds, rng, 3 * N + 1), batch(feeds, rng, N)]
    for part, arrays in zip(("train", "test"), splits, strict=True):
        np.savez(tmp_path / f"{part}.npz", **arrays)
    session = artifact.open(device="cpu")
    report = train(session, Dataset("made", *(Split(**arrays) for arrays in splits)), spec)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["run.py", "train.npz", "test.npz"])
    page = runpy.run_path("run.py")
    page["main"]()
    found = load_file("trained.safetensors")
    for key, array in session.state().items():
        np.testing.assert_array_equal(found[key], array, err_msg=key)
    last = report.history[-1]
    shown = capsys.readouterr().out.splitlines()[-2]
    assert f"  train loss {last.train_loss:.4f}  " in shown
    assert f"  test loss {last.test_loss:.4f}" in shown
    assert all(f" {feed.name} [N" in page["__doc__"] for feed in feeds)
