"""Numbers below the normal range are zero inside the calls of a session, in all threads, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from fac.backend import Compiled, Precision, denormals, denormals_as_zero
from fac.diagnostics import FacError
from fac.pipeline import compile, find_backend
from fac.step.builder import Builder
from fac.step.types import N, Type
from fac.testing.case import Subject, distance
from fac.testing.nets import batch, linear, spec
from fac.testing.ops import forward_alone

BACKENDS = ("reference", "torch", "onnx")
WIDE = 40_000
"""More numbers than torch or onnxruntime leave to one thread."""
PAIRS: dict[Precision, tuple[tuple[float, float], ...]] = {
    "float32": ((1e-30, 1e-10), (1e-40, 1e20)),
    "float64": ((1e-300, 1e-20), (1e-310, 1e40)),
}
"""Factors of which the product is denormal, or the first is."""
MOMENTUM: Any = {"rule": "sgd", "lr": 0.05, "momentum": 0.9}


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In torch and onnxruntime alike."""
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def computes_denormals() -> bool:
    """Whether this thread, and those that NumPy and torch compute with, make denormal numbers and read them."""
    found = [np.full(9, 1e-30, np.float32) * np.float32(1e-10), np.array([1e-310]) * 1e40, np.array(5e-324)]
    found += [(torch.full((WIDE, 3), small) * factor).numpy() for small, factor in PAIRS["float32"]]
    return all((array != 0).all() for array in found)


def products(factor: float) -> Compiled:
    """Functions of which `forward` makes x [N, WIDE] times a row of equal numbers, which is state."""
    b = Builder()
    x, row = b.input("x", Type((N, WIDE))), b.input("row", Type((WIDE,)))
    forward = b.finish("forward", {"output": b.mul(x, row)})
    return forward_alone(forward, (WIDE,), (WIDE,), {"row": np.full(WIDE, factor)})


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_denormal_results_and_operands_are_zero_in_all_threads(backend: str, precision: Precision) -> None:
    for small, factor in PAIRS[precision]:
        session = Subject(find_backend(backend), precision, "cpu").open_functions(products(factor))
        assert np.count_nonzero(session.forward(np.full((3, WIDE), small))) == 0
        assert computes_denormals()


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_call_counts_denormals_as_zero(backend: str) -> None:
    """Errors of 1e-20 on activations of 1e-20: the gradient of 1e-40 is none, and its momentum stays 0."""
    data = spec((linear("fc1", 4), linear("out", 3)), update=MOMENTUM, loss="mse")
    session = compile(data, backend, "float32").open(device="cpu")
    x, y = batch(classes=None)
    session.load_state({name: array * ("bias" not in name) for name, array in session.state().items()})
    session.step(x * 1e-20, y * 1e-20)
    assert session.evaluate(x * 1e-20, y * 1e-20)["loss"] == 0
    assert session.probe(x * 1e-20, y * 1e-20)["loss"] == 0
    state = session.state()
    assert not state["fc1.weight.momentum"].any()
    assert state["out.bias.momentum"].any()
    assert computes_denormals()


TINY: Any = spec((linear("fc1", 40), linear("fc2", 40), linear("out", 3)), update=MOMENTUM, loss="mse")


def steps_of_tiny(session: Any, first: int, last: int) -> None:
    """Gradients of 1e-39 to 1e-37: some of their sums are normal, some not."""
    for step in range(first, last):
        x, y = batch(40, classes=None, seed=step)
        session.step(x * 1e-18, y * 1e-18)


