"""Milliseconds of each stage of one `fac check` in a fresh process, imports and first-use costs included, as JSON.

Run by `check_speed`, which gives it the file. Imports stand where the command has them, because they are most of it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from time import process_time
from typing import TypeVar

T = TypeVar("T")


def main(path: str) -> None:
    """Print CPU milliseconds by stage."""
    found: dict[str, float] = {}

    def timed(stage: str, call: Callable[[], T]) -> T:
        begun = process_time()
        value = call()
        found[stage] = 1000 * (process_time() - begun)
        return value

    found["start of Python"] = 1000 * process_time()
    timed("imports", lambda: import_module("fac.cli.check"))
    from fac import pipeline, source
    from fac.checks import run_checks
    from fac.program.lower import lower

    document = timed("read", lambda: source.read(path))
    spec, findings = timed("parse", lambda: pipeline.parse(document))
    assert spec is not None, findings
    program = timed("lower", lambda: lower(spec))
    problems = timed("checks", lambda: run_checks(program))
    assert not problems, problems
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
