"""The networks: how their errors travel, what `fac check` finds, and the specs as text."""

from __future__ import annotations

from fac.escaping import html as text
from fac.escaping import xml
from fac.render.graph import svg
from fac.render.report import parts
from fac.render.report.facts import Book, Setting

PICTURES = 8
"""Networks that are drawn."""
LARGEST = 200_000
"""Characters of a picture that is shown."""


def findings(name: str, title: str, book: Book) -> str:
    """What `fac check` says of the specs, each finding once, and of which settings it is true."""
    found: dict[tuple[str, ...], list[str]] = {}
    troubles = []
    for setting in book.settings:
        if setting.program is None:
            troubles.append(f"`{setting.label}`: {setting.trouble}")
        for each in setting.findings:
            line = (each.rule.code, str(each.rule.severity), each.message, each.help)
            found.setdefault(line, []).append(setting.label)
    rows = [(*line, "; ".join(labels)) for line, labels in found.items()]
    header = ("code", "severity", "finding", "help", "settings")
    made = parts.table("`fac rule CODE` explains a rule", header, rows, words=True) if rows else ""
    none = "" if rows or troubles else "<p>None.</p>"
    return parts.section(name, title, made, parts.notes(troubles), none)


def section(name: str, title: str, book: Book) -> str:
    """Picture and text of each setting; settings of one picture share it."""
    pictures: dict[str, list[str]] = {}
    notes = []
    for setting in book.settings:
        if setting.program is not None:
            pictures.setdefault(_picture(setting), []).append(setting.label)
    shown = [each for each in pictures.items() if len(each[0]) <= LARGEST][:PICTURES]
    if len(shown) < len(pictures):
        notes.append(
            f"{len(shown)} of {len(pictures)} networks are drawn: `fac show SPEC -o graph.svg` draws the others"
        )
    drawn = "".join(
        f'<figure class="graph"><div class="wide">{picture}</div><figcaption>'
        f"{text('How values and errors travel: ' + '; '.join(labels))}</figcaption></figure>"
        for picture, labels in shown
    )
    specs = "".join(
        parts.opens(f"spec of {setting.label}", f"<pre>{xml(setting.spec)}</pre>")
        for setting in book.settings
        if setting.spec
    )
    return parts.section(name, title, drawn, parts.notes(notes), specs)


def _picture(setting: Setting) -> str:
    from fac.render.graph.fold import folded
    from fac.render.graph.layout import laid_out
    from fac.render.graph.read import topology

    assert setting.program is not None
    return svg.render(laid_out(folded(topology(setting.program)), bare=False), inline=True)
