"""A run with everything that a format must carry, and what reads GitHub's commands as its runner does."""

from __future__ import annotations

import re

from fac.diagnostics import Diagnostic, Rule, Severity, Span
from fac.lint.run import linted
from fac.lint.settings import Settings
from fac.render.findings import Checked, Report
from fac.source import Document, override, parse_text

RANK = Rule("FAC301", "rank-exceeds-source")
SAVES = Rule("FAC503", "direct-route-costs-more", Severity.WARNING)
GOOD = """\
fac: 1
name: example
input: {shape: [20]}
layers:
  - {kind: linear, name: fc1, out: 32}
  - {kind: relu}
  - {kind: linear, name: logits, out: 10}
loss: {kind: cross_entropy}
update: {rule: sgd, lr: 0.1}
"""
BAD = GOOD + "feedback:\n  routes:\n    - {through: logits, matrix: {kind: low_rank, rank: 64}}\n"
NOT_YAML = "fac: 1\nname: [\n"
ODD = "sp ecs/a,b:c%d é\n::error::x.fac.yaml"
"""A name that every format has to write in its own way."""


def checked(name: str, text: str, *assignments: str) -> Checked:
    """A file and what the checks say of it."""
    document = override(parse_text(text, name), assignments)
    found = linted(document, Settings())
    return Checked(document, found.findings, ignored=found.ignored, ran=found.ran)


def report() -> Report:
    """Good files and bad ones, one that is not YAML, a finding in no line, one of a warning, and a missing file."""
    plain = parse_text(GOOD, ODD)
    findings = (
        SAVES.at(("loss",), "100% of <nothing> & `more`", help="write ]]> or\nnothing"),
        Diagnostic(RANK, (), "over lines", span=Span(4, 1, 6, 5)),
    )
    return Report(
        (
            checked("specs/good.fac.yaml", GOOD),
            checked("specs/bad.fac.yaml", BAD),
            checked("specs/broken.fac.yaml", NOT_YAML),
            checked("specs/set.fac.yaml", GOOD, "update.lr=text"),
            Checked(plain, findings),
        ),
        (("specs/missing.fac.yaml", "`specs/missing.fac.yaml` does not exist"),),
    )


def file(name: str, *findings: Diagnostic, text: str = GOOD) -> Report:
    """One file with these findings."""
    return Report((Checked(parse_text(text, name), findings),))


def line_of(document: Document, number: int) -> str:
    """What stands on a line, counted from 1."""
    return document.lines[number - 1]


def command(line: str) -> tuple[str, dict[str, str], str]:
    """Name, properties and message of a workflow command."""
    found = re.fullmatch(r"::(\w+) ([^\n\r]*?)::([^\n\r]*)", line)
    assert found, line
    properties = dict(part.split("=", 1) for part in found[2].split(","))
    return found[1], {key: _read(text, property_=True) for key, text in properties.items()}, _read(found[3])


def _read(text: str, property_: bool = False) -> str:
    for code, character in (("%3A", ":"), ("%2C", ",")) if property_ else ():
        text = text.replace(code, character)
    return text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
