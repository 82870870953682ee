"""Specs with known findings."""

from __future__ import annotations

from fac import source
from fac.lint.run import lint
from fac.lint.settings import Settings
from fac.source import Document

CLEAN = """\
fac: 1
name: example
input: {shape: [6]}
layers:
  - {kind: linear, name: fc1, out: 8}
  - {kind: relu}
  - {kind: linear, name: logits, out: 4}
loss: {kind: cross_entropy}
update: {rule: sgd, lr: 0.1}
"""
BAD = CLEAN.replace("kind: relu", "kind: relu, from: fc2")
"""FAC201 on line 6, an error."""
WARNED = CLEAN.replace("name: logits", "name: logits, from: fc1")
"""FAC205 on line 6, a warning."""


def document(text: str, name: str = "spec.fac.yaml") -> Document:
    return source.parse_text(text, name)


def found(text: str, settings: Settings | None = None) -> list[tuple[str, str, int | str]]:
    """Code, severity and line of each finding, in the order of the report."""
    read = document(text)
    rows = []
    for finding in lint(read, settings or Settings()):
        place = read.place(finding)
        line = place if isinstance(place, str) else place.line
        rows.append((finding.rule.code, finding.rule.severity.value, line))
    return rows
