"""The page: one file without scripts, which asks no other for anything, and forbids itself to."""

from __future__ import annotations

from fac.escaping import html as text
from fac.render.report import audit, cost, curves, networks, overview, results, samples, sweeps
from fac.render.report.facts import Book
from fac.render.report.style import style

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What browsers let the page do (Content Security Policy): no script and no connection, whatever stands in it."""
SECTIONS = (
    ("runs", "What was run", overview.section),
    ("sweeps", "Settings that were searched for", sweeps.section),
    ("results", "Results", results.section),
    ("curves", "Curves", curves.section),
    ("audit", "Audit of the trained networks", audit.section),
    ("cost", "Cost and time", cost.section),
    ("confusion", "Confusion", samples.confusions),
    ("worst", "Samples with the highest loss", samples.worst),
    ("findings", "Findings of fac check", networks.findings),
    ("networks", "Networks and specs", networks.section),
)


def render(book: Book) -> str:
    """The file as text."""
    parts = [(name, title, write(name, title, book)) for name, title, write in SECTIONS]
    links = "".join(f'<li><a href="#{name}">{text(title)}</a></li>' for name, title, body in parts if body)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{text(book.title)}</title><style>{style()}</style></head>\n"
        f"<body><header><h1>{text(book.title)}</h1><nav><ul>{links}</ul></nav></header>\n<main>"
        + "\n".join(body for *_, body in parts if body)
        + "</main></body></html>\n"
    )
