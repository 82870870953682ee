"""Globs for files."""

from __future__ import annotations

import pytest

from fac.lint.patterns import matches


@pytest.mark.parametrize(
    ("pattern", "file", "expected"),
    [
        ("examples/*", "examples/a.fac.yaml", True),
        ("examples/*", "examples/deep/a.fac.yaml", True),
        ("examples/*", "more/examples/a.fac.yaml", False),
        ("examples", "examples/deep/a.fac.yaml", True),
        ("examples/", "more/examples/a.fac.yaml", True),
        ("examples", "examples.fac.yaml", False),
        ("./a.fac.yaml", "a.fac.yaml", True),
        ("*.draft.fac.yaml", "deep/x.draft.fac.yaml", True),
        ("*.draft.fac.yaml", "deep/x.fac.yaml", False),
        ("a/b", "a/b/c/d.fac.yaml", True),
        ("a/b", "a/bc/d.fac.yaml", False),
        ("**/drafts/*", "drafts/a.fac.yaml", True),
        ("**/drafts/*", "x/y/drafts/a.fac.yaml", True),
        ("x/**/a.fac.yaml", "x/a.fac.yaml", True),
        ("x/**/a.fac.yaml", "x/y/z/a.fac.yaml", True),
        ("[ab].fac.yaml", "b.fac.yaml", True),
        ("A.fac.yaml", "a.fac.yaml", False),
        ("*", "<stdin>", True),
    ],
)
def test_matches(pattern: str, file: str, expected: bool) -> None:
    assert matches(pattern, file) is expected
