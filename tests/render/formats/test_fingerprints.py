"""What makes two findings the same for programs that follow them."""

from __future__ import annotations

import json

from fac.diagnostics import Diagnostic, Span
from fac.render.findings import render
from fac.render.findings.portable import rows
from tests.render.formats.checked import BAD, RANK, SAVES, file
from tests.render.formats.test_sarif import sarif


def prints(name: str, text: str, *findings: Diagnostic) -> list[str]:
    of = file(name, *findings, text=text)
    found = [row.fingerprint for row in rows(of)]
    assert [entry["fingerprint"] for entry in json.loads(render("gitlab", of))] == found
    results = sarif(of)["runs"][0]["results"]
    assert [list(result["partialFingerprints"].values()) for result in results] == [[f] for f in found]
    return found


def test_fingerprints_survive_edits_elsewhere() -> None:
    rank = ("feedback", "routes", 0, "matrix", "rank")
    before = prints("a.fac.yaml", BAD, RANK.at(rank, "x"))
    assert prints("a.fac.yaml", "# a comment\n\n" + BAD, RANK.at(rank, "x")) == before
    assert prints("a.fac.yaml", BAD.replace("    - {thr", "        - {thr"), RANK.at(rank, "x")) == before
    assert prints("a.fac.yaml", BAD, RANK.at(rank, "in other words")) == before
    assert prints("a.fac.yaml", BAD.replace("64", "63"), RANK.at(rank, "x")) != before
    assert prints("b.fac.yaml", BAD, RANK.at(rank, "x")) != before
    assert prints("a.fac.yaml", BAD, SAVES.at(rank, "x")) != before


def test_equal_findings_have_their_own_fingerprints() -> None:
    rank = ("feedback", "routes", 0, "matrix", "rank")
    found = prints("a.fac.yaml", BAD, RANK.at(rank, "x"), RANK.at(rank, "y"), RANK.at(rank[:-1], "x"))
    assert len(set(found)) == 3


def test_a_finding_beside_the_text_has_a_fingerprint() -> None:
    of = file("a.fac.yaml", Diagnostic(RANK, (), "x", span=Span(1, 1, 1, 1)), text="")
    assert len(next(rows(of)).fingerprint) == 32
