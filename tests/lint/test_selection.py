"""Selectors: codes, prefixes of codes and names."""

from __future__ import annotations

import pytest

from fac.diagnostics import FacError
from fac.lint.selection import Selection, selectors


def test_what_may_be_written() -> None:
    words = ["FAC301", "fac3", " FAC , rank-above-limit", "Unused-Ignore,"]
    assert selectors(words, "here") == ("FAC301", "FAC3", "FAC", "FAC351", "FAC109")


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("FAC3010", "did you mean `FAC301`?"),
        ("FAC2O5", "did you mean `FAC205`?"),
        ("ruff301", "did you mean `FAC301`?"),
        ("rank-above-limits", "did you mean `rank-above-limit`?"),
        ("qqq", "`fac rule` lists all of them"),
        ("", "`fac rule` lists all of them"),
    ],
)
def test_an_unknown_word_names_the_nearest(word: str, hint: str) -> None:
    with pytest.raises(FacError) as caught:
        selectors([word], "`fac.toml`: `ignore`")
    assert str(caught.value) == f"`fac.toml`: `ignore`: no rule is called `{word}`; {hint}"


@pytest.mark.parametrize(
    ("select", "ignore", "reported"),
    [
        ((), (), True),
        ((), ("FAC301",), False),
        ((), ("FAC3",), False),
        (("FAC3",), (), True),
        (("FAC2",), (), False),
        (("FAC301",), ("FAC3",), True),
        (("FAC3",), ("FAC301",), False),
        (("FAC3",), ("FAC3",), False),
        (("FAC2", "FAC30"), ("FAC3",), True),
        (("FAC",), ("FAC3", "FAC2"), False),
    ],
)
def test_the_more_exact_wins(select: tuple[str, ...], ignore: tuple[str, ...], reported: bool) -> None:
    assert Selection(select, ignore).reports("FAC301") is reported
