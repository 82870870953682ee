"""Everything that depends on the device: which there are, and how float32 products are computed on them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

from fac.diagnostics import FacError

ROUNDS = 9
MAX_ERROR = 1e-5
"""Relative; float32 products are near 4e-7, bfloat16 ones near 2e-3."""
MIN_GAIN = 1.3


def available() -> tuple[str, ...]:
    """CUDA first, if it is there."""
    return ("cuda", "cpu") if torch.cuda.is_available() else ("cpu",)


def chosen(name: str | None) -> torch.device:
    """The device of that name, or the default one.

    Raises:
        FacError: torch cannot use it here.
    """
    name = name or available()[0]
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise FacError(
            f"torch cannot use the device `{name}` here; it has {', '.join(available())}"
        ) from error
    return device


@cache
def matmul_precision(kind: str) -> str:
    """`medium` where that is faster and still float32 arithmetic, as on AMD CPUs, else `highest`.

    On CPUs with bfloat16 tiles `medium` rounds the operands, which the measured error shows. The setting is
    probed once per process, with a generator of its own, and by the fastest of several rounds, which a busy
    machine disturbs least.
    """
    if kind != "cpu":
        return "highest"
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.randn(shape, generator=generator) for shape in ((128, 1024), (1024, 1024)))
    exact = x.double() @ w.double().T
    times: dict[str, float] = {}
    error = 0.0
    for mode in ("highest", "medium"):
        with float32_products(mode):
            error = float(((x @ w.T).double() - exact).abs().max() / exact.abs().max())
            samples = []
            for _ in range(ROUNDS):
                start = time.perf_counter()
                x @ w.T
                samples.append(time.perf_counter() - start)
        times[mode] = min(samples)
    return "medium" if error < MAX_ERROR and times["highest"] > MIN_GAIN * times["medium"] else "highest"


@contextmanager
def float32_products(mode: str) -> Iterator[None]:
    """Run with this setting of `torch.set_float32_matmul_precision`, which is global, and put the old one back."""
    before = torch.get_float32_matmul_precision()
    if before == mode:
        yield
        return
    torch.set_float32_matmul_precision(mode)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
