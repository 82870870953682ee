"""How many threads share the work of one operation, on which the last bits of sums depend."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import RLock

from threadpoolctl import ThreadpoolController

LOCK = RLock()
"""The setting is the process's: of two that change it at once, one would put back what the other had set."""


def allowed() -> int:
    """How many threads the process may use: what `OMP_NUM_THREADS` says, else one for each CPU that it may run on."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return processors()


def processors() -> int:
    """How many CPUs the process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Run NumPy's linear algebra in one thread, and put the old setting back.

    A library without such a setting, such as Apple's Accelerate, runs as it likes.
    """
    with LOCK, blas().limit(limits=1, user_api="blas"):
        yield


@cache
def blas() -> ThreadpoolController:
    """The libraries that NumPy has loaded: found once, which takes longer than to set them."""
    import numpy.linalg  # noqa: F401 - so that they are loaded

    return ThreadpoolController()
