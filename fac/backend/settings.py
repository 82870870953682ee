"""Settings of a framework are those of the whole process: a session that wants another one puts the old one back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def setting(read: Callable[[], T], write: Callable[[T], object], value: T) -> Iterator[None]:
    """Run with this value, and put the old one back.

    Args:
        read: says what it is.
        write: makes it another.
        value: to run with.
    """
    before = read()
    if before == value:
        yield
        return
    write(value)
    try:
        yield
    finally:
        write(before)
