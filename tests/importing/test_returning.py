"""There and back: a module is imported, trained, and loads what was trained, strictly."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from fac import pipeline
from fac.cli import main
from fac.training import checkpoint

torch.set_num_threads(1)
CODE = """\
from torch import nn


def small():
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.1), nn.Flatten(), nn.Linear(108, 10)
    )
"""
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}


def fac(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["fac", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a spec that was imported, to which somebody has added data and another feedback."""
    folder = tmp_path_factory.mktemp("imported")
    (folder / "small_networks.py").write_text(CODE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [*sys.path])
        call = ("import", "torch", "small_networks:small", "--input", "1x8x8", "-o", ".")
        assert fac(patch, *call) == 0
    spec = folder / "spec.fac.yaml"
    text = spec.read_text().replace("{rule: bp}", "{rule: dfa}")
    spec.write_text(text + "data: {source: digits}\ntrain: {epochs: 1}\n")
    return folder


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_module_loads_what_was_trained(
    precision: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    run, reference = f"run-{precision}", ("--backend", "reference")
    assert fac(monkeypatch, "train", "spec.fac.yaml", *reference, "--precision", precision, "--out", run) == 0
    capsys.readouterr()
    for file in ("back.safetensors", "back.pt"):
        assert fac(monkeypatch, "export", run, "--to", "state_dict", "-o", file) == 0
        assert "8 arrays after step 10" in capsys.readouterr().out
    space: dict[str, object] = {}
    exec(CODE, space)
    module: nn.Module = space["small"]()  # type: ignore[operator]
    module.to(getattr(torch, precision)).eval()
    x = torch.randn(16, 1, 8, 8, dtype=getattr(torch, precision))
    found = []
    for arrays in (load_file("back.safetensors"), torch.load("back.pt", weights_only=True)):
        module.load_state_dict(arrays, strict=True)
        assert module.get_buffer("1.num_batches_tracked") == 10
        with torch.no_grad():
            found.append(module(x).numpy())
    held = checkpoint.load(Path(run))
    session = pipeline.compile(held.document(), "reference", "float64").open(held.state)
    wanted = session.forward(x.numpy().astype(np.float64))
    assert np.abs(wanted).max() > 0.1
    for z in found:
        assert np.abs(z - wanted).max() <= TOLERANCE[precision] * np.abs(wanted).max()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-o", "back.onnx"), "is no name for a state_dict"),
        (("-o", "back.pt", "--precision", "float64"), "`--to` runs nothing"),
    ],
)
def test_mistakes(
    arguments: tuple[str, ...],
    said: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    assert fac(monkeypatch, "export", "weights.safetensors", "--to", "state_dict", *arguments) == 2
    assert said in capsys.readouterr().err


def test_what_was_imported_goes_back_as_it_came(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert (
        fac(monkeypatch, "export", "weights.safetensors", "--to", "state_dict", "-o", "same.safetensors") == 0
    )
    weights, same = load_file("weights.safetensors"), load_file("same.safetensors")
    assert set(same) - set(weights) == {"1.num_batches_tracked"}
    assert all(torch.equal(same[key], weights[key]) for key in weights if key != "step")
