"""docs/audit.md is made of the diagnostics: each has its definition, its threshold and its source there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fac.audit import COMPARED, DIAGNOSTICS

PAGE = Path(__file__).parents[2] / "docs" / "audit.md"
HEAD = """# The audit

A number may be right and mean nothing. `fac compare` looks at each trained network and at all rows, and says below the
table what a reader must know before believing them; `fac evaluate RUN --audit` looks at one network. A word of the
audit is no error: status and results stay as they are.

This page is made of the diagnostics in `fac/audit/`.
"""


def page() -> str:
    parts = [HEAD]
    for module in (*DIAGNOSTICS, *COMPARED):
        first, _, rest = (module.__doc__ or "").strip().partition("\n\n")
        parts.append(f"## `{module.NAME}`: {first[0].lower()}{first[1:].rstrip('.')}\n\n{rest}\n")
    return "\n".join(parts)


def test_the_page_is_what_the_diagnostics_say() -> None:
    if os.environ.get("FAC_UPDATE_GOLDEN"):
        PAGE.write_text(page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("module", [*DIAGNOSTICS, *COMPARED], ids=lambda module: module.NAME)
def test_each_says_what_is_measured_from_where_on_it_is_said_and_after_whom(module: object) -> None:
    text = module.__doc__ or ""
    assert "Measured is" in text
    assert "it is said" in text or "that is said" in text
    assert "after faeval" in text or "(faeval" in text
