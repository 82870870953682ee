"""How many threads share the work of one operation, on which the last bits of sums depend."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import RLock

import numpy as np

NAMES = (
    ("scipy_openblas_get_num_threads64_", "scipy_openblas_set_num_threads64_"),
    ("scipy_openblas_get_num_threads", "scipy_openblas_set_num_threads"),
    ("openblas_get_num_threads64_", "openblas_set_num_threads64_"),
    ("openblas_get_num_threads", "openblas_set_num_threads"),
    ("MKL_Get_Max_Threads", "MKL_Set_Num_Threads"),
)
"""What the libraries behind NumPy call the two functions: OpenBLAS in its builds, and MKL."""
LOCK = RLock()
"""The setting is the process's: of two that change it at once, one would put back what the other had set."""


def allowed() -> int:
    """How many threads the process may use: what `OMP_NUM_THREADS` says, else one for each CPU that it may run on."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Run NumPy's linear algebra in one thread, and put the old setting back.

    A library without such a setting, such as Apple's Accelerate, runs as it likes.
    """
    found = _setting()
    if found is None:
        yield
        return
    read, write = found
    with LOCK:
        before = read()
        write(1)
        try:
            yield
        finally:
            write(before)


@cache
def _setting() -> tuple[Callable[[], int], Callable[[int], object]] | None:
    """How to read and set the number of threads of the library that NumPy has loaded."""
    site = Path(np.__file__).parents[1]
    # the first finds a library that the system or an environment brings, the others the one in NumPy's own package
    files = [str(import_module("numpy.linalg._umath_linalg").__file__)]
    files += map(str, sorted(site.glob("numpy.libs/*openblas*")))
    for file in files:
        try:
            library = ctypes.CDLL(file)
        except OSError:
            continue
        for read, write in NAMES:
            if hasattr(library, read) and hasattr(library, write):
                return getattr(library, read), getattr(library, write)
    return None
