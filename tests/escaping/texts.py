"""Texts that mean something to whatever prints them, and what must hold of all that is printed."""

from __future__ import annotations

import re
from unicodedata import category

from hypothesis import strategies as st

MARK = "kilroy"
"""Stands where a text would begin a line of its own."""

PARTS = (
    "\x1b[2J\x1b[31m", "\x1b]0;title\x07", "\x1b]8;;https://evil.example\x1b\\x\x1b]8;;\x1b\\", "\x9b31m",
    "\x00", "\x08\x08", "\r", "\n", "\t", "\x0b", "\x0c", "\x1c", "\x7f", "\x85", "\u2028", "\u2029",
    "\u202e", "\u202d", "\u2066", "\u2067", "\u2069", "\u200e", "\u200f", "\u061c", "\u200b", "\u200c",
    "\u200d", "\u2060", "\ufeff", "\u00ad", "\U000e0041", "\u180e", "\ud800", "\udcff", "\udfff", "\ufffe",
    "\uffff", "\U0001ffff", "\ue000", f"\n::error::{MARK}", f"\r::error file=x::{MARK}",
    f"\n##[error]{MARK}", f"\u2028::add-mask::{MARK}", "%0A::error::x", "%25", "[x](javascript:alert(1))",
    "![x](https://evil.example/x.png)", "](x", "<https://evil.example>", "www.evil.example", "@team", "#1",
    "]]>", "<!--", "--", "-->", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</title>",
    "&lt;", "&#8238;", "&", '"', "'", '"""', "`", "```", "````mermaid", "|", "||", "\\", "\\n", "\\|",
    "$x$", "{x}", "${x}", "$(x)", "%s", "%%{init}%%", "#quot;", "#8238;", ";", "click s0 call x()", "end",
    "subgraph x", "1. x", "- x", "# x", "> x", "_x_", "**x**", "~~x~~", "漢字", "é", "e\u0301", "א",
    "👩\u200d👧", "\u00a0", "\u3000",
)  # fmt: skip
ALL = " ".join(PARTS)
TEXTS = st.lists(st.sampled_from(PARTS) | st.text(st.characters(exclude_categories=()), max_size=3), max_size=8).map(
    "".join
)  # fmt: skip
NAMES = TEXTS.map(lambda text: re.sub(r"[/\x00]|[\ud800-\udfff\ufffe\uffff]", "", text)[:40]).filter(
    lambda text: text not in ("", ".", "..")
)
"""What a file can be called."""


def unseen(text: str, keep: str = "\n") -> str:
    """All characters that are not seen, as Unicode says it."""
    kinds = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    return "".join(c for c in text if category(c) in kinds and c not in keep)


def assert_calm(text: str) -> None:
    """Nothing steers the terminal or is hidden, and no text from outside begins a line."""
    assert unseen(text) == "", ascii(unseen(text))
    begun = re.search(rf"^\W*(::|##\[)|^\W*{MARK}", text, re.MULTILINE)
    assert begun is None, ascii(text[begun.start() : begun.start() + 80])
