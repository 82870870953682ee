"""Texts from outside, as each format may have them. Knows nothing else in the package.

Whatever is printed of a spec, a name, a path, settings, metadata or a plug-in goes through the function of its format:
no text ends the line, the cell, the quotes or the comment that it stands in, steers a terminal, turns a line round, or
becomes a command, a link or a tag. What cannot be seen is shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from unicodedata import category

UNSEEN = "\N{REPLACEMENT CHARACTER}"

LONGEST = 400
"""Characters of a cell of Markdown."""

FORMULA = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")
"""How a formula begins, for spreadsheets, which take full-width signs for the same (OWASP, CSV Injection)."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})
"""As `xml.sax.saxutils` has it, which brings the whole of `urllib` and `http` into every command."""
_SEEN = " ,:;?'()=-%±…"
"""What means nothing to Markdown within a sentence."""
_PAINT = re.compile(r"(\x1b\[[\d;]*m)")
_CODE = re.compile(r"(?! )(?!.*\]\()[\w .,:;=+*/()\[\]{}>–%'\"~-]+(?<! )")
"""What can stand between backticks: nothing that ends a code span or a cell, or that a site would make a link of."""

_FIGURE = re.compile(r"(?<![\w.,:/@-])(-?[0-9]+\.[0-9]+(?:e[+-]?[0-9]+)?)(?![\w/@-]|[.:]\w)")
"""A number with a point. No site makes a link of it, for nothing beside it makes it a part of a name or an address."""

_LATEX = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "±": r"$\pm$",
    "−": "$-$",
    "–": r"\textendash{}",
    "[": "{[}",
    "]": "{]}",
}
"""A bracket behind the end of a row would be an argument."""
_MINUS = re.compile(r"(?<![\w.])-(?=[\d.])")
_LIGATURES = re.compile(r"([-',])(?=\1)")
"""Two of one sign that TeX would join: a dash of two hyphens, quotes of two apostrophes or commas."""


