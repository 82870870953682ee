"""Programs of others that read what this project publishes. `make test-tools` installs and runs them."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = Path(os.environ.get("FAC_TOOLS", ROOT / ".cache/tools")).absolute()


def program(name: str) -> Path:
    """An installed program, from npm or from the Python of the tools."""
    places = (TOOLS / "node_modules/.bin" / name, TOOLS / "python/bin" / name)
    found = [place for place in places if place.exists()]
    assert found, f"{name} is not installed: run `make test-tools`"
    return found[0]


def environment() -> dict[str, str]:
    """Variables with which node is found, also where it came with the tools."""
    return os.environ | {"PATH": os.pathsep.join((os.environ["PATH"], str(TOOLS / "python/bin")))}


def beside() -> dict[str, str]:
    """Variables with which the Python of these tests finds packages that `.venv` does without."""
    path = TOOLS / "beside"
    assert path.exists(), f"{path} is not there: run `make test-tools`"
    return os.environ | {"PYTHONPATH": str(path), "OMP_NUM_THREADS": "1"}
