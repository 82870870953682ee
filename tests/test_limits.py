"""What bounds the work that a spec can ask for: each bound is told, and hides no error."""

from __future__ import annotations

import pytest

from fac import diagnostics
from fac.diagnostics import Severity, SpecError, dotted
from fac.layers.repeat import REPEAT
from fac.lint import run
from fac.lint.fix import fix
from fac.lint.run import lint, linted
from fac.lint.settings import Settings
from fac.pipeline import load
from fac.program import bounds
from fac.program.lower import lower
from fac.program.scopes import Scope
from fac.render.findings import Checked, Report, render
from fac.source import comments, edits, parse_text
from tests.fuzz.families import FAMILIES, HEAD, NET, SGD, TAIL, grown


def checked(text: str) -> list[tuple[str, str]]:
    """Code and help of every finding."""
    return [(finding.rule.code, finding.help) for finding in lint(parse_text(text), Settings())]


def test_more_routes_than_there_may_be() -> None:
    (found,) = lint(parse_text(grown(FAMILIES["all_globs"], 60_000)), Settings())
    assert (found.rule.code, found.path[:2]) == ("FAC111", ("feedback", "routes"))
    assert found.message == "up to here the spec stands for more than 20,000 routes"
    assert found.help == "name fewer layers"


RELU = "{kind: relu}"


def repeat(times: int, *body: str) -> str:
    return f"{{kind: repeat, times: {times}, body: [{', '.join(body)}]}}"


def residual(*body: str) -> str:
    return f"{{kind: residual, body: [{', '.join(body)}]}}"


def wrapped(times: int, layer: str) -> str:
    return layer if not times else f"{{kind: sequence, body: [{wrapped(times - 1, layer)}]}}"


BLOCKS: dict[str, tuple[tuple[str, ...], str, str, str]] = {
    "one": ((repeat(10_000, RELU, RELU, RELU),), "layers[0].times", "30,000 layers", "`times: 6666`"),
    "inside of another": (
        (repeat(3, repeat(10_000, RELU, RELU, RELU)),),
        "layers[0].body[0].times",
        "30,000 layers",
        "`times: 6666`",
    ),
    "around another": (
        (repeat(3, RELU, repeat(10_000, RELU)),),
        "layers[0].times",
        "30,003 layers",
        "`times: 1`",
    ),
    "many small ones": (
        (repeat(10, repeat(10, repeat(10, repeat(10, repeat(10, RELU))))),),
        "layers[0].times",
        "100,000 layers",
        "`times: 2`",
    ),
    "behind another": (
        (repeat(10_000, RELU), RELU, repeat(100, RELU), repeat(10_000, RELU)),
        "layers[3].times",
        "20,100 layers",
        "`times: 9900`",
    ),
    "with sums": (
        (repeat(7_000, residual(RELU, RELU)),),
        "layers[0].times",
        "21,000 layers",
        "`times: 6666`",
    ),
    "without a `times`": (
        (repeat(9_000, RELU), residual(repeat(9_000, RELU), repeat(5_000, RELU))),
        "layers[1].kind",
        "23,001 layers",
        "repeat less often",
    ),
    "blocks of few layers": (
        (repeat(5_000, wrapped(5, RELU)),),
        "layers[0].times",
        "25,000 blocks",
        "`times: 4000`",
    ),
}


@pytest.mark.parametrize("case", BLOCKS)
def test_more_layers_than_blocks_may_stand_for(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One finding, at the block that goes beyond, before any layer is written out."""
    monkeypatch.setattr(Scope, "chain", None)
    layers, path, size, help = BLOCKS[case]
    text = f"{HEAD}layers:\n" + "".join(f"  - {layer}\n" for layer in layers) + TAIL + SGD
    (found,) = lint(parse_text(text), Settings())
    assert (found.rule.code, dotted(found.path)) == ("FAC111", path)
    assert f" for {size}, and 20,000 are the most" in found.message
    assert help in found.help


@pytest.mark.parametrize("times", [10, 6666])
def test_as_many_layers_as_blocks_may_stand_for(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the help says is really the most, here and at a smaller bound."""
    monkeypatch.setattr(bounds, "MAX_LAYERS", 3 * times + 2)
    for more, beyond in ((0, False), (1, True)):
        layers = f"layers: [{repeat(times + more, residual(RELU, RELU))}]\n"
        spec = load(parse_text(HEAD + layers + TAIL + SGD))
        if beyond:
            with pytest.raises(SpecError, match=rf"write `times: {times}` or less"):
                lower(spec)
        else:
            assert len(lower(spec).nodes) == 3 * times


@pytest.mark.parametrize(
    ("body", "path", "what"),
    [
        ((RELU, RELU, RELU), "layers[0].body[1].kind", "layers"),
        ((wrapped(3, RELU),), "layers[0].body[0].body[0].kind", "blocks"),
    ],
    ids=["layers", "blocks"],
)
def test_a_block_that_says_less_than_it_writes_is_bounded_all_the_same(
    body: tuple[str, ...], path: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MAX_LAYERS", 10)
    before = REPEAT.times
    object.__setattr__(REPEAT, "times", None)
    try:
        (found,) = lint(parse_text(f"{HEAD}layers: [{repeat(4, *body)}]\n{TAIL}{SGD}"), Settings())
    finally:
        object.__setattr__(REPEAT, "times", before)
    assert (found.rule.code, dotted(found.path)) == ("FAC111", path)
    assert found.message == f"with this layer the blocks stand for more than 10 {what}"


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
    monkeypatch.setattr(bounds, "MAX_ROUTES", 2)
    rules = "feedback: [{rule: fa}, {rule: fa}, {rule: fa}]\n"
    assert {code for code, _ in checked(HEAD + NET + TAIL + rules + SGD)} == {"FAC306"}


def test_more_globs_of_parameters_than_can_be_matched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_MATCHES", 20)
    globs = ", ".join(f"{{match: '*.{name}'}}" for name in ("weight", "bias", "[w]*", "[b]*"))
    update = f"update: {{rule: sgd, lr: 0.1, groups: [{globs}]}}\n"
    (found,) = lint(parse_text(HEAD + NET + TAIL + update), Settings())
    assert (found.rule.code, dotted(found.path)) == ("FAC111", "update.groups[3].match")
    assert found.message == "up to here there are too many globs for the parameters of 5 layers"
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
