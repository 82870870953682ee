"""What bounds the work that a spec can ask for: each bound is told, and hides no error."""

from __future__ import annotations

import pytest

from fac import diagnostics
from fac.diagnostics import FacError, Severity
from fac.lint import run
from fac.lint.fix import fix
from fac.lint.run import lint, linted
from fac.lint.settings import Settings
from fac.program import lower
from fac.render.findings import Checked, Report, render
from fac.source import comments, edits, parse_text
from tests.fuzz.families import FAMILIES, HEAD, NET, SGD, TAIL, grown


def checked(text: str) -> list[tuple[str, str]]:
    """Code and help of every finding."""
    return [(finding.rule.code, finding.help) for finding in lint(parse_text(text), Settings())]


def test_more_routes_than_there_may_be() -> None:
    with pytest.raises(FacError) as caught:
        checked(grown(FAMILIES["all_globs"], 60_000))
    assert str(caught.value).startswith("with `feedback.routes[")
    assert str(caught.value).endswith("the spec stands for more than 20,000 routes: name fewer layers")


def test_more_layers_than_blocks_may_stand_for() -> None:
    deep = "{kind: relu}"
    for _ in range(4):
        deep = f"{{kind: repeat, times: 10000, body: [{deep}]}}"
    with pytest.raises(FacError) as caught:
        checked(f"{HEAD}layers: [{deep}]\n{TAIL}{SGD}")
    assert str(caught.value) == (
        "with `layers[0].body[0].body[0].body[0].body[0]` the blocks of the spec stand for more than 20,000 layers: "
        "repeat less often"
    )


def test_one_block_is_repeated_too_often() -> None:
    found = lint(
        parse_text(
            f"{HEAD}layers:\n  - {{kind: repeat, times: 1000000, body: [{{kind: relu}}]}}\n{TAIL}{SGD}"
        ),
        Settings(),
    )
    assert [(f.rule.code, f.message) for f in found] == [
        ("FAC102", "`times` must be at most 10000, is 1000000")
    ]


def test_a_large_network_may_have_more_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lower, "MAX_ROUTES", 2)
    rules = "feedback: [{rule: fa}, {rule: fa}, {rule: fa}]\n"
    assert {code for code, _ in checked(HEAD + NET + TAIL + rules + SGD)} == {"FAC306"}


def test_more_globs_of_parameters_than_can_be_matched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lower, "MAX_MATCHES", 20)
    globs = ", ".join(f"{{match: '*.{name}'}}" for name in ("weight", "bias", "[w]*", "[b]*"))
    update = f"update: {{rule: sgd, lr: 0.1, groups: [{globs}]}}\n"
    with pytest.raises(FacError) as caught:
        checked(HEAD + NET + TAIL + update)
    message = "`update.groups` has too many globs for the parameters of 5 layers: write fewer"
    assert str(caught.value) == message
    # Names, and globs of few parameters, are no work.
    few = ", ".join(f"{{match: '{name}'}}" for name in ("fc1.weight", "fc1.*", "fc2.*", "logits.*"))
    checked(HEAD + NET + TAIL + f"update: {{rule: sgd, lr: 0.1, groups: [{few}]}}\n")


def test_warnings_are_left_out_before_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = "  - {kind: relu}\n" * 8
    text = f"{HEAD}layers:\n  - {{kind: linear, out: 8}}\n{layers}{TAIL}constraints: {{max_rank: 1}}\n{SGD}"
    text += "feedback: {routes: [{to: linear_1, matrix: {kind: random}}]}\n"
    codes = [code for code, _ in checked(text)]
    assert codes.count("FAC215") > 5
    assert codes.count("FAC351") == 1
    for module in (run, diagnostics):
        monkeypatch.setattr(module, "MAX_FINDINGS", 3)
    found = lint(parse_text(text), Settings())
    assert len(found) == 3
    errors = [finding.rule.code for finding in found if finding.rule.severity is Severity.ERROR]
    assert errors == ["FAC305", "FAC351"]
    assert found[-1].help == "only 3 findings are shown, and there are more"


def test_hints_for_the_first_misspelt_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comments, "HINTS", 1)
    text = "# fac: ignore[FAC30]\n# fac: ignor[FAC301]\n# fac: ignore[FAC30]\n" + HEAD + NET + TAIL + SGD
    helps = [help for code, help in checked(text) if code == "FAC110"]
    assert helps[0].startswith("did you mean")
    assert helps[1:] == ["write `# fac: ignore[FAC301] reason`", "`fac rule` lists all of them"]


def test_long_texts_are_read_less_often_to_be_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    document = parse_text(grown(FAMILIES["misspelt_keys"], 2_000))
    assert fix(document, lambda d: linted(d, Settings())).mended > 10
    monkeypatch.setattr(edits, "MAX_ATTEMPTS", 0)
    assert fix(document, lambda d: linted(d, Settings())).mended == 0


def test_equal_lines_have_fingerprints_of_their_own() -> None:
    text = grown(FAMILIES["findings_on_one_line"], 3_000)
    document = parse_text(text, "a.fac.yaml")
    found = lint(document, Settings())
    one = render("gitlab", Report((Checked(document, found),), ()))
    prints = [line for line in one.splitlines() if '"fingerprint"' in line]
    assert len(found) > 50
    assert len(set(prints)) == len(prints) == len(found)
