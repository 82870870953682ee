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
    sizes = {name: prod(shape) * bytes_each for name, shape in shapes.items()}
    largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
    named = ", ".join(f"`{name}` {list(shapes[name])} with {sizes[name] / GIB:,.1f} GiB" for name in largest)
    _require(
        what,
        sum(sizes.values()),
        f" in float{8 * bytes_each}",
        f"the largest of its arrays are {named}; use narrower layers or lower ranks",
    )


def require_room(what: str, needed: int, remedy: str) -> None:
    """Refuse what comes in if it is larger than the memory.

    Args:
        what: is to be read, for the message.
        needed: how many bytes it takes.
        remedy: what to do, or to think.

    Raises:
        FacError: it is larger.
    """
    _require(what, needed, "", remedy)


def _require(what: str, needed: int, how: str, remedy: str) -> None:
    there = memory()
    if there is not None and needed > there:
        raise FacError(
            f"{what} needs {needed / GIB:,.1f} GiB{how}, and there are {there / GIB:,.1f} GiB of memory: {remedy}"
        )


def memory() -> int | None:
    """Bytes that this process may have at most; None where the system does not say."""
    found = [limit for path in LIMITS if (limit := _limit(Path(path))) is not None]
    with suppress(AttributeError, ValueError, OSError):  # not there on Windows
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(ImportError):  # likewise
        import resource

        kinds = (resource.RLIMIT_AS, resource.RLIMIT_DATA)
        found += [soft for kind in kinds if (soft := resource.getrlimit(kind)[0]) != resource.RLIM_INFINITY]
    return min((size for size in found if size > 0), default=None)


def _limit(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None  # `max` is none