def visible(text: str) -> str:
    r"""For people, as a part of one line: what is not seen, or steers what is, is written as an escape (`\x1b`)."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def in_place(text: str, keep: str = "\t") -> str:
    """For people, as long as it was, so that columns stay columns: what is not seen is a sign of its own.

    Args:
        text: a line of a file, or several.
        keep: what may stay although it is not seen.
    """
    if text.isprintable():
        return text
    return "".join(UNSEEN if hidden(c) and c not in keep else c for c in text)


def calm(text: str, painted: bool) -> str:
    """Lines for a terminal without anything that steers it but line feeds, tabs and, if they are `painted`, colours."""
    kept = _PAINT.split(text) if painted else [text]
    kept[::2] = (in_place(part, "\t\n") for part in kept[::2])
    return "".join(kept)


def hidden(character: str) -> bool:
    """Whether it is not seen: controls, halves of characters, what has no width, turns a line, or is none at all.

    Spaces of other widths are seen.
    """
    return not character.isprintable() and category(character) != "Zs"


def xml(text: str) -> str:
    """In SVG, and labels of marked-up text in DOT: between tags, or within quotes. A tab is not seen there."""
    return in_place(text, "\n").translate(_ENTITIES)


def html(text: str) -> str:
    """In HTML, as a part of one line: between tags, or within quotes."""
    return visible(text).translate(_ENTITIES | {ord("'"): "&#39;"})


def in_xml(text: str) -> str:
    """The characters that XML may have. What writes it marks up the rest."""
    return in_place(text, "\t\n")


def code(text: str) -> str:
    """In Markdown, also in a table, as code."""
    text = _cut(visible(text))
    return f"`{text}`" if _CODE.fullmatch(text) else f"<code>{_entities(text, ' ')}</code>"


def tagged(text: str) -> str:
    """In HTML within Markdown, where backticks would mean nothing."""
    return f"<code>{_entities(_cut(visible(text)), ' ./-')}</code>"


def prose(text: str) -> str:
    """In Markdown, also in a table: what stands in backticks is code, and nothing else means anything."""
    text = visible(text)
    parts = text[:LONGEST].split("`")
    if len(parts) % 2 == 0:
        return code(text)
    return "".join(code(part) if i % 2 and part else _words(part) for i, part in enumerate(parts))


def spreadsheet(text: str) -> str:
    """In a cell of CSV: a text that a spreadsheet would take for a formula begins with an apostrophe.

    What writes the file quotes it (https://owasp.org/www-community/attacks/CSV_Injection).
    """
    text = visible(text)
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text


def latex(text: str) -> str:
    """In LaTeX, outside of mathematics: no character means anything there."""
    apart = "".join(_LATEX.get(character, character) for character in visible(text))
    return _LIGATURES.sub(r"\1{}", apart)


def latex_prose(text: str) -> str:
    """In LaTeX, as a sentence: what stands in backticks is code, and nothing else means anything."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return latex(text)
    return "".join(
        rf"\texttt{{{latex(part)}}}" if i % 2 else latex(signed(part)) for i, part in enumerate(parts)
    )


def signed(text: str) -> str:
    """For people, with a minus in the place of the hyphen before a negative number."""
    return _MINUS.sub("−", text)


def mermaid(text: str) -> str:
    """In Mermaid, within quotes."""
    safe = _written(in_place(" ".join(text.split())), " _.,:/()=→×…–+-^" + UNSEEN, "#{};".format)
    # At the start of a text `1.`, `-` and `+` would begin a list of Markdown.
    return re.sub(r"^(\d*)([.+-])(?= )", lambda found: f"{found[1]}#{ord(found[2])};", safe)


def dot(text: str) -> str:
    """In DOT, within quotes, where entities are read, too."""
    return in_place(text, "").replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")


def workflow(*lines: str) -> str:
    """In a workflow command of GitHub, as the lines of its message."""
    return "%0A".join(visible(line).replace("%", "%25") for line in lines)


def workflow_property(text: str) -> str:
    """In a workflow command of GitHub, as a property."""
    return visible("".join(f"%{ord(c):02X}" if c in "%\r\n:," else c for c in text))


def patch(name: str) -> str:
    """In the head of a patch, as the name of a file: as git writes it, which `patch` reads, too."""
    if name == visible(name) and not {'"', "\\"} & {*name}:
        return name
    raw = name.encode("utf-8", "surrogateescape")
    plain = range(ord(" "), 127)
    parts = (chr(b) if b in plain and chr(b) not in '"\\' else rf"\{b:03o}" for b in raw)
    return f'"{"".join(parts)}"'


def sarif(text: str) -> str:
    """In SARIF, as a message, where `[text](target)` would be a link."""
    return visible(text).replace("](", "] (")


def sound(text: str) -> str:
    """In JSON, which writes all else as escapes: no halves of characters, which no encoding can carry."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def docstring(text: str) -> str:
    """In the docstring, or a comment, of a Python module."""
    return visible(text.replace("\\", "\\\\").replace('"', '\\"'))


def cell(text: str) -> str:
    """In a table that a spreadsheet opens: what would be a formula there has an apostrophe before it.

    Numbers with a sign stay numbers. Quotes around cells are for who writes the table.
    """
    text = visible(text)
    return f"'{text}" if text.lstrip()[:1] in FORMULA and not _NUMBER.fullmatch(text) else text


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _entities(text: str, seen: str) -> str:
    # In entities no character means anything to Markdown, nor to the tables within it.
    return _written(text, seen, "&#{};".format)


def _words(text: str) -> str:
    # without `/` and `.` no site makes a link of a word
    parts = _FIGURE.split(text)
    return "".join(part if i % 2 else _entities(part, _SEEN) for i, part in enumerate(parts))


def _written(text: str, seen: str, entity: Callable[[int], str]) -> str:
    return "".join(c if c.isalnum() or c in seen else entity(ord(c)) for c in text)
