"""`fac evaluate --audit`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., tuple[int, str, str]]
REFERENCE = ("--backend", "reference")


def test_a_cosine_that_the_last_layer_makes_alone_is_said(run: Run, spec: Path) -> None:
    weak = ("--set", "feedback={rule: dfa, scale: 0.0001}")
    assert run("train", spec, *REFERENCE, *weak, "--out", "r")[0] == 0
    status, out, _err = run("evaluate", "r", *REFERENCE, "--audit")
    (mark,) = [line for line in out.splitlines() if line.startswith(" ! ")]
    assert (status, mark.startswith(" ! `logits` makes 100 % of the cosine")) == (0, True)
    found = json.loads(run("evaluate", "r", *REFERENCE, "--audit", "--json")[1])["audit"]
    assert [f" ! {line}" for line in found["said"]] == [mark]
    assert found["routed"]["fc1"] < 1e-3 * found["routed"]["logits"]
    assert "audit" not in json.loads(run("evaluate", "r", *REFERENCE, "--json")[1])


def test_of_a_rule_that_learns_it_says_figures_alone(run: Run, spec: Path) -> None:
    assert run("train", spec, *REFERENCE, "--set", "feedback={rule: bp}", "--out", "r")[0] == 0
    lines = run("evaluate", "r", *REFERENCE, "--audit")[1].partition("audit:\n")[2].splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("cosine 1.00")
    assert not any(" ! " in line for line in lines)