@pytest.mark.parametrize("backend", BACKENDS)
def test_resumed_equals_unbroken_where_numbers_vanish(backend: str) -> None:
    artifact = compile(TINY, backend, "float32")
    whole, first = artifact.open(device="cpu"), artifact.open(device="cpu")
    steps_of_tiny(whole, 0, 8)
    steps_of_tiny(first, 0, 4)
    second = artifact.open(first.state(), "cpu")
    steps_of_tiny(second, 4, 8)
    assert distance_of_states(whole.state(), second.state()) == 0


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_backends_agree_where_numbers_vanish(backend: str) -> None:
    """To the smallest normal number and rounding, as everywhere."""
    found, expected = (compile(TINY, name, "float32").open(device="cpu") for name in (backend, "reference"))
    for session in (found, expected):
        steps_of_tiny(session, 0, 8)
    assert distance_of_states(found.state(), expected.state()) < 1e-6


def distance_of_states(a: dict[str, Any], b: dict[str, Any]) -> float:
    return max(distance(a[name], b[name]) for name in a)


def test_the_written_step_is_that_of_the_session() -> None:
    """With the setting that its docstring asks for, where the session makes its own."""
    artifact: Any = compile(TINY, "torch", "float32")
    session, module = artifact.open(device="cpu"), artifact.module()
    written = {name: tensor.clone() for name, tensor in session.tensors.items()}
    session.matmul = "highest"
    steps_of_tiny(session, 0, 4)
    torch.set_flush_denormal(True)
    try:
        for step in range(4):
            x, y = (torch.tensor(a * 1e-18, dtype=torch.float32) for a in batch(40, classes=None, seed=step))
            module.step(written, module.workspace(written, 40), x, y, 0.05, step)
    finally:
        torch.set_flush_denormal(False)
    assert all(torch.equal(written[name], tensor) for name, tensor in session.tensors.items())


# -- the setting --------------------------------------------------------------------------------------------------


def test_the_setting_nests_and_survives_exceptions() -> None:
    assert denormals.flag_works(), "this kind of machine is known"
    with denormals_as_zero():
        with denormals_as_zero():
            assert not computes_denormals()
        assert not computes_denormals()
        with pytest.raises(ZeroDivisionError), denormals_as_zero():
            _ = 1 / 0
        assert not computes_denormals()
    assert computes_denormals()


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_call_that_fails_puts_it_back(backend: str) -> None:
    session = compile(spec((linear("fc1", 4), linear("out", 3))), backend).open(device="cpu")
    x, _ = batch()
    with pytest.raises((FacError, RuntimeError, ValueError)):
        session.run_forward({"x": session.place(x[:, :4])})
    assert computes_denormals()


def test_a_process_that_flushes_goes_on_to() -> None:
    session = compile(spec((linear("fc1", 4), linear("out", 3))), "torch").open(device="cpu")
    torch.set_flush_denormal(True)
    try:
        session.step(*batch())
        assert not computes_denormals()
    finally:
        torch.set_flush_denormal(False)


def test_a_machine_that_is_not_known_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denormals, "FLAGS", {})
    denormals.flag_works.cache_clear()
    try:
        with denormals_as_zero():
            assert computes_denormals()
    finally:
        denormals.flag_works.cache_clear()


FIRST = """
import sys
import fac
from fac.testing.nets import batch, linear, spec
layers = (linear("fc1", int(sys.argv[2])), linear("out", 3))
session = fac.compile(spec(layers), backend=sys.argv[1], precision="float64").open(device="cpu")
session.step(*batch(int(sys.argv[3])))
small = [1e-300 * float(word) for word in ("1e-20", "1e-15")]
if sys.argv[1] == "torch":
    import torch
    small += (torch.full((200_000,), 1e-30) * 1e-10).unique().tolist()
assert 0 not in small, small
"""


@pytest.mark.parametrize(
    ("backend", "width", "samples"),
    [("torch", "8", "20000"), ("torch", "8000", "50"), ("onnx", "8", "20000")],
)
def test_threads_that_come_to_be_in_a_call_do_not_keep_it(backend: str, width: str, samples: str) -> None:
    """In a process of its own: the first use of torch's threads, or of onnxruntime, sets what they start with."""
    command = [sys.executable, "-c", FIRST, backend, width, samples]
    ended = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "2"}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
