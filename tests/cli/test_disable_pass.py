"""`--disable-pass` and `--after`: what a command leaves out, what a run keeps of that, and how it goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fac
from fac.build.disabling import passes_of
from fac.experiments.executors import Workers
from fac.experiments.executors.pool import Setup, make_apart
from fac.experiments.job import Where
from fac.experiments.trainer import Trainer
from fac.passes import PASSES
from fac.pipeline import find_backend
from fac.source import read
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


@pytest.mark.parametrize("fork", [False, True])
def test_a_run_takes_all_passes_again_if_it_is_asked_to_and_keeps_that(
    run: Run, spec: Path, *, fork: bool
) -> None:
    assert run("train", spec, *TORCH, *OFF, "--set", "train.epochs=1", "--out", "a")[0] == 0
    on, at = (("--fork", "a", "--out", "b"), "b") if fork else (("--resume", "a"), "a")
    status, _, err = run("train", *on, "--all-passes", "--set", "train.epochs=2")
    assert status == 0
    assert "this run goes on with `share_common`, `addmm`: equal up to rounding, not bit for bit" in err
    assert passes(at) == all_of("torch")
    assert "this run goes on" not in run("train", "--resume", at, "--set", "train.epochs=3")[2]
    assert passes(at) == all_of("torch")


def test_python_says_that_none_is_left_out_by_an_empty_list(run: Run, spec: Path) -> None:
    small = {"train.epochs": 1}
    fac.train(str(spec), out="a", overrides=small, backend="torch", disable=["addmm"])
    fac.train(resume="a")
    assert "addmm" not in passes("a")
    fac.train(resume="a", overrides={"train.epochs": 2}, disable=[])
    assert passes("a") == all_of("torch")


def test_all_passes_are_for_a_run_that_goes_on(run: Run, spec: Path) -> None:
    status, _, err = run("train", spec, "--all-passes")
    assert status == 2
    assert "`--all-passes` is for a run that goes on" in err
    status, _, err = run("train", "--resume", "a", "--all-passes", *OFF)
    assert status == 2
    assert "name one of them" in err


def test_a_comparison_without_passes_says_so_and_is_another_one(run: Run, spec: Path) -> None:
    """Each of its runs is made without them, whether a folder keeps it or not, and whoever makes it."""
    short = ("--seeds", 1, "--no-audit", "--set", "train.epochs=1")
    call = ("compare", spec, *TORCH, "--rules", "bp,ldfa", *short)
    status, out, _ = run(*call, *OFF, "--out", "kept")
    assert status == 0
    assert (
        "compiled without `addmm`, `share_common`, see docs/passes.md: results are those of all passes" in out
    )
    for folder in sorted(Path("kept/runs").iterdir()):
        assert passes(str(folder)) == [name for name in all_of("torch") if name not in OFF]
    assert run(*call, *OFF[2:], *OFF[:2], "--out", "kept")[:2] == (0, out)
    status, _, err = run(*call, "--out", "kept")
    assert status == 2
    assert "`kept` holds another comparison: `disable` is " in err
    # one that leaves none out is what it was before anybody could ask
    assert run(*call, "--out", "other")[0] == 0
    assert "disable" not in json.loads(Path("other/plan.json").read_text())


def test_whoever_trains_leaves_the_same_passes_out(spec: Path) -> None:
    """In this process where nothing is kept, and in others."""
    document, where = read(str(spec)), Where("torch", disable=("addmm",))
    trainer = Trainer(where)
    assert trainer.opened(document, trainer.lowered(document)).compiled.disabled == {"addmm"}
    seen: list[Setup] = []

    class Apart(Workers):
        """Processes that are never asked for."""

        @contextmanager
        def opened(self, setup: Setup, say: object) -> Iterator[Any]:
            seen.append(setup)
            yield SimpleNamespace(room=False, busy=False)

    nothing: Any = SimpleNamespace(next=lambda: None)
    make_apart(trainer, nothing, "0 trainings", Apart("processes", 1), spec.parent)
    assert seen[0].trainer().where.disable == ("addmm",)


def test_a_sweep_without_passes(run: Run, spec: Path) -> None:
    data = ("--set", "data.validation=0.2", "--set", "train.epochs=1")
    call = (
        "sweep",
        spec,
        *TORCH,
        *data,
        "--over",
        "update.lr=0.1",
        "--seeds",
        1,
        "--no-audit",
        "--out",
        "kept",
    )
    status, out, err = run(*call, "--disable-pass", "addmm")
    assert status == 0, err
    assert "compiled without `addmm`" in out
    for place in Path("kept").rglob(checkpoint.FILE):
        assert "addmm" not in passes(str(place.parent))
    status, _, err = run(*call)
    assert status == 2
    assert "`kept` holds another sweep: `disable` is " in err


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
    for command in ("compile", "train", "compare"):
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
