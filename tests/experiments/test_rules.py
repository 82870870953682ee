"""Rules as they are asked for: names, and settings behind them."""

from __future__ import annotations

from pathlib import Path

import pytest

import fac
from fac.diagnostics import FacError, SpecError
from fac.experiments.rules import fields_of, has_rank, needs_rank, settings_of
from fac.experiments.variants import variants
from fac.source import parse_text
from tests.cli.conftest import DIGITS


def test_settings_stand_behind_the_name_as_those_of_set() -> None:
    assert settings_of("bp", None) == {"rule": "bp"}
    assert settings_of("ldfa learn=fixed", 4) == {"rule": "ldfa", "learn": "fixed", "rank": 4}
    assert settings_of("fa learn.rule=kolen_pollack  scale=2", None) == {
        "rule": "fa",
        "learn": {"rule": "kolen_pollack"},
        "scale": 2,
    }


def test_what_stands_behind_the_name_is_given_no_more() -> None:
    assert "learn" in fields_of("ldfa")
    assert "learn" not in fields_of("ldfa learn=fixed")
    assert (has_rank("ldfa"), needs_rank("ldfa")) == (True, True)
    assert (has_rank("ldfa rank=4"), needs_rank("ldfa rank=4")) == (False, False)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("nothing learn=fixed", "no rule is called `nothing`; installed are `bp`"),
        ("ldfa lern=fixed", "`lern=fixed` is no setting of `ldfa` with its value, .*; did you mean `learn`?"),
        ("bp fa", "write two rules with a comma between them, `bp,fa`"),
        ("ldfa learn", "`learn` is no setting of `ldfa` with its value"),
        ("fa rule=bp", "`rule=bp` is no setting of `fa`"),
        ("fa scale=[", "`--set scale=\\[`"),
    ],
)
def test_a_slip_is_one_message(rule: str, said: str) -> None:
    with pytest.raises(FacError, match=said):
        settings_of(rule, None)


def test_a_value_that_the_rule_does_not_take_is_a_finding() -> None:
    with pytest.raises(SpecError, match="kolen"):
        variants([parse_text(DIGITS, "small.fac.yaml")], ["ldfa learn=kolen"])


def test_one_rule_with_two_settings_is_two_rows_of_a_comparison(tmp_path: Path) -> None:
    path = tmp_path / "small.fac.yaml"
    path.write_text(DIGITS.replace("momentum", "weight_decay: 0.01, momentum"))
    rules = ["fa", "fa learn.rule=kolen_pollack", "ldfa learn=fixed"]
    found = fac.compare(path, rules, seeds=2, contrasts=[f"{rules[1]}:fa"], audit=False, backend="reference")
    assert [row.variant.label for row in found.rows] == rules
    values = found.values()
    difference = (values[rules[1]] - values["fa"]).mean()
    assert found.contrasts[0].difference == pytest.approx(difference, abs=1e-12)
    assert values["fa"].tolist() != values[rules[1]].tolist()
    assert found.rows[2].ranks == (9,)
