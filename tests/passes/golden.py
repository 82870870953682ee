"""Expected text in files beside the tests. FAC_UPDATE_GOLDEN=1 writes what is there now."""

from __future__ import annotations

import os
from pathlib import Path


def matches(path: Path, actual: str) -> None:
    """Compare with the file, or rewrite it if asked."""
    if os.environ.get("FAC_UPDATE_GOLDEN"):
        path.write_text(actual, encoding="utf-8")
    assert actual == path.read_text(encoding="utf-8")
