"""Steps that are queued as CUDA graphs are those steps, of each rule and update, with a tape in the place of graphs."""

from __future__ import annotations

import pytest

from fac.testing.nets import DROPOUT, spec
from fac.testing.rules import RULES, UPDATES
from tests.cuda.tape import same_numbers
from tests.cuda.test_session import PAIRS


@pytest.mark.parametrize(("rule", "update"), PAIRS)
def test_a_graph_makes_the_same_steps(rule: str, update: str, monkeypatch: pytest.MonkeyPatch) -> None:
    same_numbers(spec(DROPOUT, RULES[rule], UPDATES[update]), monkeypatch)
