"""`fac show --cost --backend NAME`: the memory of a process that trains."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import fac
from fac.testing.nets import mlp, spec

Run = Callable[..., tuple[int, str, str]]


def test_a_backend_that_predicts_nothing_is_told(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "net.fac.yaml"
    path.write_text(json.dumps(spec(mlp(8, 3))))
    status, out, err = run("show", path, "--cost", "--backend", "onnx")
    assert (status, out) == (2, "")
    assert "backend `onnx` does not say what memory it takes: leave out `--backend onnx`" in err
    status, _, err = run("show", path, "--backend", "torch")
    assert status == 2
    assert "add --cost" in err


def test_the_peak_of_a_process_stands_among_costs(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "net.fac.yaml"
    path.write_text(json.dumps(spec(mlp(8, 3))))
    _, out, _ = run("show", path, "--cost", "--backend", "torch", "--backend", "reference")
    assert out.endswith("MiB beyond its imports, and what kernels keep for themselves\n")
    assert " a process that trains on torch in float32: " in out
    assert " a process that trains on reference in float64: " in out
    _, out, _ = run("show", path, "--json", "--backend", "reference")
    (found,) = json.loads(out)["cost"]["processes"]
    artifact = fac.compile(spec(mlp(8, 3)), "reference")
    assert found == {
        "backend": "reference",
        "precision": "float64",
        "bytes": artifact.peak_bytes(json.loads(out)["cost"]["batch"]),
    }


def test_a_pass_that_is_left_out_counts(tmp_path: Path) -> None:
    """The whole gradient of a weight lies somewhere if it is not made tile by tile."""
    net = spec(mlp(1024, 3), shape=(1024,), update={"rule": "sgd", "lr": 0.1, "momentum": 0.9})
    whole = fac.compile(net, "torch", disable=["factor_updates"]).peak_bytes(8)
    tiles = fac.compile(net, "torch").peak_bytes(8)
    assert whole is not None
    assert tiles is not None
    assert whole - tiles > 1024 * 1024
