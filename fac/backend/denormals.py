"""Numbers too small for their type's exponent count as zero while a session computes, and only then.

A network that has fitted its data sends errors below 1.2e-38 in float32. Such denormal numbers carry few digits, and
many CPUs handle them in microcode: a step of width 1024 was seen to take five times as long. What counts as zero is
a flag in the floating-point environment of each *thread*, which C's `fenv.h` reads and writes.
"""

from __future__ import annotations

import ctypes
import platform
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

FLAGS = {"x86_64": (28, 0x8040), "aarch64": (0, 1 << 24)}
"""Where `fenv_t` keeps the control word on Linux, and which bits make denormal operands and results zero there."""
MACHINE = platform.machine()
ROOM = 64
"""Bytes, more than `fenv_t` has."""

Everywhere = Callable[[Any, Any], object]
"""Runs a C function of one argument, a pointer, in the calling thread and in those that work for it."""


@contextmanager
def denormals_as_zero(everywhere: Everywhere | None = None) -> Iterator[None]:
    """Compute so inside, and put back what the calling thread had before, also after an exception.

    Where the machine or its C library is not known (`flag_works`) nothing happens: that costs time, not correctness,
    because the numbers differ by less than 1.2e-38 in float32 and 2.3e-308 in float64.

    Args:
        everywhere: reaches more threads than this one, which are left with what this one had before.
    """
    if not flag_works():
        yield
        return
    run, c = everywhere or _here, library()
    before = ctypes.create_string_buffer(ROOM)
    c.fegetenv(before)
    run(c.fesetenv, _with_flag(before.raw))
    try:
        yield
    finally:
        run(c.fesetenv, before)


def _here(function: Any, argument: Any) -> None:
    function(argument)


@cache
def flag_works() -> bool:
    """Whether setting the flag of this kind of machine really makes a denormal product zero."""
    if sys.platform != "linux" or MACHINE not in FLAGS or not hasattr(library(), "fesetenv"):
        return False
    before = ctypes.create_string_buffer(ROOM)
    library().fegetenv(before)
    library().fesetenv(_with_flag(before.raw))
    found = _denormal_product()
    library().fesetenv(before)
    return found == 0.0


@cache
def library() -> Any:
    """The C library, whose mathematics every process that runs Python has loaded."""
    return ctypes.CDLL(None)


@lru_cache(8)
def _with_flag(environment: bytes) -> Any:
    """A thread's environment changes next to never, and a small step takes no longer than making one."""
    start, bits = FLAGS[MACHINE]
    changed = ctypes.create_string_buffer(environment, ROOM)
    struct.pack_into("I", changed, start, struct.unpack_from("I", changed, start)[0] | bits)
    return changed


def _denormal_product(small: float = 1e-300) -> float:
    return small * 1e-10
