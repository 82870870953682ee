"""What `make test` collects."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_make_test_runs_the_tests_with_programs_of_others_too() -> None:
    """pytest leaves them out by itself, also where they are named beside the folder that they lie in."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]["ini_options"]
    rule = re.search(
        r"^test: .*\n\t\$\(SPREAD\) -o 'norecursedirs=(.*)' tests$",
        (ROOT / "Makefile").read_text("utf-8"),
        re.M,
    )
    assert rule is not None
    assert {*settings["norecursedirs"]} - {*rule[1].split()} == {"tools"}
    assert {*rule[1].split()} <= {*settings["norecursedirs"]}
