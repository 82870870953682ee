"""Garbage collection, which waits while many objects are made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect nothing inside; also a decorator.

    A compilation makes objects by the million and hardly any cycles: of a network of 1,000 layers the collector takes a
    third of the time, because it walks over all that is alive again and again. What another thread finds switched off
    stays so until the first of them is done.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
