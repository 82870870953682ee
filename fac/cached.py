"""Where fac keeps on a machine what can be had again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """`$FAC_CACHE/NAME`, by default in `fac` under `$XDG_CACHE_HOME` or `~/.cache`."""
    if own := os.environ.get("FAC_CACHE"):
        return Path(own) / name
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "fac" / name
