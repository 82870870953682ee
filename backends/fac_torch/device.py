"""Everything that depends on the device: which there are, and with which settings a session computes on them."""

from __future__ import annotations

import ctypes
import os
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from fac.backend import denormals_as_zero, setting
from fac.diagnostics import FacError

MAX_ERROR = 1e-5
"""Relative; float32 products are near 4e-7, bfloat16 ones near 2e-3."""


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


def captures(device: torch.device) -> bool:
    """Whether steps are recorded once, and queued as a whole from then on."""
    return device.type == "cuda"


@cache
def float32_libraries(kind: str) -> tuple[str, ...]:
    """The settings of float32 products that are float32 arithmetic: `highest`, and `medium` where that is, too.

    On CPUs with bfloat16 tiles `medium` rounds the operands, which the measured error shows.
    """
    if kind != "cpu":
        return ("highest",)
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.randn(shape, generator=generator) for shape in ((64, 512), (256, 512)))
    exact = x.double() @ w.double().T
    with float32_products("medium"):
        error = float(((x @ w.T).double() - exact).abs().max() / exact.abs().max())
    return ("highest", "medium") if error < MAX_ERROR else ("highest",)


@cache
def matmul_precision(kind: str) -> str:
    """`medium` on AMD CPUs, if it is float32 arithmetic there; else `highest`.

    The default library takes a slow path on AMD's CPUs, and `medium` avoids it: 1.1 to 1.3 times faster products
    on Zen 4. Nothing is decided by a clock here, because the setting changes the last digits: with a clock it is
    decided once, and kept (`tuning`).
    """
    return float32_libraries(kind)[-1] if kind == "cpu" and is_amd() else "highest"


def is_amd() -> bool:
    """Whether the CPU says that AMD made it."""
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return "AMD" in platform.processor()


float32_products = partial(setting, torch.get_float32_matmul_precision, torch.set_float32_matmul_precision)
"""Run with one of `highest`, `high`, `medium`."""


@contextmanager
def arithmetic(kind: str, products: str, large: bool, threads: int | None = None) -> Iterator[None]:
    """The settings of a session during its calls; all are put back.

    GPUs compute with denormal numbers as fast as with others, so that nothing is set for them. Nor is the precision of
    products where nothing is gained: then the process's own setting holds. It holds for convolutions on a GPU, too,
    which torch would compute in TF32 while products are in float32, and by kernels that add up in changing orders.

    Args:
        kind: of the device.
        products: how float32 products are computed.
        large: whether torch shares the work among threads.
        threads: how many there are; as many as there are already if not given.
    """
    if kind != "cpu":
        with convolutions(tf32=torch.backends.cuda.matmul.allow_tf32):
            yield
        return
    with (
        nullcontext() if threads is None else on_threads(threads),
        nullcontext() if products == "highest" else float32_products(products),
        denormals_as_zero(in_all_threads if large else with_threads_as_they_are),
    ):
        yield


on_threads = partial(setting, torch.get_num_threads, torch.set_num_threads)
"""Run on so many threads of torch."""


@contextmanager
def convolutions(tf32: bool) -> Iterator[None]:
    """Run with these settings of cuDNN, which are global, and put the old ones back."""
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32, cudnn.deterministic
    cudnn.allow_tf32, cudnn.deterministic = tf32, True
    try:
        yield
    finally:
        cudnn.allow_tf32, cudnn.deterministic = before


SHARED = 32768
"""Numbers in an array up to which torch leaves the work on it to one thread."""
team = threading.local()
"""How many OpenMP threads a Python thread has that came to be outside of a call."""


def in_all_threads(function: Any, argument: Any) -> None:
    """Run a C function in this thread and in those that torch computes with.

    Threads of GNU's OpenMP take over the floating-point environment of the thread that first needs them, and then keep
    it: to set it in this one alone would leave half a product slow. Other OpenMP libraries hand the environment on.
    """
    threads = torch.get_num_threads()
    if threads == 1 or openmp() is None:
        function(argument)
    else:
        openmp()(ctypes.cast(function, ctypes.c_void_p), argument, threads, 0)


def with_threads_as_they_are(function: Any, argument: Any) -> None:
    """Run a C function in this thread alone: waking the others would take longer than a step of a small network.

    They are made before the first call, or those that come to be inside it would keep a setting that is not theirs.
    """
    threads = torch.get_num_threads()
    if getattr(team, "size", 1) < threads:
        in_all_threads(ctypes.CDLL(None).free, None)  # frees nothing
        team.size = threads
    function(argument)


@cache
def openmp() -> Any:
    """GNU's way to run a C function once in each thread, in the library that torch is linked with; None elsewhere."""
    try:
        return ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so")).GOMP_parallel
    except (OSError, AttributeError):
        return None


MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""How glibc's `mallopt` calls them."""
LARGEST, MOST = 32 << 20, 256 << 20
"""Bytes of a piece, the most that glibc allows, and of free memory at the end of the heap, that are kept."""


@cache
def keep_what_is_freed() -> None:
    """Have glibc keep what a step gives back for the next one, unless the environment says how it is to be.

    By itself it takes pieces of more than 128 KiB from the system and gives them back, until one was freed that was
    larger: so what a process has done before decides how long a convolution takes, whose results torch allocates. Two
    of 16 channels on 128 maps of 28 x 28 took 1.5 times as long.
    """
    named = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if named or platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(MMAP_THRESHOLD, LARGEST)
    mallopt(TRIM_THRESHOLD, MOST)
