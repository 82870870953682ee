"""Pieces of a report: tables, notes, what opens, and the swatch of a line. Whatever they are given is text in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from fac.escaping import html as text
from fac.render.plot.figure import Stroke


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], *, words: bool = False) -> str:
    """A table whose first column names its rows; it scrolls where it is wider than the page; no rows are nothing.

    Args:
        caption: what it is.
        header: of all columns.
        rows: of cells.
        words: whether cells are sentences.
    """
    told = prose if words else text
    head = "".join(f'<th scope="col">{text(cell)}</th>' for cell in header)
    if not (rows := [*rows]):
        return ""
    body = "".join(
        f'<tr><th scope="row">{text(first)}</th>{"".join(f"<td>{told(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    of = " class=words" if words else ""
    return (
        f'<div class="wide"><table{of}><caption>{prose(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def notes(lines: Iterable[str]) -> str:
    """Sentences, one below the other."""
    found = "".join(f"<li>{prose(line)}</li>" for line in lines)
    return f'<ul class="notes">{found}</ul>' if found else ""


def prose(line: str) -> str:
    """A sentence, in which what stands in backticks is code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", text(line))


def opens(summary: str, inside: str, *, now: bool = False, screen: bool = False) -> str:
    """What is closed at first, unless it opens `now`.

    Args:
        summary: what it is.
        inside: HTML.
        now: whether it is open.
        screen: whether it is left out in print, where all others are open.
    """
    return f"<details{' open' * now}{' class=screen' * screen}><summary>{text(summary)}</summary>{inside}</details>"


def section(name: str, title: str, *inside: str) -> str:
    """A part of the page with a heading; nothing where nothing is inside."""
    body = "".join(inside)
    return f'<section id="{text(name)}"><h2>{text(title)}</h2>{body}</section>' if body else ""


def legend(entries: Iterable[tuple[Stroke, str]]) -> str:
    """Lines and what they are."""
    found = "".join(f"<li>{swatch(look)}{text(name)}</li>" for look, name in entries)
    return f'<ul class="legend">{found}</ul>' if found else ""


def swatch(look: Stroke) -> str:
    """The sample of a line."""
    dash = f' stroke-dasharray="{look.dash}"' if look.dash else ""
    return (
        '<svg class="fac swatch" width="26" height="10" viewBox="0 0 26 10" aria-hidden="true">'
        f'<path d="M1 5H25" fill="none" class="s-{look.tone}" stroke-width="2.5"{dash}/></svg>'
    )


def number(value: float | None, digits: int = 4) -> str:
    """As people read it; a dash for none."""
    return "–" if value is None or value != value else f"{value:.{digits}g}"
