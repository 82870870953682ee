"""More than memory holds is one message, wherever it is met."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch

import fac
from fac import cli, memory
from fac.backend import Session
from fac.diagnostics import FacError
from fac.testing.nets import NET, batch, linear, mlp, spec
from fac_onnx.runtime import ort
from fac_onnx.session import running
from fac_torch.session import TorchSession, told

BACKENDS = pytest.mark.parametrize("backend", ["reference", "torch", "onnx"])
LARGE = spec((linear("fc1", 3 * 10**7), linear("fc2", 2**25), linear("out", 3)))
SAID = {
    "float64": (
        r"needs 7,500,002\.3 GiB in float64, and there are [\d,.]+ GiB of memory: the largest of its arrays are "
        r"`fc2\.weight` \[33554432, 30000000\] with 7,500,000\.0 GiB, .*; use narrower layers or lower ranks"
    ),
    "float32": (
        r"needs 3,750,001\.2 GiB in float32, and there are [\d,.]+ GiB of memory: the largest of its arrays are "
        r"`fc2\.weight` \[33554432, 30000000\] with 3,750,000\.0 GiB, .*; use narrower layers or lower ranks"
    ),
}
"""2^25 x 3e7 weights of 8 bytes are 7,500,000 GiB."""


@BACKENDS
def test_a_state_beyond_memory_is_refused_before_it_is_made(backend: str, tmp_path: Path) -> None:
    artifact = fac.compile(LARGE, backend)
    said = SAID[artifact.precision]
    with pytest.raises(FacError, match=f"^the state of `demo` {said}"):
        artifact.open()
    with pytest.raises(FacError, match=f"^the initial state {said}"):
        artifact.write(tmp_path / "built")


def test_what_there_is_is_the_least_of_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group, other = tmp_path / "memory.max", tmp_path / "gone"
    monkeypatch.setattr(memory, "LIMITS", (str(group), str(other)))
    group.write_text("max\n")
    machine = memory.memory()
    assert machine is not None
    assert machine > 2**20
    group.write_text("1048576\n")
    assert memory.memory() == 2**20
    memory.require_memory("it", {"a": (2**17,)}, 8)
    with pytest.raises(FacError, match=r"`a` \[131073\] with 0\.0 GiB"):
        memory.require_memory("it", {"a": (2**17 + 1,)}, 8)


@BACKENDS
def test_a_state_needs_room_in_its_own_precision(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = fac.compile(spec(mlp(8, 3)), backend, "float32")
    state = artifact.open().state()
    numbers = sum(prod(slot.shape) for slot in artifact.compiled.state)
    limit = tmp_path / "memory.max"
    limit.write_text(f"{4 * numbers}\n")
    monkeypatch.setattr(memory, "LIMITS", (str(limit),))
    assert artifact.open(state).state().keys() == state.keys()
    assert artifact.open().state().keys() == state.keys()
    limit.write_text(f"{4 * numbers - 1}\n")
    with pytest.raises(FacError, match=r"needs 0\.0 GiB in float32"):
        artifact.open(state)
    with pytest.raises(FacError, match=r"needs 0\.0 GiB in float32"):
        artifact.open()


def test_torch_says_how_much_more_it_asked_for() -> None:
    with (
        pytest.raises(
            FacError, match=r"memory of `cpu` ran out, of which torch asked for 4503599627370496 byte"
        ),
        told("cpu"),
    ):
        torch.empty(2**50)
    wanted = r"memory of `cuda` ran out, of which torch asked for 20\.00 MiB more"
    with pytest.raises(FacError, match=wanted), told("cuda"):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has")
    with pytest.raises(RuntimeError, match="shapes"), told("cpu"):
        raise RuntimeError("shapes do not fit")


RUNS: dict[str, Callable[[Session], object]] = {
    "step": lambda session: session.step(*batch()),
    "evaluate": lambda session: session.evaluate(*batch()),
    "forward": lambda session: session.forward(batch()[0]),
    "probe": lambda session: session.probe(*batch()),
}


@pytest.mark.parametrize("function", RUNS)
def test_whatever_torch_runs_says_so(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        torch.empty(2**50)

    session = fac.compile(spec(NET), "torch").open(device="cpu")
    assert isinstance(session, TorchSession)
    RUNS[function](session)
    monkeypatch.setattr(session.module, function, full)
    with pytest.raises(FacError, match=r"^the memory of `cpu` ran out, of which torch asked for"):
        RUNS[function](session)


def test_so_does_onnxruntime() -> None:
    with (
        pytest.raises(FacError, match=r"^memory ran out in onnxruntime \(.*\): use a smaller batch"),
        running(),
    ):
        ort.OrtValue.ortvalue_from_shape_and_type([2**50], np.float32, "cpu", 0)


def test_whatever_else_meets_the_end_of_memory_is_no_internal_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        np.empty(2**60, np.uint8)

    monkeypatch.setattr(cli.fac, "main", full)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    found = capsys.readouterr().err
    assert re.fullmatch(
        r"fac: memory ran out: Unable to allocate 1.00 EiB .*; `fac show SPEC --cost` .*\n", found
    )
