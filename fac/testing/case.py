"""What a case is: something done with a backend, whose outcome is known from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from typing import Any

import numpy as np

from fac.backend import Array, Artifact, Backend, Compiled, Precision, Session
from fac.build.fit import fit
from fac.diagnostics import FacError
from fac.pipeline import compiled, emit, find_backend, lowered
from fac.plugins import FAMILIES, kinds
from fac.program.program import Program
from fac.testing.tolerance import TOLERANCE, Family

KEPT = 32
"""So many specs are kept as they were built: a case asks for the same ones in each precision, and of the reference."""

Answers = Mapping[str, Any]
"""Numbers and arrays by what they are, such as `loss of step 3` or `state fc1.weight`."""


class Refusal(FacError):
    """The backend has no kernel for an op: what FAC401 says of a spec, said of a single op."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A backend in one precision on one device."""

    backend: Backend
    precision: Precision
    device: str

    def compile(self, spec: Mapping[str, Any]) -> Artifact:
        """What the backend makes of a spec.

        Raises:
            SpecError: the backend has no kernel for something that the spec needs.
        """
        ops = self.backend.ops(self.precision)
        program, made = _fitted(json.dumps(spec, sort_keys=True), _known(), ops)
        return emit(program, self.backend, self.precision, made=made)

    def open(self, spec: Mapping[str, Any], state: Mapping[str, Array] | None = None) -> Session:
        """A session on the subject's device."""
        return self.compile(spec).open(state, self.device)

    def open_functions(self, compiled: Compiled) -> Session:
        """A session that runs functions which no spec stands behind.

        Raises:
            FacError: the backend has no kernel for one of their ops.
        """
        made = fit(compiled, self.backend.ops(self.precision))
        kinds = {op.kind for f in (made.forward, made.evaluate, made.step, made.probe) for op in f.ops}
        missing = kinds - self.backend.ops(self.precision)
        if missing:
            raise Refusal(f"the backend has no {', '.join(sorted(missing))} in {self.precision}")
        return self.backend.emit(made, self.precision).open(device=self.device)


def reference(precision: Precision) -> Subject:
    """What others are compared with."""
    return Subject(find_backend("reference"), precision, "cpu")


def program_of(spec: Mapping[str, Any]) -> Program:
    """The program of a spec, built when a case first asks: whoever imports the suite waits for the networks of none."""
    return _lowered(json.dumps(spec, sort_keys=True), _known())


def _known() -> tuple[Any, ...]:
    """What all kinds are made of, now: tests give them other functions, and a kind would not keep the old ones."""
    each = (kind for group in FAMILIES for kind in kinds(group))
    held = (getattr(kind, field.name) for kind in each for field in fields(kind))
    return tuple(tuple(value.items()) if isinstance(value, Mapping) else value for value in held)


@lru_cache(KEPT)
def _fitted(text: str, known: tuple[Any, ...], ops: frozenset[str]) -> tuple[Program, Compiled]:
    """The same for all backends with these ops."""
    program, made = _made(text, known)
    return program, fit(made, ops)


@lru_cache(KEPT)
def _made(text: str, known: tuple[Any, ...]) -> tuple[Program, Compiled]:
    """What every backend is given of a spec, in either precision. Of other kinds, `known`, it is another."""
    program = _lowered(text, known)
    return program, compiled(program)


@lru_cache(KEPT)
def _lowered(text: str, known: tuple[Any, ...]) -> Program:
    return lowered(json.loads(text))


Script = Callable[[Subject], Answers]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A name, and a check that raises AssertionError where the backend is wrong, FacError where it declines."""

    id: str
    check: Callable[[Subject], None]
    script: Script | None = None
    """What is done with the backend, where its answers alone are compared: no number of them decides what is done."""


def agreement(family: Family, name: str, script: Script) -> Case:
    """The script has to find what it finds with the reference in the same precision.

    Of the reference itself it has to be numbers that the script finds, for which once is enough.
    """

    @cache
    def expected(precision: Precision) -> Answers:
        return script(reference(precision))

    def check(subject: Subject) -> None:
        known = expected(subject.precision)
        found = known if subject == reference(subject.precision) else script(subject)
        compare(found, known, TOLERANCE[family][subject.precision])

    return Case(f"{family}/{name}", check, script)


def law(name: str, script: Script, other: Script) -> Case:
    """Two scripts have to find the same, both with the backend itself."""

    def check(subject: Subject) -> None:
        compare(script(subject), other(subject), TOLERANCE["law"][subject.precision])

    return Case(f"law/{name}", check)


def compare(found: Answers, expected: Answers, tolerance: float) -> None:
    """The same names, shapes and numbers.

    Raises:
        AssertionError: they differ; it says where and by how much.
    """
    if found.keys() != expected.keys():
        missing, extra = expected.keys() - found.keys(), found.keys() - expected.keys()
        raise AssertionError(f"missing are {sorted(missing)}, unexpected are {sorted(extra)}")
    far = {name: distance(found[name], expected[name]) for name in expected}
    wrong = {name: value for name, value in far.items() if not value <= tolerance}
    if wrong:
        worst = max(wrong, key=lambda name: wrong[name])
        raise AssertionError(
            f"{len(wrong)} of {len(far)} answers are wrong: `{worst}` by {wrong[worst]:.1e}, "
            f"where {tolerance:.0e} is allowed; the others are {sorted(wrong.keys() - {worst})}"
        )


def distance(a: Any, b: Any) -> float:
    """The largest difference, relative to the largest entry or 1; infinite between shapes or beside a NaN."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    return float(np.abs(a - b).max() / max(1.0, np.abs(b).max()))


def require(fact: bool, otherwise: str) -> None:
    """`assert`, which `python -O` does not remove.

    Raises:
        AssertionError: it is no fact.
    """
    if not fact:
        raise AssertionError(otherwise)


def refuses(call: Callable[[], object], what: str) -> None:
    """The call has to end in a FacError.

    Raises:
        AssertionError: it did not end in an error.
    """
    try:
        call()
    except FacError:
        return
    raise AssertionError(f"{what} has to be refused with a FacError")
