"""Every op, layer, rule, update and loss of the conformance suite, on `cuda`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fac.testing.case import Case
from fac.testing.suite import CASES
from tests.cuda.watch import Watch

LISTED = [
    case
    for name, case in CASES.items()
    if case.script is not None and not name.startswith("op/host(")  # it waits by design
]


@pytest.mark.parametrize("case", LISTED, ids=lambda case: case.id)
def test_nothing_waits_and_nothing_is_elsewhere(case: Case, on_cuda: Callable[[Case], Watch]) -> None:
    watch = on_cuda(case)
    assert watch.seen
    assert watch.found == []
