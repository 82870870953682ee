"""`--disable-pass` and `--after`: what a command leaves out, what a run keeps of that, and how it goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fac.build.disabling import passes_of
from fac.passes import PASSES
from fac.pipeline import find_backend
from fac.training import checkpoint

Run = Callable[..., tuple[int, str, str]]
TORCH = ("--backend", "torch")
OFF = ("--disable-pass", "addmm", "--disable-pass", "share_common")


def passes(folder: str) -> list[str]:
    found: list[str] = json.loads(checkpoint.about(Path(folder))["passes"])
    return found


def all_of(backend: str) -> list[str]:
    return [step.name for step in passes_of(find_backend(backend))]


def test_a_run_goes_on_without_what_it_was_made_without_to_the_bit(run: Run, spec: Path) -> None:
    constant = ("--set", "update.schedule=constant")
    assert run("train", spec, *TORCH, *constant, *OFF, "--out", "whole")[0] == 0
    assert passes("whole") == [name for name in all_of("torch") if name not in OFF]
    assert run("train", spec, *TORCH, *constant, *OFF, "--set", "train.epochs=1", "--out", "parts")[0] == 0
    _, _, err = run("train", "--resume", "parts", "--set", "train.epochs=2")
    assert "training for 2 epochs instead of 1" in err
    assert "this run goes on" not in err
    one, other = (checkpoint.load(Path(name)).state for name in ("whole", "parts"))
    for name, array in one.items():
        np.testing.assert_array_equal(other[name], array, err_msg=name)
    assert passes("parts") == passes("whole")


def test_another_choice_is_said(run: Run, spec: Path) -> None:
    assert run("train", spec, *TORCH, "--disable-pass", "addmm", "--out", "a")[0] == 0
    _, _, err = run("train", "--resume", "a", "--disable-pass", "tie_rows", "--disable-pass", "addcmul")
    assert err == (
        "this run goes on without `tie_rows`, `addcmul` and with `addmm`: equal up to rounding, not bit for bit\n"
    )


def test_on_another_backend_the_core_is_left_out_as_before(run: Run, spec: Path) -> None:
    assert run("train", spec, *TORCH, *OFF, "--out", "a")[0] == 0
    _, _, err = run("train", "--resume", "a", "--backend", "onnx", "--set", "train.epochs=3")
    assert "goes on on onnx" in err
    assert "with `addmm`" not in err
    assert passes("a") == [name for name in all_of("onnx") if name != "share_common"]


def test_a_pass_that_is_new_is_left_out_of_a_run_that_goes_on(
    run: Run, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a run by an earlier version of fac, which had not this one."""
    with monkeypatch.context() as before:
        before.setattr("fac.passes.PASSES", PASSES[1:])
        before.setattr("fac.build.disabling.PASSES", PASSES[1:])
        assert run("train", spec, "--backend", "reference", "--out", "a")[0] == 0
    assert PASSES[0].name not in passes("a")
    assert "goes on" not in run("train", "--resume", "a", "--set", "train.epochs=3")[2]
    assert PASSES[0].name not in passes("a")


def test_a_name_that_no_pass_has(run: Run, spec: Path) -> None:
    for command in ("compile", "train"):
        status, _, err = run(command, spec, *TORCH, "--disable-pass", "adddmm")
        assert status == 2
        assert "no pass for `torch` is called `adddmm`, did you mean `addmm`?" in err
    status, _, err = run("show", spec, "--disable-pass", "addmm")
    assert status == 2
    assert "no pass is called `addmm`; there are `fold_constants`" in err
    assert "those of a backend are found with `--backend`" in err


@pytest.mark.parametrize(("name", "there"), [("update_kernels", False), ("write_through", True)])
def test_the_step_after_a_pass_of_a_backend(run: Run, spec: Path, name: str, there: bool) -> None:
    """Those behind it have not run."""
    status, out, _ = run("show", spec, "--after", name, *TORCH)
    assert status == 0
    assert out.startswith("@torch.inference_mode()\ndef step(")
    assert ("torch.addmm(" in out) == there
    assert "kernels.sgd" in out


def test_the_step_after_passes_of_other_kinds(run: Run, spec: Path) -> None:
    assert "Gemm" in run("show", spec, "--after", "fuse_products", "--backend", "onnx")[1]
    ir = run("show", spec, "--after", "drop_dead")[1]
    assert ir.startswith("function step(")
    assert run("show", spec, "--after", "drop_dead", "--backend", "onnx")[1] == ir
    assert len(run("show", spec, "--after", "drop_dead", "--disable-pass", "share_common")[1]) > len(ir)
    for options in ((), ("--updates",), ("--json",)):
        off = ("--disable-pass", "fuse_products", "--backend", "onnx")
        assert run("show", spec, *off, *options)[0] == 0
    status, _, err = run("show", spec, "--after", "drop_dead", "--disable-pass", "drop_dead")
    assert status == 2
    assert "there is no step after `drop_dead`, which --disable-pass leaves out" in err
    mixed = ("--set", "train.mixed_precision=bfloat16", "--after")
    assert "round_to" in run("show", spec, *mixed, "mixed_precision")[1]
    assert "round_to" not in run("show", spec, *mixed, "drop_dead")[1]
    status, _, err = run("show", spec, "--after", "mixed_precision")
    assert status == 2
    assert "no pass is called `mixed_precision`" in err
    status, _, err = run("show", spec, "--after", "addmm", *TORCH, "--backend", "onnx")
    assert status == 2
    assert "name one with --backend" in err
    status, _, err = run("show", spec, "--backend", "torch")
    assert status == 2
    assert "add --after PASS or --disable-pass NAME" in err


def test_the_manifest_lists_what_ran(run: Run, spec: Path) -> None:
    assert run("compile", spec, *TORCH, *OFF, "-o", "built")[0] == 0
    manifest: dict[str, Any] = json.loads(Path("built/manifest.json").read_text())
    assert manifest["passes"] == [name for name in all_of("torch") if name not in OFF]
    assert manifest["versions"].keys() >= {"fac-compiler", "torch", "numpy"}
