"""Each promise of docs/security.md names the test that holds it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/security.md").read_text("utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_each_promise_names_a_test() -> None:
    promised, _, not_promised = PAGE.partition("## What is not promised")
    promises = re.findall(r"^- (.*(?:\n  .*)*)", promised, re.MULTILINE)
    assert len(promises) > 15
    assert [promise for promise in promises if not NAMED.search(promise)] == []
    assert not NAMED.search(not_promised)
    assert "::" not in NAMED.sub("", PAGE)


def test_each_test_that_is_named_is_there() -> None:
    named = NAMED.findall(PAGE)
    assert len(named) > 20
    found = {file: (ROOT / file).read_text("utf-8") for file, _ in named}
    assert [(file, test) for file, test in named if f"\ndef {test}(" not in found[file]] == []


def test_the_page_is_found() -> None:
    assert "(docs/security.md)" in (ROOT / "README.md").read_text("utf-8")
