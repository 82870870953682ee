"""Pieces of HTML for notebooks. Whatever a spec, a file or a label holds is text in them, and nothing else."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

from fac.escaping import html as text


def table(header: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = ()) -> str:
    """A table, and lines below it."""
    head = "".join(f"<th>{text(cell)}</th>" for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    below = "".join(f"<p>{text(note)}</p>" for note in notes)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}"


def picture(svg: bytes, title: str) -> str:
    """An SVG as an image of its own: its names cannot meet those of another, and nothing in it can run."""
    return f'<img alt="{text(title)}" src="data:image/svg+xml;base64,{b64encode(svg).decode()}"/>'
