"""The whole check of a document: what comments and settings make of the findings."""

from __future__ import annotations

import pytest

from fac import compile, source
from fac.diagnostics import Severity, SpecError
from fac.lint.run import lint
from fac.lint.selection import Selection
from fac.lint.settings import Settings
from tests.lint.specs import BAD, CLEAN, WARNED, document, found


def at_line_6(text: str, comment: str) -> str:
    """The text with a comment behind its line 6."""
    lines = text.splitlines()
    lines[5] += f"  {comment}"
    return "\n".join(lines) + "\n"


def test_nothing_ignored() -> None:
    assert found(BAD) == [("FAC201", "error", 6)]
    assert found(WARNED) == [("FAC205", "warning", 6)]


def test_ignored_on_its_line() -> None:
    assert found(at_line_6(BAD, "# fac: ignore[FAC201] later")) == []
    assert found(at_line_6(BAD, "# fac: ignore[unknown-name] later")) == []


def test_ignored_from_the_line_above() -> None:
    assert found(BAD.replace("  - {kind: relu", "  # fac: ignore[FAC201]\n  - {kind: relu")) == []


def test_ignored_in_the_file() -> None:
    assert found("# fac: ignore-file[FAC201]\n" + BAD) == []


def test_another_line_is_not_meant() -> None:
    text = BAD.replace("name: example", "name: example # fac: ignore[FAC201]")
    assert found(text) == [("FAC201", "error", 6), ("FAC109", "warning", 2)]


def test_several_ignores_may_mean_one_finding() -> None:
    assert found("# fac: ignore-file[FAC201]\n" + at_line_6(BAD, "# fac: ignore[FAC201]")) == []


def test_a_part_of_an_ignore_may_be_unused() -> None:
    text = at_line_6(WARNED, "# fac: ignore[FAC203, FAC205]")
    (finding,) = lint(document(text), Settings())
    assert finding.message == "there is no finding of `FAC203` on line 6 to ignore"
    assert finding.help == "remove `FAC203` from it"


def test_the_finding_of_an_unused_ignore_can_be_ignored() -> None:
    assert found(at_line_6(CLEAN, "# fac: ignore[FAC201, FAC109] for the examples of the docs")) == []
    assert found("# fac: ignore-file[FAC109]\n" + at_line_6(CLEAN, "# fac: ignore[FAC201]")) == []
    assert found("# fac: ignore-file[FAC110]\n" + at_line_6(CLEAN, "# fac: ignore")) == []


@pytest.mark.parametrize("code", ["FAC205", "FAC501", "FAC401"])
def test_what_was_not_looked_for_is_not_unused(code: str) -> None:
    unparsed = at_line_6(CLEAN.replace("out: 8", "uot: 8"), f"# fac: ignore[{code}]")
    assert found(unparsed) == [("FAC103", "error", 5)]


def test_costs_are_not_looked_for_beside_errors() -> None:
    assert found(at_line_6(BAD, "# fac: ignore[FAC501]")) == [("FAC201", "error", 6)]
    assert found(at_line_6(CLEAN, "# fac: ignore[FAC501]")) == [("FAC109", "warning", 6)]


def test_backends_are_looked_for_if_one_is_named() -> None:
    text = document(at_line_6(CLEAN, "# fac: ignore[FAC401]"))
    assert lint(text, Settings()) == ()
    assert [f.rule.code for f in lint(text, Settings(), backend="reference")] == ["FAC109"]


def test_an_assignment_is_on_no_line() -> None:
    text = source.override(document(at_line_6(CLEAN, "# fac: ignore[FAC201]")), ["layers[1].from=fc2"])
    assert [f.rule.code for f in lint(text, Settings())] == ["FAC201"], "and nothing is called unused"
    whole = source.override(document("# fac: ignore-file[FAC201]\n" + CLEAN), ["layers[1].from=fc2"])
    assert lint(whole, Settings()) == ()


def test_an_ignored_error_still_forbids_to_compile() -> None:
    text = document(at_line_6(BAD, "# fac: ignore[FAC201]"))
    assert lint(text, Settings()) == ()
    with pytest.raises(SpecError, match="FAC201"):
        compile(text, backend="reference")


# -- settings ------------------------------------------------------------------------------------------------------


def test_severity_by_the_most_exact_selector() -> None:
    settings = Settings(severity={"FAC2": Severity.ERROR, "FAC201": Severity.WARNING})
    assert found(BAD, settings) == [("FAC201", "warning", 6)]
    assert found(WARNED, settings) == [("FAC205", "error", 6)]


def test_ignored_by_settings() -> None:
    assert found(BAD, Settings(selection=Selection(ignore=("FAC2",)))) == []
    assert found(BAD, Settings(selection=Selection(("FAC3",)))) == []


def test_a_comment_is_used_though_the_rule_is_not_selected() -> None:
    text = at_line_6(BAD, "# fac: ignore[FAC201]")
    assert found(text, Settings(selection=Selection(("FAC3", "FAC109")))) == []


def test_a_text_that_cannot_be_read_is_found_whatever_is_selected() -> None:
    assert found("a: [", Settings(selection=Selection(("FAC3",)))) == [("FAC101", "error", 1)]
    assert found("a: [", Settings(selection=Selection(("FAC3",), ("FAC101",)))) == [("FAC101", "error", 1)]


def test_ignored_in_some_files() -> None:
    settings = Settings(per_file_ignores={"*.fac.yaml": ("FAC2",)})
    assert found(BAD, settings) == []
    assert len(lint(document(BAD, "other.yaml"), settings)) == 1
