"""Faults that are planted into a kernel, and have to be found: that the other tests can fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorDeviceMismatchError

from fac.testing.case import Case
from fac.testing.suite import CASES
from fac_torch import kernels
from fac_torch.session import TorchSession
from tests.cuda.watch import Watch

RELU = CASES["layer/relu"]
PLAIN = kernels.relu_input
COPIES, WAITS, HOST, ELSEWHERE = (
    "copies between host and device, and waits",
    "waits for the device",
    "has a tensor on the host",
    "has no kernel for CUDA",
)
WRITTEN: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "item": (lambda y: y.sum().item(), WAITS),
    "float": (lambda y: float(y.sum()), WAITS),
    "a condition": (lambda y: bool((y > 0).any()), WAITS),
    "a copy to the host": (lambda y: y.cpu(), COPIES),
    "a copy from the host": (lambda y: torch.tensor(1.0, device=y.device), COPIES),
    "a copy from memory that is not pinned": (
        lambda y: y.copy_(torch.zeros(y.shape), non_blocking=True),
        COPIES,
    ),
    "a tensor on the host": (lambda y: torch.zeros(3), HOST),
    "a scalar on the host beside the device": (lambda y: y * torch.tensor(2.0), HOST),
    "attention on a CPU": (
        lambda y: torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(*[y[None, None]] * 3),
        ELSEWHERE,
    ),
    "a decomposition": (lambda y: torch.linalg.inv(y.T @ y), WAITS),
}
RAISED: dict[str, tuple[Callable[[Tensor], Any], type[Exception]]] = {
    "two devices in one op": (lambda y: y + torch.zeros(y.shape), FakeTensorDeviceMismatchError),
    "a shape that depends on numbers": (lambda y: y.nonzero(), DynamicOutputShapeException),
    "numpy": (lambda y: y.numpy(), TypeError),
}


def plant(monkeypatch: pytest.MonkeyPatch, fault: Callable[[Tensor], Any]) -> None:
    """Every backward pass through a relu does this, too."""

    def faulty(g: Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
        fault(y)
        return PLAIN(g, y, out)

    monkeypatch.setattr(kernels, "relu_input", faulty)


@pytest.mark.parametrize("name", WRITTEN)
def test_faults_are_written_down(
    name: str, on_cuda: Callable[[Case], Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault, expected = WRITTEN[name]
    plant(monkeypatch, fault)
    found = on_cuda(RELU).found
    assert any(note.startswith("step: ") and expected in note for note in found), found


@pytest.mark.parametrize("name", RAISED)
def test_faults_are_raised(
    name: str, on_cuda: Callable[[Case], Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault, expected = RAISED[name]
    plant(monkeypatch, fault)
    with pytest.raises(expected):
        on_cuda(RELU)


def test_a_batch_taken_through_memory_that_is_not_pinned(
    on_cuda: Callable[[Case], Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    def take(session: TorchSession, placed: Tensor, rows: Any) -> Tensor:
        return placed.index_select(0, torch.from_numpy(rows).to(session.on))

    monkeypatch.setattr(TorchSession, "take", take)
    assert any(COPIES in note for note in on_cuda(CASES["step/placed batches"]).found)
