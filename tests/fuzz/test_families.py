"""Texts that are made to be hard, small ones: `benchmarks.check_limits` has large ones, under limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.families import FAMILIES, grown
from tests.fuzz.judge import judge

SIZE = 3_000


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_has_findings_and_no_traceback(name: str, tmp_path: Path) -> None:
    text = grown(FAMILIES[name], SIZE)
    assert len(text.encode()) <= SIZE
    file = tmp_path / "input.fac.yaml"
    file.write_bytes(text.encode())
    judge(file, turn=list(FAMILIES).index(name))
