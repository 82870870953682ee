"""A state that this machine cannot hold is refused before anything is allocated."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from math import prod
from pathlib import Path

from fac.diagnostics import FacError

LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says how much a container may take, in either version of its control groups."""
GIB = 1 << 30


def require_memory(what: str, shapes: Mapping[str, tuple[int, ...]], bytes_each: int) -> None:
    """Refuse arrays that together are larger than the memory of the machine, or of the container.

    A lower bound: whoever makes them needs more, and may run out of it all the same.

    Args:
        what: whose arrays they are, for the message.
        shapes: by name.
        bytes_each: of a number.

    Raises:
        FacError: naming the largest, and what to do.
    """
    sizes = {name: prod(shape) for name, shape in shapes.items()}
    needed, there = sum(sizes.values()) * bytes_each, memory()
    if there is None or needed <= there:
        return
    largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
    named = ", ".join(
        f"`{name}` {list(shapes[name])} with {sizes[name] * bytes_each / GIB:,.1f} GiB" for name in largest
    )
    raise FacError(
        f"{what} needs {needed / GIB:,.1f} GiB in float{8 * bytes_each}, and there are {there / GIB:,.1f} GiB of "
        f"memory: the largest of its arrays are {named}; use narrower layers or lower ranks"
    )


def memory() -> int | None:
    """Bytes that this process may have at most; None where the system does not say."""
    found = [limit for path in LIMITS if (limit := _limit(Path(path))) is not None]
    with suppress(AttributeError, ValueError, OSError):  # not there on Windows
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min((size for size in found if size > 0), default=None)


def _limit(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None  # `max` is none
