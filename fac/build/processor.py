"""What the processor of this machine is called."""

from __future__ import annotations

import platform
from pathlib import Path

INFO = Path("/proc/cpuinfo")
"""Where Linux says what its processors are; the first of them is meant."""


def processor() -> str:
    """As the system calls it; with family and model, because virtual machines shorten names."""
    try:
        lines = INFO.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    found: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    name = found.get("model name") or platform.processor() or platform.machine()
    numbers = ", ".join(
        f"{word} {found[key]}" for key, word in (("cpu family", "family"), ("model", "model")) if key in found
    )
    return f"{name} ({numbers})" if numbers else name
