"""A few of the cases of `make test-cuda`, and of its faults: what that target proves of all stands here for these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from fac.testing.case import Case
from fac.testing.suite import CASES
from fac_torch import kernels
from fac_torch.device import arithmetic, float32_products
from tests.cuda.conftest import on_cuda, watched
from tests.cuda.watch import Watch

__all__ = ["on_cuda", "watched"]
FEW = ("op/norm(f[N, 3], f[3])", "rule/ldfa_oja_kp x adam", "step/placed batches")


@pytest.mark.parametrize("name", FEW)
def test_nothing_waits_and_nothing_is_elsewhere(name: str, on_cuda: Callable[[Case], Watch]) -> None:
    watch = on_cuda(CASES[name])
    assert watch.seen
    assert watch.found == []


def test_a_kernel_that_waits_is_found(
    on_cuda: Callable[[Case], Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = kernels.cross_entropy_input

    def faulty(scale: float | Tensor, z: Tensor, *more: Any, **told: Any) -> Tensor:
        return plain(scale, z.mul(z.abs().amax().item()), *more, **told)

    monkeypatch.setattr(kernels, "cross_entropy_input", faulty)
    found = on_cuda(CASES["step/placed batches"]).found
    assert found
    assert all("waits for the device" in note for note in found)


def test_convolutions_are_as_precise_as_products_and_add_up_in_one_order() -> None:
    """cuDNN would take TF32 by itself, and its own choice of kernels."""
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32, cudnn.deterministic
    for products, tf32 in (("highest", False), ("high", True)):
        with float32_products(products), arithmetic("cuda", "highest", large=False):
            assert (cudnn.allow_tf32, cudnn.deterministic) == (tf32, True)
    assert (cudnn.allow_tf32, cudnn.deterministic) == before
