"""The suite as a test class, and what a declared gap means."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fac.backend import PRECISIONS, Backend, Precision
from fac.checks.kernels import OP_WITHOUT_KERNEL
from fac.diagnostics import FacError, SpecError
from fac.testing import (
    blocks,
    graphs,
    laws,
    layers,
    ops,
    parts,
    products,
    rules,
    sessions,
    solves,
    steps,
    tokens,
    views,
)
from fac.testing.case import Case, Refusal, Subject

if TYPE_CHECKING:
    import pytest

FAMILIES = (ops, layers, rules, steps, graphs, sessions, blocks, parts, laws, products, tokens, solves, views)
CASES: dict[str, Case] = {case.id: case for family in FAMILIES for case in family.cases()}


class BackendConformance:
    """Every case in every precision on every device of a backend.

    A test file of a backend is a subclass whose name starts with `Test`, with these two attributes.
    """

    backend: ClassVar[Backend]
    gaps: ClassVar[frozenset[str]] = frozenset()
    """Ids of cases that the backend refuses to run; `ID@float64` for one precision alone.

    A refusal is the finding FAC401, or its like for a single op. Wrong numbers are no gap, and a gap that works fails.
    """

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Cases x precisions x devices."""
        if "case" not in metafunc.fixturenames:
            return
        devices = self.backend.devices()
        given = [(c, p, d) for c in CASES.values() for p in PRECISIONS for d in devices]
        ids = [f"{case.id}-{precision}-{device}" for case, precision, device in given]
        metafunc.parametrize(("case", "precision", "device"), given, ids=ids)

    def test_case(self, case: Case, precision: Precision, device: str) -> None:
        """The backend is right, or declines and says so here."""
        run(case, Subject(self.backend, precision, device), self.gaps)

    def test_gaps(self) -> None:
        """Each names a case."""
        known = {*CASES, *(f"{case}@{precision}" for case in CASES for precision in PRECISIONS)}
        if unknown := sorted(self.gaps - known):
            raise AssertionError(f"no cases are called {', '.join(unknown)}: remove them from `gaps`")


def run(case: Case, subject: Subject, gaps: frozenset[str]) -> None:
    """One case.

    Raises:
        AssertionError: the backend is wrong, or a gap is not declared, or a declared one works.
    """
    declared = sorted(gaps & {case.id, f"{case.id}@{subject.precision}"})
    try:
        case.check(subject)
    except FacError as refused:
        if not _declines(refused):
            raise
        if not declared:
            raise AssertionError(
                f"the backend refuses {case.id}; if that is meant, add it to `gaps`:\n{refused}"
            ) from refused
        return
    if declared:
        raise AssertionError(f"{case.id} works in {subject.precision}: remove `{declared[0]}` from `gaps`")


def _declines(error: FacError) -> bool:
    """Whether the backend said beforehand what it cannot do. Anything else is a failure, declared or not."""
    if isinstance(error, SpecError):
        return all(found.rule == OP_WITHOUT_KERNEL for found in error.diagnostics)
    return isinstance(error, Refusal)
